"""Run the v1 escrow contract, which opens, tops up, settles and closes channels (docs/protocol.md, section 4)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ando_cli.sandbox.chain import abi
from ando_cli.sandbox.chain.ledger import Ledger, Revert
from ando_cli.sandbox.chain.voucher import (
    NO_CHANNEL,
    UINT128_MAX,
    V1,
    VOUCHER_TYPEHASHES,
    Channel,
    channel_id,
    domain_separator,
    voucher_digest,
)
from ando_cli.sandbox.primitives import ZERO_ADDRESS, SignatureError, recover, to_hex

if TYPE_CHECKING:
    from collections.abc import Callable

CLOSE_GRACE_PERIOD = 15 * 60


@dataclass(frozen=True)
class Escrow:
    """Represent the contract at ``address``, at a block with the given time (Unix seconds)."""

    ledger: Ledger
    address: str
    chain_id: int
    timestamp: int

    def get(self, channel: bytes) -> Channel:
        """Return the state of a channel.

        Every field is zero if the channel does not exist. Once it is over the deployed contract keeps ``finalized``
        alone and wipes the rest (docs/protocol.md, section 4): what was captured stands in the ``ChannelClosed`` event.
        """
        query = (
            "SELECT finalized, close_requested_at, payer, payee, token, authorized_signer, deposit, settled "
            "FROM channels WHERE id = ?"
        )
        row = self.ledger.connection.execute(query, (to_hex(channel),)).fetchone()
        if row is None:
            return NO_CHANNEL
        return Channel(bool(row[0]), row[1], row[2], row[3], row[4], row[5], int(row[6]), int(row[7]))

    def identity(self, payer: str, payee: str, token: str, salt: bytes, authorized_signer: str) -> bytes:
        """Compute the id of a channel between these parties on this contract."""
        return channel_id(
            payer=payer,
            payee=payee,
            token=token,
            salt=salt,
            authorized_signer=authorized_signer,
            escrow=self.address,
            chain_id=self.chain_id,
        )

    def open(self, sender: str, payee: str, token: str, deposit: int, salt: bytes, authorized_signer: str) -> bytes:
        """Take the deposit from the sender and open a channel; return its id."""
        if payee == ZERO_ADDRESS:
            raise Revert("InvalidPayee()")
        if deposit == 0:
            raise Revert("ZeroDeposit()")
        channel = self.identity(sender, payee, token, salt, authorized_signer)
        if self.get(channel) != NO_CHANNEL:
            raise Revert("ChannelAlreadyExists()")
        state = Channel(False, 0, sender, payee, token, authorized_signer, deposit, 0)
        named = abi.account(token), abi.account(authorized_signer), salt, abi.uint(deposit)
        self._log(OPENED, channel, state, *named)
        self.ledger.take(token, sender, self.address, self.address, deposit)
        self._put(channel, state)
        return channel

    def top_up(self, sender: str, channel: bytes, amount: int) -> None:
        """Add to the deposit. This cancels a pending close request."""
        state = self._live(channel)
        if sender != state.payer:
            raise Revert("NotPayer()")
        if state.deposit + amount > UINT128_MAX:
            raise Revert("DepositOverflow()")
        if state.close_requested_at:
            self._log(CLOSE_REQUEST_CANCELLED, channel, state)
        self._log(TOPPED_UP, channel, state, abi.uint(amount), abi.uint(state.deposit + amount))
        self.ledger.take(state.token, sender, self.address, self.address, amount)
        self._put(channel, dataclasses.replace(state, deposit=state.deposit + amount, close_requested_at=0))

    def settle(self, sender: str, channel: bytes, cumulative: int, signature: bytes) -> None:
        """Pay the payee what a voucher authorizes beyond the settled amount; the channel stays open."""
        state = self._for_payee(sender, channel)
        if cumulative <= state.settled:
            raise Revert("AmountNotIncreasing()")
        paid = self._pay(channel, state, cumulative, signature)
        amounts = cumulative, cumulative - state.settled, paid.settled
        self._log(SETTLED, channel, state, *map(abi.uint, amounts))

    def close(self, sender: str, channel: bytes, cumulative: int, signature: bytes) -> None:
        """Settle a last voucher, refund the rest to the payer, and finalize the channel."""
        state = self._for_payee(sender, channel)
        if cumulative < state.settled:
            raise Revert("AmountNotIncreasing()")
        if cumulative > state.settled:
            state = self._pay(channel, state, cumulative, signature)
        self._refund(channel, state)

    def request_close(self, sender: str, channel: bytes) -> None:
        """Announce that the payer will withdraw after the grace period."""
        state = self._live(channel)
        if sender != state.payer:
            raise Revert("NotPayer()")
        if not state.close_requested_at:
            self._put(channel, dataclasses.replace(state, close_requested_at=self.timestamp))
            self._log(CLOSE_REQUESTED, channel, state, abi.uint(self.timestamp + CLOSE_GRACE_PERIOD))

    def withdraw(self, sender: str, channel: bytes) -> None:
        """Return the unsettled deposit to the payer after the grace period, and finalize the channel."""
        state = self._live(channel)
        if sender != state.payer:
            raise Revert("NotPayer()")
        if not state.close_requested_at or self.timestamp < state.close_requested_at + CLOSE_GRACE_PERIOD:
            raise Revert("CloseNotReady()")
        self._log(EXPIRED, channel, state)
        self._refund(channel, state)

    def _live(self, channel: bytes) -> Channel:
        state = self.get(channel)
        if state.finalized:
            raise Revert("ChannelFinalized()")
        if not state.exists:
            raise Revert("ChannelNotFound()")
        return state

    def _for_payee(self, sender: str, channel: bytes) -> Channel:
        state = self._live(channel)
        if sender != state.payee:
            raise Revert("NotPayee()")
        return state

    def _pay(self, channel: bytes, state: Channel, cumulative: int, signature: bytes) -> Channel:
        if cumulative > state.deposit:
            raise Revert("AmountExceedsDeposit()")
        digest = voucher_digest(channel, cumulative, escrow=self.address, chain_id=self.chain_id)
        try:
            signer = recover(digest, signature)
        except SignatureError:
            raise Revert("InvalidSignature()") from None
        if signer != state.signer:
            raise Revert("InvalidSignature()")
        self.ledger.move(state.token, self.address, state.payee, cumulative - state.settled)
        return self._put(channel, dataclasses.replace(state, settled=cumulative))

    def _refund(self, channel: bytes, state: Channel) -> None:
        refund = state.deposit - state.settled
        self._log(CLOSED, channel, state, abi.uint(state.settled), abi.uint(refund))
        self.ledger.move(state.token, self.address, state.payer, refund)
        self._put(channel, dataclasses.replace(NO_CHANNEL, finalized=True))

    def _log(self, signature: str, channel: bytes, state: Channel, *words: bytes) -> None:
        self.ledger.log(self.address, signature, (channel, abi.account(state.payer), abi.account(state.payee)), *words)

    def _put(self, channel: bytes, state: Channel) -> Channel:
        self.ledger.connection.execute(
            "INSERT OR REPLACE INTO channels VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
            (
                to_hex(channel),
                state.finalized,
                state.close_requested_at,
                state.payer,
                state.payee,
                state.token,
                state.authorized_signer,
                str(state.deposit),
                str(state.settled),
            ),
        )
        return state


def execute(escrow: Escrow, sender: str, data: bytes) -> bytes:
    """Run one call to the contract and return its return data.

    Raises:
        Revert: The function does not exist or refuses.
        AbiError: The arguments do not decode.
    """
    function = _FUNCTIONS.get(data[:4])
    if function is None:
        raise Revert("UnknownFunctionSelector(bytes4)")
    return function(escrow, sender, data[4:])


def _open(escrow: Escrow, sender: str, data: bytes) -> bytes:
    payee, token, deposit, salt, signer = abi.words(data, 5)
    accounts = abi.to_account(payee), abi.to_account(token)
    return escrow.open(sender, *accounts, abi.to_uint(deposit, 128), salt, abi.to_account(signer))


def _top_up(escrow: Escrow, sender: str, data: bytes) -> bytes:
    channel, amount = abi.words(data, 2)
    escrow.top_up(sender, channel, abi.to_uint(amount))
    return b""


def _settle(escrow: Escrow, sender: str, data: bytes) -> bytes:
    channel, cumulative, offset = abi.words(data, 3)
    escrow.settle(sender, channel, abi.to_uint(cumulative, 128), abi.to_dynamic_bytes(data, offset))
    return b""


def _close(escrow: Escrow, sender: str, data: bytes) -> bytes:
    channel, cumulative, offset = abi.words(data, 3)
    escrow.close(sender, channel, abi.to_uint(cumulative, 128), abi.to_dynamic_bytes(data, offset))
    return b""


def _request_close(escrow: Escrow, sender: str, data: bytes) -> bytes:
    escrow.request_close(sender, abi.words(data, 1)[0])
    return b""


def _withdraw(escrow: Escrow, sender: str, data: bytes) -> bytes:
    escrow.withdraw(sender, abi.words(data, 1)[0])
    return b""


def _get_channel(escrow: Escrow, sender: str, data: bytes) -> bytes:
    return escrow.get(abi.words(data, 1)[0]).encode()


def _compute_channel_id(escrow: Escrow, sender: str, data: bytes) -> bytes:
    payer, payee, token, salt, signer = abi.words(data, 5)
    parties = abi.to_account(payer), abi.to_account(payee), abi.to_account(token)
    return escrow.identity(*parties, salt, abi.to_account(signer))


def _voucher_digest(escrow: Escrow, sender: str, data: bytes) -> bytes:
    channel, amount = abi.words(data, 2)
    return voucher_digest(channel, abi.to_uint(amount, 128), escrow=escrow.address, chain_id=escrow.chain_id)


def _domain(escrow: Escrow, sender: str, data: bytes) -> bytes:
    return domain_separator(V1, escrow.address, escrow.chain_id)


OPEN = "open(address,address,uint128,bytes32,address)"
TOP_UP = "topUp(bytes32,uint256)"
SETTLE = "settle(bytes32,uint128,bytes)"
CLOSE = "close(bytes32,uint128,bytes)"
GET_CHANNEL = "getChannel(bytes32)"

# The first three arguments of each event, the channel and its two parties, are indexed.
OPENED = "ChannelOpened(bytes32,address,address,address,address,bytes32,uint256)"
TOPPED_UP = "TopUp(bytes32,address,address,uint256,uint256)"
SETTLED = "Settled(bytes32,address,address,uint256,uint256,uint256)"
CLOSE_REQUESTED = "CloseRequested(bytes32,address,address,uint256)"
CLOSE_REQUEST_CANCELLED = "CloseRequestCancelled(bytes32,address,address)"
CLOSED = "ChannelClosed(bytes32,address,address,uint256,uint256)"
EXPIRED = "ChannelExpired(bytes32,address,address)"

_FUNCTIONS: dict[bytes, Callable[[Escrow, str, bytes], bytes]] = {
    abi.selector(OPEN): _open,
    abi.selector(TOP_UP): _top_up,
    abi.selector(SETTLE): _settle,
    abi.selector(CLOSE): _close,
    abi.selector("requestClose(bytes32)"): _request_close,
    abi.selector("withdraw(bytes32)"): _withdraw,
    abi.selector(GET_CHANNEL): _get_channel,
    abi.selector("computeChannelId(address,address,address,bytes32,address)"): _compute_channel_id,
    abi.selector("channels(bytes32)"): _get_channel,
    abi.selector("getVoucherDigest(bytes32,uint128)"): _voucher_digest,
    abi.selector("domainSeparator()"): _domain,
    abi.selector("VOUCHER_TYPEHASH()"): lambda escrow, sender, data: VOUCHER_TYPEHASHES[V1],
    abi.selector("CLOSE_GRACE_PERIOD()"): lambda escrow, sender, data: abi.uint(CLOSE_GRACE_PERIOD),
}
