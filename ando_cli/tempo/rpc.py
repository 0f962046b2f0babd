"""What we ask of a chain: channel state, balances, gas, time. Reads only; it is the gateway that broadcasts.

The RPC server is not trusted. Its answers are bounded in size and in time, are checked against the types that they must
have, and cannot make a transaction expensive (:data:`MAX_FEE`). Whatever goes wrong is one
:class:`~ando_cli.errors.NetworkError` that shows the server's host and nothing else of its URL, since hosted endpoints
carry their key in the path.

This module loads web3: import it where a chain is asked, not before.
"""

from __future__ import annotations

import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import httpx

from ando_cli.errors import NetworkError, PaymentError, UsageError
from ando_cli.redact import amount, clean
from ando_cli.tempo.abi import UINT64_MAX, address_word, bytes32_word
from ando_cli.tempo.fees import Fees, max_fee
from ando_cli.tempo.keys import keccak256
from ando_cli.tempo.recursion import kept_recursion_limit

with kept_recursion_limit():
    from web3 import Web3
    from web3.exceptions import ContractLogicError, Web3RPCError
    from web3.providers.base import JSONBaseProvider

if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType

    from web3.types import RPCEndpoint, RPCResponse, TxParams

__all__ = ["GAS_LIMIT", "MAX_FEE", "ChannelState", "Fees", "Rpc"]

GAS_LIMIT = 2_000_000
"""Gas for one of our transactions. A node may estimate only the first call of a batch (``anvil --network tempo`` does),
and then the transaction runs out of gas; approve and open use about 200,000, and gas that is not used is not paid."""

MAX_FEE = 1_000_000
"""The highest fee that we ever sign for, in base units: one token. Usual is a few hundredths."""

# The base fee can rise while a transaction waits; what is above the price of its block is not charged.
_HEADROOM = 2
_PRIORITY_FEE_PER_GAS = 1

# A block of the public chain is well below this, every other answer is a few words.
_MAX_RESPONSE_BYTES = 4 * 1024 * 1024

_GET_CHANNEL = keccak256(b"getChannel(bytes32)")[:4]
_BALANCE_OF = keccak256(b"balanceOf(address)")[:4]
_CHANNEL_TYPES = ("bool", "uint64", "address", "address", "address", "address", "uint128", "uint128")
_HINT = "check the network's rpc_url or try again later"


@dataclass(frozen=True, slots=True)
class ChannelState:
    """A v1 channel as the escrow contract knows it (``getChannel``, protocol.md section 4).

    Attributes:
        finalized: closed for good; nothing can be paid from it any more.
        close_requested_at: Unix time in seconds of the payer's request to close, 0 if there is none.
        payer, payee, token, authorized_signer: lower-case addresses; a zero ``authorized_signer`` means the payer.
        deposit: base units that were ever put in.
        settled: base units of them that the payee has taken.
    """

    finalized: bool
    close_requested_at: int
    payer: str
    payee: str
    token: str
    authorized_signer: str
    deposit: int
    settled: int


class Rpc:
    """A JSON-RPC endpoint. Use it as a context manager, or call :meth:`close`.

    Args:
        url: ``http`` or ``https``; user name and password in it are sent as HTTP Basic authentication.
        timeout: seconds to connect, to wait for a sign of life, and for a whole answer. Nothing is retried.

    Raises:
        UsageError: not a URL that can be asked.
    """

    def __init__(self, url: str, *, timeout: float = 10.0) -> None:
        try:
            parsed = httpx.URL(url)
        except httpx.InvalidURL:
            parsed = httpx.URL()
        if parsed.scheme not in ("http", "https") or not parsed.host:
            raise UsageError("the network has no usable RPC URL", hint="set rpc_url to an http:// or https:// URL")
        self._host = parsed.host
        self._secrets = _secrets(parsed)
        self._provider = _BoundedProvider(parsed, timeout)
        # No middleware: web3's own would look up names, fill in gas and reject blocks that are not Ethereum's.
        self._eth = Web3(self._provider, middleware=[]).eth

    def __enter__(self) -> Rpc:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Close the connection."""
        self._provider.client.close()

    def chain_id(self) -> int:
        """Return the id of the chain behind the endpoint."""
        with self._asking("the chain id"):
            return _quantity(self._eth.chain_id, UINT64_MAX)

    def latest_timestamp(self) -> int:
        """Return the time of the latest block, Unix seconds."""
        with self._asking("the latest block"):
            return _quantity(self._eth.get_block("latest")["timestamp"], UINT64_MAX)

    def balance(self, token: str, owner: str) -> int:
        """Return what ``owner`` holds of a TIP-20 ``token``, in base units."""
        answer = self._call("the token balance", token, _BALANCE_OF + address_word(owner), words=1)
        return int.from_bytes(answer, "big")

    def channel(self, escrow: str, channel_id: str) -> ChannelState | None:
        """Return a v1 channel, or ``None`` if the escrow contract has never seen it."""
        answer = self._call("the channel", escrow, _GET_CHANNEL + bytes32_word(channel_id), words=len(_CHANNEL_TYPES))
        if not any(answer):
            return None
        with self._asking("the channel"):
            finalized, requested, payer, payee, token, signer, deposit, settled = self._eth.codec.decode(
                _CHANNEL_TYPES, answer
            )
        return ChannelState(
            finalized=finalized,
            close_requested_at=requested,
            payer=payer.lower(),
            payee=payee.lower(),
            token=token.lower(),
            authorized_signer=signer.lower(),
            deposit=deposit,
            settled=settled,
        )

    def fees(self) -> Fees:
        """Return the fees to sign a transaction with: the gas price now, twice over for headroom, never above
        :data:`MAX_FEE` in all.

        Raises:
            PaymentError: the endpoint asks for more than that.
        """
        with self._asking("the gas price"):
            price = _quantity(self._eth.gas_price, None)
        ceiling = price * _HEADROOM
        fees = Fees(GAS_LIMIT, ceiling, min(_PRIORITY_FEE_PER_GAS, ceiling))
        if max_fee(fees) > MAX_FEE:
            raise PaymentError(
                f"the network fee could reach more than {amount(MAX_FEE)}, which is too high to sign",
                hint="try again later, or use another RPC endpoint: this one may be lying about the gas price",
                code="fee_too_high",
            )
        return fees

    def _call(self, what: str, contract: str, data: bytes, *, words: int) -> bytes:
        request: TxParams = {"to": Web3.to_checksum_address(contract), "data": Web3.to_hex(data)}
        with self._asking(what):
            # CCIP-Read would let the answer send us to URLs of its choice.
            answer = bytes(self._eth.call(request, "latest", ccip_read_enabled=False))
            if len(answer) != 32 * words:
                reason = "it has the wrong length" if answer else "there is no such contract on this chain"
                raise _WrongAnswerError(reason)
        return answer

    @contextmanager
    def _asking(self, what: str) -> Iterator[None]:
        """Turn whatever goes wrong inside into one :class:`NetworkError`, and cut its cause off: it quotes the URL."""
        try:
            yield
        except (httpx.TimeoutException, TimeoutError):
            raise self._error(f"{self._host} did not answer in time for {what}", "rpc_timeout") from None
        except httpx.HTTPStatusError as error:
            reason = f"{self._host} answered HTTP {error.response.status_code} when asked for {what}"
            raise self._error(reason, "rpc_http_error") from None
        except httpx.HTTPError:
            raise self._error(f"{self._host} could not be reached for {what}", "rpc_unreachable") from None
        except ContractLogicError:
            raise self._error(f"the contract refused to tell {self._host} {what}", "rpc_reverted") from None
        except Web3RPCError as error:
            reason = f"{self._host} refused to tell {what}{self._quoted(error)}"
            raise self._error(reason, "rpc_error") from None
        except _WrongAnswerError as error:
            raise self._error(f"{self._host} gave a wrong answer for {what}: {error}", "rpc_bad_answer") from None
        # web3 and its decoders raise ValueError, TypeError, KeyError, RecursionError and more over what a server
        # sends, and none of it may end the program with a trace.
        except Exception as error:
            reason = f"{self._host} gave an answer for {what} that makes no sense ({type(error).__name__})"
            raise self._error(reason, "rpc_bad_answer") from None

    def _quoted(self, error: Web3RPCError) -> str:
        body = (error.rpc_response or {}).get("error")
        message = body.get("message") if isinstance(body, dict) else None
        if not isinstance(message, str) or any(secret in message for secret in self._secrets):
            return ""
        return f": {clean(message, 120)}"

    @staticmethod
    def _error(message: str, code: str) -> NetworkError:
        return NetworkError(message, hint=_HINT, code=code)


class _WrongAnswerError(Exception):
    """An answer that is well-formed JSON-RPC and still not what was asked for."""


class _BoundedProvider(JSONBaseProvider):
    """web3's way to the server, over httpx: one attempt, no redirect, a bounded answer within a bounded time."""

    # web3's HTTPProvider retries five times, reads answers of any size, and its timeout starts anew with every byte.
    def __init__(self, url: httpx.URL, timeout: float) -> None:
        super().__init__()
        self._url = url
        self._timeout = timeout
        # Uncompressed, so that what is counted is what is kept.
        headers = {"Content-Type": "application/json", "Accept-Encoding": "identity"}
        self.client = httpx.Client(timeout=timeout, headers=headers, follow_redirects=False)

    def make_request(self, method: RPCEndpoint, params: Any) -> RPCResponse:
        deadline = time.monotonic() + self._timeout
        body = bytearray()
        with self.client.stream("POST", self._url, content=self.encode_rpc_request(method, params)) as response:
            response.raise_for_status()
            for chunk in response.iter_raw():
                body += chunk
                if len(body) > _MAX_RESPONSE_BYTES:
                    raise _WrongAnswerError("it is far too long")
                if time.monotonic() > deadline:
                    raise TimeoutError
        answer = self.decode_rpc_response(bytes(body))
        if not isinstance(answer, dict):
            raise _WrongAnswerError("it is not a JSON-RPC response")
        result = answer.get("result")
        # web3 would fill up half a byte with a zero in front, and so turn a number cut short into a smaller one.
        if method == "eth_call" and isinstance(result, str) and len(result) % 2:
            raise _WrongAnswerError("it is cut short")
        return answer


def _quantity(value: object, maximum: int | None) -> int:
    """Check a number: web3 hands on what is no hex quantity as it came, and reads a negative one."""
    if not isinstance(value, int) or isinstance(value, bool) or value < 0 or (maximum is not None and value > maximum):
        raise _WrongAnswerError("it is not a number in range")
    return value


def _secrets(url: httpx.URL) -> tuple[str, ...]:
    """The parts of a URL that may be a key: a server that quotes one of them is not quoted in turn."""
    parts = (url.username, url.password, *url.path.split("/"), url.query.decode("ascii", "replace"))
    return tuple(part for part in parts if part)
