"""Carry out the four actions of a credential: what they do on the chain and in the accounts."""

from __future__ import annotations

import asyncio
import hashlib
import json
import secrets
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ando_cli.sandbox.chain.node import RpcError
from ando_cli.sandbox.chain.transaction import build, sponsor
from ando_cli.sandbox.gateway import quotes, sponsorship
from ando_cli.sandbox.gateway.accounts import Accounts, Exhausted, InFlight, Request
from ando_cli.sandbox.gateway.backend import UNREACHABLE, Backend, broadcast, chain_time
from ando_cli.sandbox.gateway.challenges import INTENT, METHOD, Network, Terms, timestamp
from ando_cli.sandbox.gateway.protocol import SessionProtocol, refused, transaction_of
from ando_cli.sandbox.gateway.session_rows import Accepted, Answer, Session
from ando_cli.sandbox.primitives import keccak, to_hex
from ando_cli.sandbox.problems import Problem

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from ando_cli.sandbox.chain.voucher import Channel
    from ando_cli.sandbox.gateway.credentials import Credential
    from ando_cli.sandbox.gateway.quotes import Quote
    from ando_cli.sandbox.settings import Settings

RESERVATION_SECONDS = 5.0
CLOSE_GAS = 2_000_000
EXPIRY_SECONDS = 25
POLL_SECONDS = 0.05


@dataclass(frozen=True)
class Order:
    """Hold a paid request whose challenge was recognised."""

    credential: Credential
    terms: Terms
    quoted: Quote
    settings: Settings
    fingerprint: str


def fingerprint(authorization: str, idempotency_key: str | None) -> str:
    """Hash what a retry must have in common with the first attempt to receive the same answer."""
    # Without an idempotency key, nothing tells a retry from a second request.
    text = f"{idempotency_key or secrets.token_hex()}\n{authorization}"
    return hashlib.sha256(text.encode(errors="surrogateescape")).hexdigest()


class Cashier:
    """Carry out the four actions of a credential."""

    def __init__(
        self,
        network: Network,
        payee_key: bytes,
        backend: Backend,
        accounts: Accounts,
        protocols: Mapping[str, SessionProtocol],
    ) -> None:
        self._network = network
        self._protocols = protocols
        self._key = payee_key
        self._backend = backend
        self._accounts = accounts

    async def replay(self, challenge_id: str, print_: str) -> Answer | None:
        """Return the stored answer to a byte-identical retry; wait for the first attempt if it is still under way.

        Raises:
            Problem: The challenge was used for another request.
        """
        while True:
            try:
                answer = self._accounts.answer(challenge_id)
                break
            except InFlight:
                await asyncio.sleep(POLL_SECONDS)
        if answer is not None and answer.fingerprint != print_:
            raise Problem("mpp_invalid_challenge", "The challenge was already used.")
        return answer

    async def carry_out(self, order: Order) -> Answer:
        """Verify the payment and carry out the action of the credential.

        Raises:
            Problem: The payment is refused; no receipt is due.
        """
        source = order.credential.source
        if source.chain_id != self._network.chain_id:
            raise Problem("mpp_payment_verification_failed", "The source is on another chain.")
        if source.payer in order.settings.denied_payers:
            raise Problem("mpp_payer_not_allowed")
        try:
            match order.credential.action:
                case "open":
                    return await self._open(order)
                case "topUp":
                    return await self._top_up(order)
                case "close":
                    return await self._close(order)
                case _:
                    return await self._voucher(order)
        except RpcError as error:
            raise Problem("mpp_reservation_failed", f"The chain does not answer: {error.message}.") from error

    async def _open(self, order: Order) -> Answer:
        voucher = order.credential.voucher
        protocol = self._protocol(order)

        async def is_open(_: str) -> bool:
            channel = await protocol.channel(order.credential, order.terms)
            return channel.exists and channel.deposit > 0

        # If the channel is open on chain already, only the answer got lost: the open is not sent or paid twice.
        opened = await is_open("")
        if not opened:
            await self._check_fee_payer(order)
        pending = protocol.pending(order.credential, order.terms)
        protocol.check_voucher(voucher, pending)
        transaction_hash = None if opened else await self._send(order, "open", is_open)
        channel = await self._channel(order)
        return await self._serve(order, channel, transaction_hash)

    async def _voucher(self, order: Order) -> Answer:
        channel = await self._channel(order)
        return await self._serve(order, channel, None)

    async def _serve(self, order: Order, channel: Channel, transaction_hash: str | None) -> Answer:
        """Accept the voucher, get the answer and charge its cost; reserve the cost first if the model is slow.

        A management request has no answer and no cost.
        """
        settings = order.settings
        self._protocol(order).check_voucher(order.credential.voucher, channel)
        request = _request(order, channel)
        if order.quoted.management:
            return self._accounts.accept(
                request, Answer(order.fingerprint, 204, _receipt(order, transaction_hash), b"")
            )
        body, usage = quotes.answer(order.quoted, settings)
        answer = Answer(order.fingerprint, 200, _receipt(order, transaction_hash), body)
        try:
            if not settings.model_seconds:
                return self._accounts.charge(request, usage.cost, answer)
            self._accounts.reserve(request, settings.model_seconds + RESERVATION_SECONDS)
        except Exhausted as error:
            raise _exhausted(order, error.session) from None
        await asyncio.sleep(settings.model_seconds)
        committed = self._accounts.commit(request, usage.cost, answer)
        if committed is None:
            raise Problem("mpp_commit_failed")
        return committed

    async def _top_up(self, order: Order) -> Answer:
        credential = order.credential
        before = await self._channel(order)
        await self._check_fee_payer(order)
        self._protocol(order).check_top_up(credential)

        async def is_mined(transaction_hash: str) -> bool:
            receipt = await self._backend.rpc("eth_getTransactionReceipt", [transaction_hash])
            return bool(receipt) and int(receipt["status"], 16) == 1

        transaction_hash = await self._send(order, "topUp", is_mined)
        session = self._accounts.session(to_hex(credential.channel_id), before.settled)
        receipt = _receipt(order, transaction_hash) | session.amounts()
        answer = Answer(order.fingerprint, 204, receipt, b"")
        self._accounts.keep(order.terms.id, answer)
        return answer

    async def _close(self, order: Order) -> Answer:
        voucher = order.credential.voucher
        channel = await self._channel(order)
        self._protocol(order).check_voucher(voucher, channel)
        self._protocol(order).check_close(order.credential, channel, order.settings.require_close_signature)
        key = to_hex(voucher.channel_id)
        session = self._accounts.begin_close(key, channel.settled)
        closed = False
        try:
            # The escrow captures no less than what was settled before.
            captures = max(session.spent, channel.settled)
            if voucher.cumulative_amount < captures:
                why = "spent" if captures == session.spent else "on-chain settled"
                raise refused(f"close voucher amount must be >= {captures} ({why})")
            transaction_hash = await self._close_on_chain(order, captures)
            captured = {"acceptedCumulative": str(voucher.cumulative_amount)}
            receipt = _receipt(order, transaction_hash) | session.amounts() | captured
            answer = Answer(order.fingerprint, 204, receipt, b"")
            self._accounts.end_close(key, order.terms.id, answer)
            closed = True
        finally:
            if not closed:
                self._accounts.cancel_close(key)
        return answer

    async def _close_on_chain(self, order: Order, captures: int) -> str:
        call = self._protocol(order).close_call(order.credential, captures)
        try:
            raw = build(
                self._key,
                chain_id=self._network.chain_id,
                calls=[call],
                fee_token=self._network.token,
                valid_before=await chain_time(self._backend) + EXPIRY_SECONDS,
                gas_limit=CLOSE_GAS,
                max_fee_per_gas=2 * int(await self._backend.rpc("eth_gasPrice", []), 16),
            )
            receipt = await broadcast(self._backend, raw)
        except RpcError as error:
            raise Problem("mpp_session_close_failed", f"The chain refused the close: {error.message}.") from error
        if int(receipt["status"], 16) != 1:
            raise Problem("mpp_session_close_failed", "The close transaction reverted.")
        return str(receipt["transactionHash"])

    async def _check_fee_payer(self, order: Order) -> None:
        """Check that who is to pay the fee of the transaction is who the challenge says, and agrees to pay it."""
        transaction = transaction_of(order.credential)
        if transaction.awaits_fee_payer != order.terms.fee_payer:
            offered = "offers a" if order.terms.fee_payer else "offered no"
            raise refused(f"The challenge {offered} fee payer.")
        if transaction.awaits_fee_payer:
            form = self._protocol(order).sponsored_form(order.credential.action)
            sponsorship.check(transaction, form, self._network, order.terms, await chain_time(self._backend))

    async def _send(self, order: Order, what: str, is_done: Callable[[str], Awaitable[bool]]) -> str:
        """Broadcast the transaction of the credential, countersigned if it waits for a fee payer; return its hash.

        ``is_done`` takes the hash, and tells whether the chain refuses the transaction because it was mined before.
        """
        raw = order.credential.transaction
        if transaction_of(order.credential).awaits_fee_payer:
            raw = sponsor(raw, self._key, self._network.token)
        try:
            receipt = await broadcast(self._backend, raw)
        except RpcError as error:
            if error.code == UNREACHABLE:
                # It may have arrived: nobody here can say that nothing happened.
                raise Problem("internal-payment-error") from error
            transaction_hash = to_hex(keccak(raw))
            if await is_done(transaction_hash):
                return transaction_hash
            raise refused(f"The chain refused the {what} transaction: {error.message}.") from error
        if int(receipt["status"], 16) != 1:
            raise refused(f"The {what} transaction reverted.")
        return str(receipt["transactionHash"])

    async def _channel(self, order: Order) -> Channel:
        """Return the current on-chain state of the credential's channel, if the channel is usable."""
        credential, protocol = order.credential, self._protocol(order)
        channel = await protocol.channel(credential, order.terms)
        try:
            return protocol.usable(channel, credential)
        except Problem as problem:
            # The v2 escrow forgets closed channels; the gateway does not.
            known = self._accounts.known(to_hex(credential.channel_id))
            if problem.code == "session/channel-not-found" and known is not None and known.closed:
                raise Problem("session/channel-finalized") from None
            raise

    def _protocol(self, order: Order) -> SessionProtocol:
        return self._protocols[order.terms.protocol]


def _exhausted(order: Order, session: Session) -> Problem:
    """Describe a bucket that does not hold the highest possible cost of the request."""
    if order.settings.charge == "metered":
        return Problem("mpp_voucher_bucket_refresh_required")
    missing = session.spent + session.reserved + order.quoted.max_cost - session.accepted
    extensions = {"requiredTopUp": str(missing), "channelId": session.channel_id}
    return Problem("session/insufficient-balance", extensions=extensions)


def _request(order: Order, channel: Channel) -> Request:
    credential, voucher = order.credential, order.credential.voucher
    accepted = Accepted(
        channel_id=to_hex(voucher.channel_id),
        cumulative=voucher.cumulative_amount,
        signature=to_hex(voucher.signature),
        protocol=order.terms.protocol,
        payer=channel.payer,
        descriptor=json.dumps(credential.descriptor.to_json()) if credential.has_descriptor else "",
    )
    stale = order.settings.takes_stale_vouchers
    # An open sets the first voucher; only one after it rises.
    min_rise = 0 if credential.action == "open" else order.settings.min_voucher_delta or 0
    return Request(order.terms.id, accepted, channel.settled, order.quoted.max_cost, stale, min_rise)


def _receipt(order: Order, transaction_hash: str | None) -> dict[str, Any]:
    channel = to_hex(order.credential.channel_id)
    receipt = {
        "method": METHOD,
        "intent": INTENT,
        "status": "success",
        "timestamp": timestamp(time.time()),
        "reference": channel,
        "challengeId": order.terms.id,
        "channelId": channel,
    }
    return receipt if transaction_hash is None else receipt | {"txHash": transaction_hash}
