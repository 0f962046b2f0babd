"""One JSON-RPC server: its requests and its errors.

The server is not trusted. Its answers are bounded in size and in time. Whatever goes wrong is one
:class:`~ando_cli.errors.NetworkError` that shows the server's host and nothing else of its URL, since hosted endpoints
carry their key in the path.
"""

from __future__ import annotations

import itertools
import json
import math
import secrets
import time
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, cast

import httpx

from ando_cli.errors import (
    Code,
    NetworkError,
    RpcAnswerError,
    RpcError,
    RpcRefusedError,
    RpcTimeoutError,
    RpcUnreachableError,
    UsageError,
)
from ando_cli.http import proxies
from ando_cli.http.dates import retry_after
from ando_cli.http.deadline import Deadline
from ando_cli.http.failures import no_connection
from ando_cli.http.wire import ProxyConnectError, UntrustedCertificateError, Wire
from ando_cli.redact import clean
from ando_cli.tempo.recursion import kept_recursion_limit

with kept_recursion_limit():
    from web3 import Web3
    from web3.exceptions import ContractLogicError, Web3RPCError
    from web3.providers.base import JSONBaseProvider

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from web3.types import RPCEndpoint, RPCResponse, TxParams

# A block of the public chain is well below this, every other answer is a few words.
_MAX_RESPONSE_BYTES = 4 * 1024 * 1024
_HINT = "check the network's rpc_url or try again later"
_BUSY = (429, 502, 503, 504)
"""HTTP statuses of a server that may answer another time."""
_TOO_MANY = 429
_LIMIT_EXCEEDED = -32005
"""The HTTP status, and the JSON-RPC error code (EIP-1474), for too many requests."""

_MAX_RETRIES = 8
_FIRST_PAUSE = 0.25


class Endpoint:
    """A connection to a server. Call :meth:`close` at the end.

    Args:
        url: ``http`` or ``https``; user name and password in it are sent as HTTP Basic authentication.
        timeout: seconds to connect, and for a whole answer: in them a server that has had too many requests is asked
            again. Nothing else is retried.
        deadline: bounds everything that is asked.

    Raises:
        UsageError: ``url`` cannot be used.
    """

    def __init__(self, url: str, *, timeout: float, deadline: Deadline | None = None) -> None:
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL:
            parsed = httpx.URL()
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise UsageError("the network has no usable RPC URL", hint="set rpc_url to an http:// or https:// URL")
        self.host = parsed.host
        self._secrets = _secrets(parsed)
        self._provider = _BoundedProvider(parsed, timeout, deadline or Deadline())
        # No middleware: web3's own would look up names, fill in gas and reject blocks that are not Ethereum's.
        self._web3 = Web3(self._provider, middleware=[])
        self.eth = self._web3.eth

    def close(self) -> None:
        """Close the connection."""
        self._provider.client.close()

    def call(self, what: str, contract: str, data: bytes, *, words: int, block: int | None = None) -> bytes:
        """Evaluate a read of ``contract``, whose answer must have that many words; at ``block``, or at the latest one.

        Raises:
            NetworkError: there is no such answer.
        """
        request: TxParams = {"to": Web3.to_checksum_address(contract), "data": Web3.to_hex(data)}
        with self.asking(what):
            # CCIP-Read would let the answer send us to URLs of its choice.
            answer = bytes(self.eth.call(request, "latest" if block is None else block, ccip_read_enabled=False))
            if len(answer) != 32 * words:
                reason = "it has the wrong length" if answer else "there is no such contract on this chain"
                raise WrongAnswerError(reason)
        return answer

    def request(self, method: str, *parameters: Any) -> Any:
        """Send one request and return its result as it came: any JSON. Use this inside :meth:`asking`."""
        return self._web3.manager.request_blocking(cast("RPCEndpoint", method), list(parameters))

    def decode(self, types: Sequence[str], data: bytes) -> tuple[Any, ...]:
        """Decode ABI-encoded values, each of which must be in its type's range. Use this inside :meth:`asking`."""
        return self._web3.codec.decode(types, data)

    @contextmanager
    def asking(self, what: str, act: str = "tell") -> Iterator[None]:
        """Turn every error of the block into a :class:`NetworkError`, without its cause, which quotes the URL.

        Args:
            what: what the server is asked for, as the message names it.
            act: the verb for the message of a refusal.
        """
        try:
            yield
        except (httpx.TimeoutException, TimeoutError):
            raise RpcTimeoutError(f"{self.host} did not answer in time for {what}", hint=_HINT) from None
        except httpx.HTTPStatusError as error:
            raise self._http_error(what, error.response) from None
        except (UntrustedCertificateError, ProxyConnectError) as error:
            raise no_connection(error, self.host, then=f"{what} is not known") from None
        except httpx.HTTPError:
            raise RpcUnreachableError(f"{self.host} could not be reached for {what}", hint=_HINT) from None
        except ContractLogicError:
            reason = f"the contract refused a call of {self.host} for {what}"
            raise RpcError(reason, hint=_HINT, code=Code.RPC_REVERTED) from None
        except Web3RPCError as error:
            raise self._refused(f"{self.host} refused to {act} {what}", error) from None
        except UsageError:
            raise  # the proxy that the environment names cannot be used
        except WrongAnswerError as error:
            raise RpcAnswerError(f"{self.host} gave a wrong answer for {what}: {error}", hint=_HINT) from None
        # web3 and its decoders raise ValueError, TypeError, KeyError, RecursionError and more over what a server
        # sends, and none of it may end the program with a traceback.
        except Exception as error:
            reason = f"{self.host} gave an answer for {what} that makes no sense ({type(error).__name__})"
            raise RpcAnswerError(reason, hint=_HINT) from None

    def _http_error(self, what: str, response: httpx.Response) -> NetworkError:
        status, pause = response.status_code, retry_after(response.headers, time.time())
        proxy = proxies.choose(str(response.request.url)) if status == 407 else None
        if proxy is not None:
            return NetworkError(
                f"the proxy {proxies.shown(proxy)} answered 407 when {self.host} was asked for {what}",
                hint="give HTTP_PROXY or ALL_PROXY the right user and password, or set NO_PROXY for this host",
                code=Code.PROXY_FAILED,
            )
        again = status in _BUSY
        return RpcError(
            f"{self.host} answered HTTP {status} when asked for {what}",
            hint=_HINT,
            code=Code.RPC_HTTP_ERROR,
            retryable=again,
            retry_after=math.ceil(pause) if again and pause is not None else None,
        )

    def _refused(self, reason: str, error: Web3RPCError) -> RpcRefusedError:
        """The error for a JSON-RPC error, which is quoted where it quotes no secret."""
        told: Any = (error.rpc_response or {}).get("error")
        body: dict[str, Any] = told if isinstance(told, dict) else {}
        code, message = body.get("code"), body.get("message")
        quoted = None
        if isinstance(message, str) and not any(secret in message for secret in self._secrets):
            quoted = clean(message, 120)
        return RpcRefusedError(
            reason if quoted is None else f"{reason}: {quoted}",
            hint=_HINT,
            retryable=code == _LIMIT_EXCEEDED,
            rpc_code=code if isinstance(code, int) else None,
            rpc_message=quoted,
        )


class WrongAnswerError(Exception):
    """An answer that is well-formed JSON-RPC and not what was asked for. Raise it inside :meth:`Endpoint.asking`."""


def quantity(value: object, maximum: int | None) -> int:
    """Check a number: web3 hands on what is no hex quantity as it came, and reads a negative one."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0 or (maximum is not None and value > maximum):
        raise WrongAnswerError("it is not a number in range")
    return value


class _BoundedProvider(JSONBaseProvider):
    """web3's way to the server, over httpx: one attempt, no redirect, a bounded answer within a bounded time."""

    # web3's HTTPProvider retries five times, reads answers of any size, and its timeout starts anew with every byte.
    def __init__(self, url: httpx.URL, timeout: float, deadline: Deadline) -> None:
        super().__init__()
        # Two processes must not number their questions alike: an answer that went astray would pass for another one.
        self.request_counter = itertools.count(secrets.randbits(48))
        self._url = url
        self._deadline = Deadline(timeout, within=deadline)
        # Uncompressed, so that what is counted is what is kept.
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        self.client = httpx.Client(
            transport=Wire(self._deadline, retries=0), timeout=timeout, headers=headers, follow_redirects=False
        )

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        self._deadline.restart()
        question = self.encode_rpc_request(method, params)
        for attempt in itertools.count():
            answer, pause = self._ask(question)
            if pause is None:
                break
            # The server's word where it gave one; else longer each time, while there is time.
            wait = pause or _FIRST_PAUSE * (1 << min(attempt, 6))
            if attempt >= _MAX_RETRIES or wait >= self._deadline.left():
                break
            time.sleep(wait)
        if isinstance(answer, httpx.Response):
            answer.raise_for_status()
            raise WrongAnswerError("it is not a JSON-RPC response")
        answered: Any = answer.get("id")
        if answered != json.loads(question)["id"] and not (answered is None and "error" in answer):
            raise WrongAnswerError("it is the answer to another question")
        result = answer.get("result")
        # web3 would fill up half a byte with a zero in front, and so turn a number cut short into a smaller one.
        if method == "eth_call" and isinstance(result, str) and len(result) % 2:
            raise WrongAnswerError("it is cut short")
        return answer

    def _ask(self, question: bytes) -> tuple[RPCResponse | httpx.Response, float | None]:
        """Ask once; returns the answer, or one that is an HTTP error, and how long to wait where it is "too many".

        That is ``None`` where the answer is for good, and 0 where the server did not say how long.
        """
        body = bytearray()
        with self.client.stream("POST", self._url, content=question) as response:
            pause = retry_after(response.headers, time.time()) or 0.0
            if not response.is_success:
                return response, pause if response.status_code == _TOO_MANY else None
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > _MAX_RESPONSE_BYTES:
                    raise WrongAnswerError("it is far too long")
        answer = self.decode_rpc_response(bytes(body))
        if not isinstance(answer, dict):
            raise WrongAnswerError("it is not a JSON-RPC response")
        told: Any = answer.get("error")
        busy = isinstance(told, dict) and told.get("code") == _LIMIT_EXCEEDED
        return answer, pause if busy else None


def _secrets(url: httpx.URL) -> tuple[str, ...]:
    """The parts of a URL that may be a key: a server that quotes one of them is not quoted in turn."""
    parts = (url.username, url.password, *url.path.split("/"), url.query.decode("ascii", "replace"))
    return tuple(part for part in parts if part)
