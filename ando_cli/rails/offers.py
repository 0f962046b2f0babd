"""A gateway's offers: the challenges of a 402, read and checked before anything is planned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ando_cli.errors import Code, KeyringUnusableError, PaymentError, UntrustedError, WalletMissingError
from ando_cli.http.dates import server_time
from ando_cli.mpp.challenge import Challenge, parse_fields
from ando_cli.mpp.malformed import MalformedError
from ando_cli.mpp.problem import request_id
from ando_cli.mpp.session import INTENT, METHOD, SessionRequest, parse_session_request
from ando_cli.redact import clean
from ando_cli.session.decide import policy
from ando_cli.urls import may_carry_credentials

if TYPE_CHECKING:
    from collections.abc import Collection

    import httpx

    from ando_cli.rails.turn import Asked
    from ando_cli.session.act.session import Session
    from ando_cli.session.channel import Channel
    from ando_cli.tempo.protocol import Protocol

# Headers that frame a message or are read on the way. A challenge cannot put its credential there, nor into a header
# that the request already carries.
_TAKEN_HEADERS = {
    "host", "connection", "content-length", "transfer-encoding", "te", "trailer", "upgrade", "expect", "keep-alive",
    "proxy-connection", "proxy-authorization", "cookie",
}  # fmt: skip


@dataclass(slots=True)
class Offer:
    """A challenge that passed every check, with the request that it carries.

    It is planned with until the next one comes, and answered at most once.
    """

    challenge: Challenge
    request: SessionRequest
    answered: bool = False
    replaces: str | None = None
    """The pinned payee in whose place the user accepted this one. That is recorded when it is paid, not when quoted."""

    def stale(self, now: float) -> bool:
        """Return whether another challenge is needed before anything can be sent."""
        return self.answered or self.challenge.expired(now)


class Offers:
    """Reads the challenges of answers, checks them against the policy, and chooses the one to answer.

    Args:
        session: knows the channels, and what is trusted.
        accepted_payee: the fingerprint of a changed payee that the user accepts.
        protocol: the session protocol that the user chose, where the gateway offers both.
        channel_id: the channel that is to pay, where one is meant.
    """

    def __init__(
        self,
        session: Session,
        *,
        accepted_payee: str | None = None,
        protocol: Protocol | None = None,
        channel_id: str | None = None,
    ) -> None:
        self._session = session
        self._accepted_payee = accepted_payee
        self._protocol = protocol
        self._channel_id = channel_id

    def take(self, response: httpx.Response, asked: Asked, answered: Collection[str] = ()) -> Offer:
        """Return the offer to answer of ``response``, which is a 402 to ``asked``.

        Args:
            response: the answer.
            asked: the request.
            answered: the ids of the challenges that were answered: none of them is again.

        Raises:
            PaymentError: there is none; for the one that came closest, says what is wrong with it.
        """
        told = server_time(response)
        self._session.tally.gateway_offset = None if told is None else told - self._session.clock.now()
        try:
            return self._choose(self._read(response, asked, answered), asked.gateway)
        except PaymentError as error:
            raise error.with_answer(response.content, request_id(response.headers)) from None

    def for_caller(self, response: httpx.Response, asked: Asked) -> bool:
        """Say whether a 402 is the caller's own affair: their ``Authorization`` stands where the credential would."""
        if "authorization" not in asked.headers:
            return False
        return not any(challenge.header for challenge in parse_fields(response.headers.raw)[0] if _is_ours(challenge))

    def live(self, gateway: str, offer: Offer) -> Channel | None:
        """Return the channel that would pay for ``offer``. Without a wallet there is none."""
        session = self._session
        try:
            return session.store.live(session.channel_key(gateway, offer.request))
        except (WalletMissingError, KeyringUnusableError):
            return None

    def _read(self, response: httpx.Response, asked: Asked, answered: Collection[str]) -> list[Offer]:
        """The challenges that can be answered, in their order; at least one."""
        if not may_carry_credentials(asked.url):
            raise UntrustedError(
                "a payment is not sent over plain http to another machine",
                hint="use the gateway's https URL; nothing was signed",
                code=Code.INSECURE_TRANSPORT,
            )
        challenges, malformed = parse_fields(response.headers.raw)
        offers: list[Offer] = []
        faults: list[tuple[int, PaymentError]] = []
        for challenge in filter(_is_ours, challenges):
            try:
                request = _request(challenge)
            except PaymentError as error:
                faults.append((-1, error))
                continue
            pinned = self._session.store.pinned_payee(asked.gateway, self._session.network.name)
            trust = policy.Trust(self._session.network, pinned, self._accepted_payee)
            try:
                offers.append(_check(challenge, request, trust, asked, answered))
            except PaymentError as error:
                faults.append((policy.fitting(request, trust), error))
        if offers:
            return self._of_protocol(offers)
        if faults:
            raise max(faults, key=lambda fault: fault[0])[1]
        if malformed and not challenges:
            raise _unusable(f"the gateway's challenge is malformed: {clean(malformed[0], 120)}")
        offered = ", ".join(clean(f"{c.method}/{c.intent}", 40) for c in challenges[:4])
        raise PaymentError(
            f"the gateway does not accept tempo/session payments{f', only {offered}' if offered else ''}",
            hint="ando cannot pay this 402; check the URL and --base-url",
            code=Code.NO_CHALLENGE,
        )

    def _of_protocol(self, offers: list[Offer]) -> list[Offer]:
        """The offers in the session protocol that the user chose, if they did."""
        if self._protocol is None:
            return offers
        chosen = [offer for offer in offers if offer.request.session_protocol == self._protocol]
        if not chosen:
            offered = " and ".join(sorted({offer.request.session_protocol for offer in offers}))
            raise PaymentError(
                f"the gateway offers session protocol {offered}, not {self._protocol}",
                hint="leave --protocol out; nothing was signed",
                code=Code.PROTOCOL_NOT_OFFERED,
            )
        return chosen

    def _choose(self, offers: list[Offer], gateway: str) -> Offer:
        """The offer that the channel in question pays for, or else any channel, or else the first.

        One that can be answered goes before one that has expired, but a channel that is there before another one. Of
        several channels the youngest counts. A gateway may offer both session protocols, in any order: that opens no
        second channel.
        """
        now = self._session.clock.now()
        offers = sorted(offers, key=lambda offer: offer.stale(now))
        meant = None if self._channel_id is None else self._session.store.channel(self._channel_id)
        if meant is not None:
            for offer in offers:
                if meant.key == self._session.channel_key(gateway, offer.request):
                    return offer
        if len(offers) == 1:
            return offers[0]
        live = [(not offer.stale(now), found.created_at, offer) for offer in offers
                if (found := self.live(gateway, offer))]  # fmt: skip
        return max(live, key=lambda each: each[:2])[2] if live else offers[0]


def _unusable(message: str) -> PaymentError:
    return PaymentError(message, hint="nothing was signed; report it to the gateway", code=Code.MALFORMED_CHALLENGE)


def _is_ours(challenge: Challenge) -> bool:
    return (challenge.method.lower(), challenge.intent.lower()) == (METHOD, INTENT)


def _request(challenge: Challenge) -> SessionRequest:
    try:
        return parse_session_request(challenge)
    except MalformedError as error:
        raise _unusable(f"the gateway's challenge is malformed: {clean(str(error), 120)}") from None


def _check(
    challenge: Challenge, request: SessionRequest, trust: policy.Trust, asked: Asked, answered: Collection[str]
) -> Offer:
    """The offer of ``challenge``, if that can be answered."""
    if not challenge.digest_matches(asked.body):
        raise UntrustedError(
            "the challenge is for another request body than the one that was sent",
            hint="nothing was signed; something between here and the gateway may change requests",
            code=Code.DIGEST_MISMATCH,
        )
    if (challenge.header or "Authorization").lower() in _TAKEN_HEADERS | asked.headers:
        raise _unusable("the gateway wants the credential in a header that has another purpose")
    policy.check_trust(request, trust)
    if challenge.id in answered:
        raise PaymentError(
            "the gateway sends a challenge again that was answered",
            hint="nothing more was authorised; report it to the gateway",
            code=Code.NO_FRESH_CHALLENGE,
        )
    changed = trust.pinned_payee not in (None, request.recipient)
    return Offer(challenge, request, replaces=trust.pinned_payee if changed else None)
