"""Errors for failed requests: an answer that is not a success, or no answer."""

from __future__ import annotations

import math
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING

import httpx

from ando_cli.errors import BudgetExceededError, Code, LostAnswerError, NetworkError, PaymentError, ServerError
from ando_cli.http.dates import retry_after
from ando_cli.http.extensions import CREDENTIAL, CUT, DEPOSITED, FAILURE, KEY_ROUTE, KEYED, RESENT
from ando_cli.http.routes import bad_url
from ando_cli.http.transport import NOT_SENT
from ando_cli.http.wire import ProxyConnectError, UntrustedCertificateError
from ando_cli.money import amount
from ando_cli.mpp.advice import remedy
from ando_cli.mpp.problem import parse_problem, request_id
from ando_cli.redact import clean

if TYPE_CHECKING:
    from collections.abc import Iterator


@contextmanager
def reading_errors() -> Iterator[None]:
    """Turn what httpx raises into errors for people."""
    try:
        yield
    except (httpx.InvalidURL, httpx.UnsupportedProtocol, UnicodeError):
        raise bad_url() from None
    except httpx.TransportError as error:
        raise _no_answer(error) from None
    except httpx.DecodingError:
        raise ServerError("the answer is compressed in a way that cannot be read", hint="try again") from None


def failure(response: httpx.Response) -> PaymentError | ServerError:
    """Return the error for an answer that is not a success."""
    problem = parse_problem(response.status_code, response.content)
    named = request_id(response.headers)
    where = f" (request {named})" if named else ""
    known = response.extensions.get(FAILURE)
    told = "authorization" in response.request.headers and _key_failure(response, where)
    if isinstance(known, PaymentError):
        error: PaymentError | ServerError = known
    elif told:
        error = told
    elif 300 <= response.status_code < 400:
        error = ServerError(
            f"the server answered with a redirect ({response.status_code}), which is not followed",
            hint="a payment must not follow a redirect; use the final URL",
            code=Code.REDIRECT,
        )
    elif response.status_code == 402:
        own = ": it carries an Authorization of its own" if "authorization" in response.request.headers else ""
        error = PaymentError(
            f"the server wants to be paid: {problem.message}", hint=f"this request was not paid{own}", code=problem.code
        )
    else:
        general = "check the request" if response.status_code < 500 else "try again later"
        hint = remedy(problem.canonical) or general
        again = _can_be_repeated(response)
        error = ServerError(
            f"the server answered {response.status_code}: {problem.message}{where}",
            hint=hint,
            code=problem.code,
            retryable=again,
            retry_after=_retry_after(response) if again else None,
        )
    deposited = response.extensions.get(DEPOSITED)
    if deposited:
        error = error.with_message(f"a deposit of {amount(deposited)} was sent; then {error.message}")
    return error.with_answer(response.content, named)


def check_whole(response: httpx.Response) -> None:
    """Check that all of an answer is there.

    Raises:
        LostAnswerError: only a part is, which is its ``body``.
    """
    if CUT in response.extensions:
        raise LostAnswerError(
            f"the answer is cut: {len(response.content)} bytes of it came, and the rest is missing",
            hint="`ando spend` shows what it can have cost; asking again may be charged again",
            code=Code.ANSWER_CUT,
            request_id=request_id(response.headers),
            body=response.content,
        )


def _can_be_repeated(response: httpx.Response) -> bool:
    """Whether the request can be sent again later without the risk of paying twice: it was not paid, or not taken."""
    status, request = response.status_code, response.request
    if CREDENTIAL in request.extensions:
        return False
    if _may_cost(request):
        return status in (429, 503)
    return status == 429 or (status >= 500 and status != 501)


def _may_cost(request: httpx.Request) -> bool:
    """Whether somebody may be charged for a request that was not paid here: it carries a key, or the caller's own."""
    return "authorization" in request.headers and request.method not in ("GET", "HEAD")


def _retry_after(response: httpx.Response) -> int | None:
    pause = retry_after(response.headers, time.time())
    return None if pause is None else math.ceil(pause)


def _key_failure(response: httpx.Response, where: str) -> PaymentError | ServerError | None:
    """The error for an answer that is about the Virtual Key that was sent; ``None`` where it is about another thing."""
    scheme, _, key = response.request.headers["authorization"].partition(" ")
    if scheme.lower() != "bearer":
        return None
    problem = parse_problem(response.status_code, response.content)
    message = problem.message.replace(key, "…") if key else problem.message  # some servers quote it
    match response.status_code:
        case 401:
            return ServerError(
                f"the gateway does not accept the Virtual Key: {message}{where}",
                hint="the key is wrong, revoked, or for another route; check it in Ando, then run `ando key set`",
                code=Code.KEY_REFUSED,
            )
        case 402 if KEY_ROUTE in response.request.extensions or KEYED in response.request.extensions:
            return BudgetExceededError(
                f"the Virtual Key's budget is exhausted: {message}{where}",
                hint="raise the connection's limit in Ando, or pay per use with --rail mpp; nothing was paid here",
                code=Code.KEY_BUDGET_EXHAUSTED,
            )
        case 429:
            pause = _retry_after(response)
            when = "later" if pause is None else f"in {pause} seconds"
            return ServerError(
                f"the gateway received too many requests with this key: {message}{where}",
                hint=f"try again {when}, one request at a time",
                code=Code.RATE_LIMITED,
                retry_after=pause,
            )
    return None


def spends_key(request: httpx.Request) -> bool:
    """Return whether a Virtual Key is charged for the request."""
    return request.headers.get("authorization", "").startswith("Bearer ") and request.method == "POST"


def _no_answer(error: httpx.TransportError) -> NetworkError:
    paid = CREDENTIAL in error.request.extensions
    host = error.request.url.host
    if isinstance(error, NOT_SENT):
        again = "; the voucher stays valid for the next request" if paid else ""
        return no_connection(error, host, then=f"nothing was sent{again}")
    what = "did not answer in time" if isinstance(error, httpx.TimeoutException) else "broke off the connection"
    if paid:
        what = "did not answer the paid request, sent twice" if RESENT in error.request.extensions else what
        return LostAnswerError(
            f"{host} {what}: whether it was charged is unknown",
            hint="`ando spend` shows the most that it can have cost; asking again may be charged again",
        )
    if spends_key(error.request):
        return LostAnswerError(
            f"{host} {what}: whether the key was charged is unknown",
            hint="asking again may be charged again",
        )
    return NetworkError(
        f"{host} {what}",
        hint="nothing was paid; try again",
        code=Code.NO_ANSWER,
        retryable=not _may_cost(error.request),
    )


def no_connection(error: httpx.TransportError, host: str, *, then: str) -> NetworkError:
    """Make the error for a connection to ``host`` that did not come about.

    Args:
        error: one of ``NOT_SENT``.
        host: of the server, as it is shown.
        then: what follows from it, for the hint.
    """
    if isinstance(error, UntrustedCertificateError):
        return NetworkError(
            f"the certificate of {host} is not to be trusted: {clean(str(error), 120)}",
            hint=f"{then}; check the URL and the clock, or name your own authority in SSL_CERT_FILE",
            code=Code.CERTIFICATE_UNTRUSTED,
        )
    if isinstance(error, ProxyConnectError):
        return NetworkError(
            f"cannot connect to {host}: {clean(str(error), 120)}",
            hint=f"{then}; correct HTTPS_PROXY or ALL_PROXY, or set NO_PROXY for this host",
            code=Code.PROXY_FAILED,
        )
    return NetworkError(
        f"cannot connect to {host}", hint=f"check the network and the URL; {then}", code=Code.CONNECT_FAILED
    )
