"""Run the v2 escrow: the TIP-20 channel reserve (TIP-1034), a part of the chain itself (docs/protocol.md, section 4).

Unlike v1 it takes deposits without an approval, names channels by a descriptor that the caller sends, lets an operator
settle for the payee, and captures only as much at the close as the payee asks for. It forgets closed channels: no two
transactions have the same expiring nonce hash, so no channel can come back.
"""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ando_cli.sandbox.chain import abi
from ando_cli.sandbox.chain.descriptor import UINT96_MAX, Descriptor
from ando_cli.sandbox.chain.ledger import Ledger, Revert, is_token
from ando_cli.sandbox.chain.voucher import V2, voucher_digest
from ando_cli.sandbox.primitives import ZERO_ADDRESS, SignatureError, recover, to_hex

ADDRESS = "0x4d50500000000000000000000000000000000000"
CLOSE_GRACE_PERIOD = 15 * 60

# The first three arguments of each event, the channel and its two parties, are indexed.
OPENED = "ChannelOpened(bytes32,address,address,address,address,address,bytes32,bytes32,uint96)"
TOPPED_UP = "TopUp(bytes32,address,address,uint96,uint96)"
SETTLED = "Settled(bytes32,address,address,uint96,uint96,uint96)"
CLOSE_REQUESTED = "CloseRequested(bytes32,address,address,uint256)"
CLOSE_REQUEST_CANCELLED = "CloseRequestCancelled(bytes32,address,address)"
CLOSED = "ChannelClosed(bytes32,address,address,uint96,uint96)"

if TYPE_CHECKING:
    from collections.abc import Sequence


@dataclass(frozen=True)
class State:
    """Hold all that the chain stores of a channel: amounts in base units, a time in Unix seconds."""

    settled: int
    deposit: int
    close_requested_at: int

    @property
    def words(self) -> tuple[bytes, bytes, bytes]:
        """Return the three words of the ABI's tuple."""
        return abi.uint(self.settled), abi.uint(self.deposit), abi.uint(self.close_requested_at)

    @classmethod
    def decode(cls, words: Sequence[bytes]) -> State:
        """Read the three words of the tuple.

        Raises:
            AbiError: A word is too large.
        """
        return cls(abi.to_uint(words[0], 96), abi.to_uint(words[1], 96), abi.to_uint(words[2], 32))


NO_STATE = State(0, 0, 0)


@dataclass(frozen=True)
class Reserve:
    """Represent the precompile at a block with the given time, in a transaction with the given expiring nonce hash."""

    ledger: Ledger
    chain_id: int
    timestamp: int
    expiring_nonce_hash: bytes | None

    def get(self, channel: bytes) -> State:
        """Return the state of a channel; every field is zero if the channel does not exist or is closed."""
        query = "SELECT settled, deposit, close_requested_at FROM reserves WHERE id = ?"
        row = self.ledger.connection.execute(query, (to_hex(channel),)).fetchone()
        return NO_STATE if row is None else State(int(row[0]), int(row[1]), row[2])

    def open(self, sender: str, payee: str, operator: str, token: str, deposit: int, salt: bytes, signer: str) -> bytes:
        """Take the deposit from the sender and open a channel; return its id."""
        if payee == ZERO_ADDRESS:
            raise Revert("InvalidPayee()")
        if deposit == 0:
            raise Revert("ZeroDeposit()")
        if not is_token(token):
            raise Revert("InvalidToken()")
        if self.expiring_nonce_hash is None:
            raise Revert("ExpiringNonceHashNotSet()")
        descriptor = Descriptor(sender, payee, operator, token, salt, signer, self.expiring_nonce_hash)
        channel = self.identity(descriptor)
        if self.get(channel) != NO_STATE:
            raise Revert("ChannelAlreadyExists()")
        self.ledger.move(token, sender, ADDRESS, deposit)
        self._put(descriptor, State(0, deposit, 0))
        named = abi.account(operator), abi.account(token), abi.account(signer), salt, self.expiring_nonce_hash
        self._log(OPENED, descriptor, *named, abi.uint(deposit))
        return channel

    def top_up(self, sender: str, descriptor: Descriptor, amount: int) -> None:
        """Add to the deposit. This cancels a pending close request."""
        state = self._for_payer(sender, descriptor)
        if state.deposit + amount > UINT96_MAX:
            raise Revert("DepositOverflow()")
        self.ledger.move(descriptor.token, sender, ADDRESS, amount)
        self._put(descriptor, dataclasses.replace(state, deposit=state.deposit + amount, close_requested_at=0))
        self._log(TOPPED_UP, descriptor, abi.uint(amount), abi.uint(state.deposit + amount))
        if state.close_requested_at:
            self._log(CLOSE_REQUEST_CANCELLED, descriptor)

    def settle(self, sender: str, descriptor: Descriptor, cumulative: int, signature: bytes) -> None:
        """Pay the payee what a voucher authorizes beyond the settled amount; the channel stays open."""
        state = self._for_payee(sender, descriptor)
        if cumulative <= state.settled:
            raise Revert("AmountNotIncreasing()")
        self._check(descriptor, state, cumulative, cumulative, signature)
        delta = cumulative - state.settled
        self.ledger.move(descriptor.token, ADDRESS, descriptor.payee, delta)
        self._put(descriptor, dataclasses.replace(state, settled=cumulative))
        self._log(SETTLED, descriptor, *map(abi.uint, (cumulative, delta, cumulative)))

    def close(self, sender: str, descriptor: Descriptor, cumulative: int, capture: int, signature: bytes) -> None:
        """Settle ``capture`` of a last voucher, refund the rest to the payer, and forget the channel."""
        state = self._for_payee(sender, descriptor)
        if not state.settled <= capture <= cumulative:
            raise Revert("CaptureAmountInvalid()")
        if capture > state.settled:
            self._check(descriptor, state, cumulative, capture, signature)
            self.ledger.move(descriptor.token, ADDRESS, descriptor.payee, capture - state.settled)
        self._end(descriptor, capture, state.deposit - capture)

    def request_close(self, sender: str, descriptor: Descriptor) -> None:
        """Announce that the payer will withdraw after the grace period."""
        state = self._for_payer(sender, descriptor)
        if not state.close_requested_at:
            self._put(descriptor, dataclasses.replace(state, close_requested_at=self.timestamp))
            self._log(CLOSE_REQUESTED, descriptor, abi.uint(self.timestamp + CLOSE_GRACE_PERIOD))

    def withdraw(self, sender: str, descriptor: Descriptor) -> None:
        """Return the unsettled deposit to the payer after the grace period, and forget the channel."""
        state = self._for_payer(sender, descriptor)
        if not state.close_requested_at or self.timestamp < state.close_requested_at + CLOSE_GRACE_PERIOD:
            raise Revert("CloseNotReady()")
        self._end(descriptor, state.settled, state.deposit - state.settled)

    def identity(self, descriptor: Descriptor) -> bytes:
        """Compute the id of a channel."""
        return descriptor.channel_id(ADDRESS, self.chain_id)

    def _live(self, descriptor: Descriptor) -> State:
        state = self.get(self.identity(descriptor))
        if state == NO_STATE:
            raise Revert("ChannelNotFound()")
        return state

    def _for_payer(self, sender: str, descriptor: Descriptor) -> State:
        state = self._live(descriptor)
        if sender != descriptor.payer:
            raise Revert("NotPayer()")
        return state

    def _for_payee(self, sender: str, descriptor: Descriptor) -> State:
        state = self._live(descriptor)
        if sender not in (descriptor.payee, descriptor.operator):
            raise Revert("NotPayeeOrOperator()")
        return state

    def _check(self, descriptor: Descriptor, state: State, cumulative: int, capture: int, signature: bytes) -> None:
        """Check that the channel's signer signed a voucher, and that the deposit covers what is captured of it."""
        if capture > state.deposit:
            raise Revert("AmountExceedsDeposit()")
        digest = voucher_digest(
            self.identity(descriptor), cumulative, escrow=ADDRESS, chain_id=self.chain_id, protocol=V2
        )
        try:
            signer = recover(digest, signature)
        except SignatureError:
            raise Revert("InvalidSignature()") from None
        if signer != descriptor.signer:
            raise Revert("InvalidSignature()")

    def _end(self, descriptor: Descriptor, captured: int, refund: int) -> None:
        self.ledger.move(descriptor.token, ADDRESS, descriptor.payer, refund)
        self.ledger.connection.execute("DELETE FROM reserves WHERE id = ?", (to_hex(self.identity(descriptor)),))
        self._log(CLOSED, descriptor, abi.uint(captured), abi.uint(refund))

    def _put(self, descriptor: Descriptor, state: State) -> None:
        self.ledger.connection.execute(
            "INSERT OR REPLACE INTO reserves VALUES (?, ?, ?, ?)",
            (to_hex(self.identity(descriptor)), str(state.settled), str(state.deposit), state.close_requested_at),
        )

    def _log(self, signature: str, descriptor: Descriptor, *words: bytes) -> None:
        parties = abi.account(descriptor.payer), abi.account(descriptor.payee)
        self.ledger.log(ADDRESS, signature, (self.identity(descriptor), *parties), *words)
