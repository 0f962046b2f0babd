"""Make the chain's node misbehave on purpose: refuse, lag behind, or say what is not so."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ando_cli.sandbox.chain import abi
from ando_cli.sandbox.chain.escrow import GET_CHANNEL
from ando_cli.sandbox.chain.reserve_abi import GET_CHANNEL_STATE
from ando_cli.sandbox.primitives import ZERO_ADDRESS, from_hex, to_hex

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

MEMBERS = frozenset(("methods", "error", "result", "lag", "head", "time_offset", "channel"))
V1_FIELDS = ("finalized", "closeRequestedAt", "payer", "payee", "token", "authorizedSigner", "deposit", "settled")
# What each function that reads a channel returns, in this order.
FIELDS = {
    abi.selector(GET_CHANNEL): V1_FIELDS,
    abi.selector(GET_CHANNEL_STATE): ("settled", "deposit", "closeRequestedAt"),
}
NAMES = frozenset(name for names in FIELDS.values() for name in names)
ABSENT = "absent"


def check(fault: Mapping[str, Any]) -> None:
    """Check the members of a node's fault.

    The members: ``methods`` lists the JSON-RPC methods that the fault is for, all if it is missing. ``error`` answers
    with that JSON-RPC error (``code``, ``message``, ``data``); beside it, the status and the headers of the fault are
    those of the HTTP answer. ``result`` answers with any value. ``lag`` (a number of blocks) answers as a node that is
    so far behind, and ``head`` (a block's number) as one that knows nothing later; transactions are taken all the same.
    ``time_offset`` (seconds) is added to the time of each block. ``channel`` replaces members of what the escrows say
    about a channel (``deposit``, ``settled``, ``closeRequestedAt``, and in v1 the others), or is ``"absent"``: then no
    channel was ever opened.

    Raises:
        ValueError: A member is unknown or not valid.
    """
    if set(fault) - MEMBERS:
        raise ValueError("rpc: unknown member")
    methods = fault.get("methods", [])
    if not isinstance(methods, list | tuple) or not all(isinstance(method, str) for method in methods):
        raise ValueError("rpc: methods: expected a list of names")
    error = fault.get("error", {"code": 0, "message": ""})
    if not isinstance(error, dict) or not isinstance(error.get("code"), int) or "message" not in error:
        raise ValueError("rpc: error: expected an object with a code and a message")
    for name, least in (("lag", 0), ("head", 0), ("time_offset", None)):
        number = fault.get(name, 0)
        if not isinstance(number, int) or isinstance(number, bool) or (least is not None and number < least):
            raise ValueError(f"rpc: {name}: expected a whole number")
    channel = fault.get("channel", {})
    if channel != ABSENT and not (isinstance(channel, dict) and set(channel) <= NAMES):
        raise ValueError("rpc: channel: expected members of a channel, or absent")


def concerns(fault: Mapping[str, Any], methods: Sequence[str]) -> bool:
    """Tell whether a fault is for a request that calls these methods."""
    wanted = fault.get("methods")
    return not wanted or any(method in wanted for method in methods)


def falsify(fault: Mapping[str, Any], method: str, params: Sequence[Any], result: Any) -> Any:
    """Return what a lying node answers in place of a true result."""
    if method == "eth_getBlockByNumber" and result is not None and "time_offset" in fault:
        return result | {"timestamp": hex(int(result["timestamp"], 16) + fault["time_offset"])}
    if method == "eth_call" and "channel" in fault and params:
        return _falsify_channel(fault["channel"], params[0], result)
    return result


def _falsify_channel(channel: Any, request: Any, result: str) -> str:
    called = from_hex(request.get("data") or request.get("input") or "0x")[:4]
    names = FIELDS.get(called)
    if names is None:
        return result
    if channel == ABSENT:
        return to_hex(bytes(32 * len(names)))
    words = abi.words(from_hex(result), len(names))
    return to_hex(
        b"".join(_word(channel[name]) if name in channel else word for name, word in zip(names, words, strict=True))
    )


def _word(value: Any) -> bytes:
    return abi.account(value) if isinstance(value, str) and len(value) == len(ZERO_ADDRESS) else abi.uint(int(value))
