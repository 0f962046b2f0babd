"""Falsify what the gateway says: its challenges, its receipts and its session snapshots."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from ando_cli.sandbox.wire import decode_json, encode_json, header_value, seal

if TYPE_CHECKING:
    from collections.abc import Mapping

# The short names of the lies about a challenge, and the member of its request that each replaces.
REQUEST_LIES = {
    "amount": ("amount",),
    "currency": ("currency",),
    "recipient": ("recipient",),
    "suggestedDeposit": ("suggestedDeposit",),
    "chainId": ("methodDetails", "chainId"),
    "escrow": ("methodDetails", "escrowContract"),
    "feePayer": ("methodDetails", "feePayer"),
    "sessionProtocol": ("methodDetails", "sessionProtocol"),
    "operator": ("methodDetails", "operator"),
    "sessionSnapshot": ("methodDetails", "sessionSnapshot"),
}
CHALLENGE_LIES = frozenset((*REQUEST_LIES, "request", "params", "before", "after", "raw", "only"))
PAST = "2020-01-01T00:00:00.000Z"


def lie_about_challenge(secret: bytes, parameters: Mapping[str, str], lies: Mapping[str, Any]) -> list[str]:
    """Return the ``WWW-Authenticate`` values for a challenge that is falsified and then sealed like a true one.

    The lies: ``amount``, ``currency``, ``recipient``, ``suggestedDeposit``, ``chainId``, ``escrow``, ``feePayer``,
    ``sessionProtocol``, ``operator`` and ``sessionSnapshot`` replace that member of the request (``null`` removes it);
    ``request`` replaces the whole encoded request with a text; ``params`` replaces or adds parameters
    (``{"expires": …, "digest": …, "header": …}``; ``null`` removes one, ``"expires": "past"`` sets a time long ago);
    ``before`` and ``after`` are lists of further header values around it; ``raw`` replaces the header value with any
    text. Where both session protocols are offered, ``only`` (``v1`` or ``v2``) names the challenge that lies.
    """
    changed: dict[str, str] = dict(parameters)
    request = decode_json(changed["request"])
    for name, path in REQUEST_LIES.items():
        if name in lies:
            _put(request, path, lies[name])
    changed["request"] = lies.get("request", encode_json(request))
    replaced = dict(lies.get("params", {}))
    # A false id is set after sealing; everything else is sealed like a true challenge.
    sealed = seal(secret, _replace(changed, {name: replaced[name] for name in replaced if name != "id"}))
    sealed = _replace(sealed, {name: replaced[name] for name in replaced if name == "id"})
    return [*lies.get("before", []), lies.get("raw", header_value(sealed)), *lies.get("after", [])]


def lie_about_receipt(receipt: str, lies: Mapping[str, Any]) -> str | None:
    """Return a falsified ``Payment-Receipt`` value, or ``None`` to send no receipt.

    The lies: ``absent`` (true) drops it, ``raw`` replaces it with any text; every other member replaces that member of
    the receipt (``null`` removes it).
    """
    if lies.get("absent"):
        return None
    if "raw" in lies:
        return str(lies["raw"])
    changed = decode_json(receipt) | {name: value for name, value in lies.items() if name != "absent"}
    return encode_json({name: value for name, value in changed.items() if value is not None})


def lie_about_snapshot(snapshot: dict[str, Any] | None, lies: Mapping[str, Any]) -> dict[str, Any] | None:
    """Falsify a snapshot, or make one up; ``absent`` (true) drops it, ``null`` removes a member."""
    if not lies:
        return snapshot
    if lies.get("absent"):
        return None
    changed = {**(snapshot or {}), **lies}
    return {name: value for name, value in changed.items() if value is not None}


def _replace(parameters: Mapping[str, str], changes: Mapping[str, str | None]) -> dict[str, str]:
    changed = {**parameters, **changes}
    if changed.get("expires") == "past":
        changed["expires"] = PAST
    return {name: value for name, value in changed.items() if value is not None}


def _put(target: dict[str, Any], path: tuple[str, ...], value: object) -> None:
    for name in path[:-1]:
        target = target[name]
    if value is None:
        target.pop(path[-1], None)
    else:
        target[path[-1]] = value
