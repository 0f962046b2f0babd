"""Implement session protocol v1 at the gateway: channels of the escrow contract."""

from __future__ import annotations

from typing import TYPE_CHECKING, ClassVar

from ando_cli.sandbox.chain import abi
from ando_cli.sandbox.chain.escrow import CLOSE, OPEN, TOP_UP
from ando_cli.sandbox.chain.transaction import Call, Transaction
from ando_cli.sandbox.chain.voucher import UINT128_MAX, V1, Channel, channel_id
from ando_cli.sandbox.gateway.backend import get_channel
from ando_cli.sandbox.gateway.protocol import SessionProtocol, arguments, refused, transaction_of
from ando_cli.sandbox.gateway.sponsorship import APPROVE, Form
from ando_cli.sandbox.primitives import from_hex
from ando_cli.sandbox.problems import Problem

if TYPE_CHECKING:
    from ando_cli.sandbox.gateway.challenges import Terms
    from ando_cli.sandbox.gateway.credentials import Credential
    from ando_cli.sandbox.gateway.session_rows import Session


class ProtocolV1(SessionProtocol):
    """Use channels that are named by the hash of their parties and kept by a contract."""

    name: ClassVar[str] = V1
    max_amount: ClassVar[int] = UINT128_MAX

    def pending(self, credential: Credential, terms: Terms) -> Channel:
        """Read the ``open`` call, which may follow its approval."""
        _check_form(credential)
        transaction = transaction_of(credential)
        words = self._arguments(transaction, OPEN, 5)
        try:
            payee, token, signer = map(abi.to_account, (words[0], words[1], words[4]))
            deposit = abi.to_uint(words[2], 128)
        except abi.AbiError:
            raise refused("The open call does not decode.") from None
        identity = channel_id(
            payer=transaction.sender,
            payee=payee,
            token=token,
            salt=words[3],
            authorized_signer=signer,
            escrow=self.escrow,
            chain_id=self.network.chain_id,
        )
        if identity != credential.channel_id:
            raise refused("The transaction opens another channel than the credential names.")
        if credential.authorized_signer != signer:
            raise refused("The transaction names another authorized signer than the credential.")
        return self.usable(Channel(False, 0, transaction.sender, payee, token, signer, deposit, 0), credential)

    async def channel(self, credential: Credential, terms: Terms) -> Channel:
        """Ask the contract for the channel with the id in the payload."""
        _check_form(credential)
        return await get_channel(self.backend, self.escrow, credential.channel_id)

    async def channel_of(self, session: Session) -> Channel:
        """Ask the contract for the channel of the session."""
        return await get_channel(self.backend, self.escrow, from_hex(session.channel_id))

    def check_top_up(self, credential: Credential) -> None:
        """Compare the channel and the amount with those of the credential."""
        channel, amount = self._arguments(transaction_of(credential), TOP_UP, 2)
        if (channel, abi.to_uint(amount)) != (credential.channel_id, credential.additional_deposit):
            raise refused("The transaction does not make the top-up that the credential names.")

    def close_call(self, credential: Credential, spent: int) -> Call:
        """Settle all that the voucher authorizes: the contract cannot capture less."""
        voucher = credential.voucher
        words = voucher.channel_id, abi.uint(voucher.cumulative_amount), abi.uint(96)
        return Call(self.escrow, 0, abi.call(CLOSE, *words, abi.dynamic_bytes(voucher.signature)))

    def sponsored_form(self, action: str) -> Form:
        """Expect an approval of exactly the amount, and the call of the contract."""
        if action == "open":
            return Form(self.escrow, OPEN, words=5, amount=2, approved=True)
        return Form(self.escrow, TOP_UP, words=2, amount=1, approved=True)

    def sources(self, channel: Channel) -> tuple[str, ...]:
        """Return the payer alone."""
        return (channel.payer,)

    def _arguments(self, transaction: Transaction, function: str, count: int) -> list[bytes]:
        approval = self.network.token, abi.selector(APPROVE)
        return arguments(transaction, self.escrow, function, count, approval)


def _check_form(credential: Credential) -> None:
    if credential.has_descriptor:
        raise Problem(
            "mpp_malformed_credential", "A descriptor is part of session protocol v2, but the challenge is v1."
        )
