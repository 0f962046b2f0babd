"""Checks of the gateway and the chain, without a credential and without paying."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from ando_cli.doctor.report import Line, Status
from ando_cli.errors import AndoError, PaymentError
from ando_cli.frozen import frozen
from ando_cli.http.client import AndoClient
from ando_cli.http.dates import server_time
from ando_cli.http.failures import failure
from ando_cli.inference import paid
from ando_cli.inference.models import MODELS_PATH
from ando_cli.inference.request import Request
from ando_cli.money import amount
from ando_cli.mpp.challenge import parse_fields
from ando_cli.mpp.malformed import MalformedError
from ando_cli.mpp.session import parse_session_request
from ando_cli.redact import clean, host_only
from ando_cli.session.act.chain import TRANSACTION_SECONDS
from ando_cli.session.decide.policy import Trust, check_trust

if TYPE_CHECKING:
    import httpx

    from ando_cli.config.settings import Settings

_CLOCK_TOLERANCE = 5
"""Seconds that a clock may be off without a warning: an HTTP date has whole seconds, and answers take time."""


@frozen
class Seen:
    """A server's lines, and how many seconds its clock is ahead of ours, if it reported the time."""

    lines: tuple[Line, ...]
    ahead: float | None = None


def gateway(settings: Settings, pinned_payee: str | None, timeout: float) -> Seen:
    """Ask the gateway for its models and for a price. Nothing is paid: the expected answer is a challenge."""
    client = AndoClient(settings.base_url, None, connect_timeout=timeout, timeout=timeout)
    where = clean(settings.gateway, 100)
    try:
        listed = client.send(Request(MODELS_PATH, method="GET", headers=()))
        listed.close()
        ahead = _ahead(listed)
        reached = _reached(where, listed)
        priced = client.send(paid.smallest())
        priced.close()
    except AndoError as error:
        return Seen((Line.of_error("gateway", error),))
    finally:
        client.close()
    return Seen((reached, _price(priced, settings, pinned_payee)), ahead if ahead is not None else _ahead(priced))


def chain(settings: Settings, timeout: float) -> Seen:
    """Ask the RPC which chain it serves, and for the chain's time."""
    from ando_cli.tempo.rpc import Rpc

    network = settings.network
    where = host_only(network.rpc_url)
    try:
        with Rpc(network.rpc_url, timeout=timeout) as rpc:
            served = rpc.chain_id()
            ahead = rpc.latest_timestamp() - time.time()
    except AndoError as error:
        return Seen((Line.of_error("RPC", error),))
    if served != network.chain_id:
        found = f"{where} serves chain {served}, and {network.name} is {network.chain_id}"
        fix = "check --rpc-url, ANDO_RPC_URL and rpc_url in config.toml"
        return Seen((Line("RPC", Status.PASS, where), Line("chain", Status.FAIL, found, fix)))
    return Seen(
        (Line("RPC", Status.PASS, where), Line("chain", Status.PASS, f"{served}, which is {network.name}")), ahead
    )


def balance(settings: Settings, address: str, timeout: float) -> int:
    """Return what ``address`` holds of the network's token, in base units.

    Raises:
        NetworkError: the chain cannot be queried.
    """
    from ando_cli.tempo.rpc import Rpc

    with Rpc(settings.network.rpc_url, timeout=timeout) as rpc:
        return rpc.balance(settings.network.token, address)


def clock(gateway_ahead: float | None, chain_ahead: float | None) -> Line:
    """Compare our clock with theirs. An idle chain's latest block is old, so only a block ahead of us is evidence.

    Paying blames the clock at half of the ``TRANSACTION_SECONDS`` that a transaction is valid for.
    """
    known = {"the gateway's": gateway_ahead, "the chain's": chain_ahead}
    names = " and ".join(name for name, ahead in known.items() if ahead is not None)
    if not names:
        return Line("clock", Status.WARN, "nothing to compare it with", "fix what failed above")
    behind = max(ahead for ahead in known.values() if ahead is not None)
    if behind > _CLOCK_TOLERANCE:
        off, side = behind, "behind"
    elif gateway_ahead is not None and -gateway_ahead > _CLOCK_TOLERANCE:
        off, side = -gateway_ahead, "ahead of"
    else:
        return Line("clock", Status.PASS, f"agrees with {names}")
    status = Status.FAIL if off > TRANSACTION_SECONDS / 2 else Status.WARN
    return Line("clock", status, f"{off:.0f} seconds {side} {names}", "set this computer's clock, or let it follow NTP")


def _reached(where: str, response: httpx.Response) -> Line:
    status = response.status_code
    if response.is_success or status in (401, 403):
        return Line("gateway", Status.PASS, f"{where} answers")
    if status >= 500 or status == 429:
        return Line("gateway", Status.WARN, f"{where} answers {status} when asked for its models", "try again later")
    return Line("gateway", Status.WARN, f"{where} answers {status} when asked for its models", "check base_url")


def _price(response: httpx.Response, settings: Settings, pinned_payee: str | None) -> Line:
    """Return the line on the paid route's answer to an unpaid request."""
    name, network = "paid route", settings.network
    if response.is_success:
        return Line(name, Status.WARN, "does not ask for payment", "check base_url")
    if response.status_code != 402:
        error = failure(response)
        return Line(name, Status.FAIL, error.message, error.hint)
    try:
        requests = [
            parse_session_request(challenge)
            for challenge in parse_fields(response.headers.raw)[0]
            if (challenge.method.lower(), challenge.intent.lower()) == ("tempo", "session")
        ]
    except MalformedError as malformed:
        return Line(name, Status.FAIL, f"its challenge is malformed: {malformed}", "report it to the gateway")
    refused: PaymentError | None = None
    for request in requests:
        try:
            check_trust(request, Trust(network, pinned_payee))
        except PaymentError as error:
            refused = refused or error
            continue
        price = f"{amount(request.amount)} {network.token_symbol}"
        return Line(
            name, Status.PASS, f"asks for {price} on {network.name}, session protocol {request.session_protocol}"
        )
    if refused is not None:
        return Line.of_error(name, refused)
    return Line(name, Status.FAIL, "does not accept tempo/session payments", "check base_url")


def _ahead(response: httpx.Response) -> float | None:
    told = server_time(response)
    return None if told is None else told - time.time()
