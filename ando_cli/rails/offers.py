"""What a gateway offers to be paid with: the challenges of a 402, read and checked before anything is planned."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from ando_cli.errors import Code, KeyringUnusableError, PaymentError, UntrustedError, WalletMissingError
from ando_cli.http.dates import server_time
from ando_cli.mpp.challenge import Challenge, parse_challenges
from ando_cli.mpp.malformed import MalformedError
from ando_cli.mpp.problem import request_id
from ando_cli.mpp.session import SessionRequest, parse_session_request
from ando_cli.redact import clean
from ando_cli.session.decide import policy
from ando_cli.urls import may_carry_credentials

if TYPE_CHECKING:
    import httpx

    from ando_cli.rails.turn import Asked
    from ando_cli.session.act.session import Session
    from ando_cli.session.channel import Channel
    from ando_cli.tempo.protocol import Protocol

# What frames a message or is read on the way: a challenge cannot have its credential put there, nor into any header
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
    payee_accepted: bool = False
    """Whether the user accepted a payee that is not the pinned one. It is pinned when it is paid, not when quoted."""

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

    def take(self, response: httpx.Response, asked: Asked) -> Offer:
        """Return the offer to answer of ``response``, which is a 402 to ``asked``.

        Raises:
            PaymentError: there is none; for the first one that came close, says what is wrong with it.
        """
        told = server_time(response)
        self._session.tally.gateway_offset = None if told is None else told - self._session.clock.now()
        try:
            return self._choose(self._read(response, asked), asked.gateway)
        except PaymentError as error:
            raise error.with_answer(response.content, request_id(response.headers)) from None

    def live(self, gateway: str, offer: Offer) -> Channel | None:
        """Return the channel that would pay for ``offer``. Without a wallet there is none."""
        session = self._session
        try:
            return session.store.live(session.channel_key(gateway, offer.request))
        except (WalletMissingError, KeyringUnusableError):
            return None

    def _read(self, response: httpx.Response, asked: Asked) -> list[Offer]:
        """The challenges that can be answered, in their order; at least one."""
        if not may_carry_credentials(asked.url):
            raise UntrustedError(
                "a payment is not sent over plain http to another machine",
                hint="use the gateway's https URL; nothing was signed",
                code=Code.INSECURE_TRANSPORT,
            )
        challenges, malformed = parse_challenges(response.headers.get_list("www-authenticate"))
        offers: list[Offer] = []
        first_error: PaymentError | None = None
        for challenge in challenges:
            if (challenge.method.lower(), challenge.intent.lower()) != ("tempo", "session"):
                continue
            try:
                offers.append(self._check(challenge, asked))
            except PaymentError as error:
                first_error = first_error or error
        if offers:
            return self._of_protocol(offers)
        if first_error is not None:
            raise first_error
        if malformed and not challenges:
            raise _unusable(f"the gateway's challenge is malformed: {clean(malformed[0], 120)}")
        offered = ", ".join(clean(f"{c.method}/{c.intent}", 40) for c in challenges[:4])
        raise PaymentError(
            f"the gateway takes no tempo/session payment{f', only {offered}' if offered else ''}",
            hint="this 402 is not a challenge that ando can pay",
            code=Code.NO_CHALLENGE,
        )

    def _check(self, challenge: Challenge, asked: Asked) -> Offer:
        try:
            request = parse_session_request(challenge)
        except MalformedError as error:
            raise _unusable(f"the gateway's challenge is malformed: {clean(str(error), 120)}") from None
        if not challenge.digest_matches(asked.body):
            raise UntrustedError(
                "the challenge is for another request body than the one that was sent",
                hint="nothing was signed; something between here and the gateway may change requests",
                code=Code.DIGEST_MISMATCH,
            )
        if challenge.header and challenge.header.lower() in _TAKEN_HEADERS | asked.headers:
            raise _unusable("the gateway wants the credential in a header that has another purpose")
        session = self._session
        pinned = session.store.pinned_payee(asked.gateway, session.network.name)
        policy.check_trust(request, policy.Trust(session.network, pinned, self._accepted_payee))
        return Offer(challenge, request, payee_accepted=pinned not in (None, request.recipient))

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

        Of several channels the youngest counts. A gateway may offer both session protocols, in any order: that opens no
        second channel.
        """
        meant = None if self._channel_id is None else self._session.store.channel(self._channel_id)
        if meant is not None:
            for offer in offers:
                if meant.key == self._session.channel_key(gateway, offer.request):
                    return offer
        if len(offers) == 1:
            return offers[0]
        live = [(found.created_at, offer) for offer in offers if (found := self.live(gateway, offer))]
        return max(live, key=lambda each: each[0])[1] if live else offers[0]


def _unusable(message: str) -> PaymentError:
    return PaymentError(message, hint="nothing was signed; report it to the gateway", code=Code.MALFORMED_CHALLENGE)
