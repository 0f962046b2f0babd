"""Implement session protocol v2 at the gateway: channels of the escrow precompile (TIP-1034)."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, ClassVar

from ando_cli.sandbox.chain import abi
from ando_cli.sandbox.chain.descriptor import UINT96_MAX, WORDS, Descriptor
from ando_cli.sandbox.chain.node import RpcError
from ando_cli.sandbox.chain.reserve import State
from ando_cli.sandbox.chain.reserve_abi import CLOSE, GET_CHANNEL_STATE, OPEN, TOP_UP
from ando_cli.sandbox.chain.transaction import Call
from ando_cli.sandbox.chain.voucher import V2, Channel, close_digest
from ando_cli.sandbox.gateway.protocol import SessionProtocol, arguments, refused, transaction_of
from ando_cli.sandbox.gateway.sponsorship import Form
from ando_cli.sandbox.primitives import SignatureError, from_hex, recover, to_hex

if TYPE_CHECKING:
    from ando_cli.sandbox.gateway.challenges import Terms
    from ando_cli.sandbox.gateway.credentials import Credential
    from ando_cli.sandbox.gateway.session_rows import Session

NO_ANSWER = -32098


class ProtocolV2(SessionProtocol):
    """Use channels that are named by the hash of their descriptor, which every payload carries."""

    name: ClassVar[str] = V2
    max_amount: ClassVar[int] = UINT96_MAX

    def pending(self, credential: Credential, terms: Terms) -> Channel:
        """Read the one ``open`` call, and the nonce hash that names the channel."""
        described = self._descriptor(credential, terms)
        transaction = transaction_of(credential)
        words = arguments(transaction, self.escrow, OPEN, 6)
        if transaction.expiring_nonce_hash is None:
            raise refused("The open transaction has no expiring nonce.")
        try:
            payee, operator, token, signer = map(abi.to_account, (words[0], words[1], words[2], words[5]))
            deposit = abi.to_uint(words[3], 96)
        except abi.AbiError:
            raise refused("The open call does not decode.") from None
        opened = Descriptor(
            transaction.sender, payee, operator, token, words[4], signer, transaction.expiring_nonce_hash
        )
        if opened != described:
            raise refused("The transaction opens another channel than the credential describes.")
        if "authorizedSigner" in credential.payload and credential.authorized_signer != signer:
            raise refused("The descriptor names another authorized signer than the credential.")
        return self.usable(_channel(opened, State(0, deposit, 0)), credential)

    async def channel(self, credential: Credential, terms: Terms) -> Channel:
        """Ask the precompile for the state, and take the rest from the descriptor."""
        described = self._descriptor(credential, terms)
        return _channel(described, await self._state(credential.channel_id))

    async def channel_of(self, session: Session) -> Channel:
        """Ask the precompile for the state, and take the rest from the stored descriptor."""
        described = Descriptor.from_json(json.loads(session.descriptor))
        return _channel(described, await self._state(from_hex(session.channel_id)))

    def check_top_up(self, credential: Credential) -> None:
        """Compare the descriptor and the amount with those of the credential."""
        self.check_amount(credential.additional_deposit)
        words = arguments(transaction_of(credential), self.escrow, TOP_UP, WORDS + 1)
        named = credential.descriptor.encode() + abi.uint(credential.additional_deposit)
        if b"".join(words) != named:
            raise refused("The transaction does not make the top-up that the credential names.")

    def sponsored_form(self, action: str) -> Form:
        """Expect the call of the precompile alone."""
        if action == "open":
            return Form(self.escrow, OPEN, words=6, amount=3, approved=False)
        return Form(self.escrow, TOP_UP, words=WORDS + 1, amount=WORDS, approved=False)

    def check_close(self, credential: Credential, channel: Channel, required: bool) -> None:
        """Verify the ``closeSignature``: of payer or signer, over the channel and the amount of the voucher."""
        signature, voucher = credential.close_signature, credential.voucher
        if signature is None:
            if required:
                raise refused("The close carries no closeSignature.")
            return
        amount = voucher.cumulative_amount
        digest = close_digest(voucher.channel_id, amount, escrow=self.escrow, chain_id=self.network.chain_id)
        try:
            signer = recover(digest, signature)
        except SignatureError as error:
            raise refused(f"The closeSignature is invalid: {error}.") from None
        if signer not in self.sources(channel):
            raise refused("The closeSignature is not that of the payer or the authorized signer.")

    def close_call(self, credential: Credential, spent: int) -> Call:
        """Capture what was spent; the voucher may authorize more."""
        voucher = credential.voucher
        amounts = abi.uint(voucher.cumulative_amount), abi.uint(spent), abi.uint(32 * (WORDS + 3))
        signature = abi.dynamic_bytes(voucher.signature)
        return Call(self.escrow, 0, abi.call(CLOSE, credential.descriptor.encode(), *amounts, signature))

    def sources(self, channel: Channel) -> tuple[str, ...]:
        """Return the payer and the signer."""
        return channel.payer, channel.signer

    def _descriptor(self, credential: Credential, terms: Terms) -> Descriptor:
        described = credential.descriptor
        if described.channel_id(self.escrow, self.network.chain_id) != credential.channel_id:
            raise refused("The descriptor is that of another channel.")
        if described.operator != terms.operator:
            raise refused("The descriptor names another operator than the challenge.")
        return described

    async def _state(self, channel: bytes) -> State:
        data = abi.call(GET_CHANNEL_STATE, channel)
        result = await self.backend.rpc("eth_call", [{"to": self.escrow, "data": to_hex(data)}, "latest"])
        try:
            return State.decode(abi.words(from_hex(result), 3))
        except ValueError as error:
            raise RpcError(NO_ANSWER, "the escrow precompile did not answer getChannelState") from error


def _channel(described: Descriptor, state: State) -> Channel:
    return Channel(
        finalized=False,
        close_requested_at=state.close_requested_at,
        payer=described.payer,
        payee=described.payee,
        token=described.token,
        authorized_signer=described.authorized_signer,
        deposit=state.deposit,
        settled=state.settled,
    )
