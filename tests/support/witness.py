"""Reads along between ``ando`` and its gateway, and knows all that must never be shown or written down."""

from __future__ import annotations

import base64
import json
import re
from typing import TYPE_CHECKING, Any

from ando_cli.sandbox.config import ESCROW, TOKEN
from tests.support.cli_box import KEY

if TYPE_CHECKING:
    from tests.support.badluck import Answer, Relay, Seen
    from tests.support.cli_box import Gateway

PROMPT = "did my uncle leave me the lighthouse"
SYSTEM = "you are the executor of the will"
PUBLIC = TOKEN[2:], ESCROW[2:]


def decoded(text: str) -> dict[str, Any]:
    return dict(json.loads(base64.urlsafe_b64decode(text + "=" * (-len(text) % 4))))


class Witness:
    """Reads along between ``ando`` and the gateway, and knows all that is secret."""

    def __init__(self, relay: Relay, gateway: Gateway) -> None:
        self.relay = relay
        self.secrets = {
            KEY.to_hex()[2:]: "the private key",
            KEY.address[2:]: "the payer's address",
            gateway.sandbox.payee[2:]: "the payee's address",
            PROMPT: "the prompt",
            SYSTEM: "the system message",
        }
        relay.tamper = self.note

    def note(self, seen: Seen, answer: Answer) -> Answer:
        if key := seen.headers.get("idempotency-key"):
            self.secrets[key.lower()] = "the Idempotency-Key"
        if seen.credential is not None and seen.credential.startswith("Payment "):
            encoded = seen.credential.removeprefix("Payment ")
            payload = decoded(encoded)["payload"]
            self._hide(encoded, "a credential")
            self._hide(payload.get("signature", ""), "a signature")
            self._hide(payload.get("transaction", ""), "a transaction")
        for receipt in answer.header("payment-receipt"):
            self._hide(receipt, "a receipt")
        for challenge in filter(lambda value: value.startswith("Payment "), answer.header("www-authenticate")):
            for name in ("id", "opaque", "request"):
                found = re.search(rf'\b{name}="([^"]*)"', challenge)
                assert found is not None
                self._hide(found[1], f"the challenge's {name}")
        return answer

    def found_in(self, text: str) -> set[str]:
        """What of it ``text`` gives away."""
        lower = text.lower()
        return {what for secret, what in self.secrets.items() if secret.lower() in lower}

    def _hide(self, value: str, what: str) -> None:
        # Any longer piece of it is as telling as the whole.
        bare = value.removeprefix("0x")
        for piece in re.findall(".{40}", bare):
            if piece not in PUBLIC and piece.strip("0"):
                self.secrets[piece] = what
