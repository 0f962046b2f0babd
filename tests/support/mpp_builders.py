"""What a server writes, for the tests of ``ando_cli.mpp``: challenges, requests, receipts and hostile text."""

from __future__ import annotations

import base64
import json
from typing import Any

from ando_cli.mpp.challenge import Challenge

PAYEE = "0xe87c415061f02709e7cc5957c5cc0a4a3ca941d3"
PAYER = "0x3e100d70951ac919a6cccc1cb5f7a59af7080626"
TOKEN = "0x20c0000000000000000000000000000000000000"
ESCROW = "0xe1c4d3dce17bc111181ddf716f75bae49e61a336"
CHANNEL = "0xc596fcf72857c8c0121077f7b10770a62c606e6b0f2c6394f3ea89fd0b8622bc"
SIGNATURE = "0x" + "ab" * 64 + "1b"

DETAILS: dict[str, Any] = {"escrowContract": ESCROW, "chainId": 42431}
REQUEST: dict[str, Any] = {"amount": "1000000", "currency": TOKEN, "recipient": PAYEE, "methodDetails": DETAILS}
RECEIPT: dict[str, Any] = {
    "method": "tempo",
    "intent": "session",
    "status": "success",
    "timestamp": "2026-01-02T03:04:05.678Z",
    "reference": CHANNEL,
    "challengeId": "challenge-1",
    "channelId": CHANNEL,
    "acceptedCumulative": "2000000",
    "spent": "1234567",
}


def b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


def b64_json(value: object) -> str:
    return b64(json.dumps(value).encode())


PARAMS = {
    "id": "challenge-1",
    "realm": "inference.example",
    "method": "tempo",
    "intent": "session",
    "request": b64_json(REQUEST),
}


def quoted(value: str) -> str:
    return '"' + value.replace("\\", "\\\\").replace('"', '\\"') + '"'


def payment(**changes: str | None) -> str:
    """A ``Payment`` challenge as a server writes it; a parameter set to ``None`` is left out."""
    params = PARAMS | changes
    return "Payment " + ", ".join(f"{name}={quoted(value)}" for name, value in params.items() if value is not None)


def challenge(request: object = REQUEST, **changes: str) -> Challenge:
    return Challenge(**(PARAMS | {"request": b64_json(request)} | changes))


def session_request(*, without: str | None = None, **changes: object) -> dict[str, Any]:
    """A session request; ``changes`` and ``without`` apply to it or, where they belong there, to ``methodDetails``."""
    top = {"amount", "currency", "recipient", "suggestedDeposit", "unitType", "methodDetails"}
    details = DETAILS | {name: value for name, value in changes.items() if name not in top}
    request = REQUEST | {"methodDetails": details} | {name: value for name, value in changes.items() if name in top}
    if without is not None:
        (request if without in top else details).pop(without)
    return request


def nested(depth: int) -> bytes:
    """JSON that is an object and ``depth`` arrays deep."""
    return b'{"a":' + b"[" * depth + b"]" * depth + b"}"
