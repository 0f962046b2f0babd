"""What can go wrong on the way to the gateway and to the chain's node, and how much of the truth is left.

Connection faults are carried out by the relay; the others are queued at the sandbox, for the request that the relay
hands on next.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from typing import TYPE_CHECKING, Any

from ando_cli.sandbox.faults import Fault
from ando_cli.sandbox.problems import CODES

if TYPE_CHECKING:
    from random import Random

LIAR = "0x" + "bad0" * 10


class Level(Enum):
    """Who tells the truth: everybody, but over bad connections; all but the gateway; all but the chain's node."""

    HONEST = "honest"
    GATEWAY_LIES = "gateway-lies"
    RPC_LIES = "rpc-lies"


@dataclass(frozen=True)
class Kind:
    """One kind of fault: its name, and for the sandbox's own ones the fault."""

    name: str
    fault: Fault | None = None

    def __str__(self) -> str:
        """Return the name, and what differs from a fault that does nothing."""
        if self.fault is None:
            return self.name
        usual, mine = asdict(Fault()), asdict(self.fault)
        return f"{self.name} { ({name: value for name, value in mine.items() if value != usual[name]}) }"


ON_CONNECTIONS = (
    "drop before", "drop after", "truncate", "duplicate", "replay", "swap", "corrupt", "garble", "delay", "stall",
)  # fmt: skip
ON_GATEWAY = (
    "refusal",
    "refusals in a loop",
    "error status",
    "error after the charge",
    "redirect loop",
    "stale answer",
)
ON_RPC = ("rpc error", "rpc status")
GATEWAY_LIES = ("challenge lies", "receipt lies", "snapshot lies", "corrupt header")
RPC_LIES = (
    "rpc lags",
    "rpc clock",
    "rpc hides the channel",
    "rpc lies about the channel",
    "rpc lies",
    "rpc hides logs",
)


def kinds(level: Level, where: str) -> tuple[str, ...]:
    """Return the names of what can go wrong on one of the two ways."""
    if where == "rpc":
        return ON_CONNECTIONS + ON_RPC + (RPC_LIES * 2 if level is Level.RPC_LIES else ())
    return ON_CONNECTIONS + ON_GATEWAY + (GATEWAY_LIES if level is Level.GATEWAY_LIES else ())


def draw(level: Level, where: str, random: Random) -> Kind:
    """Draw what goes wrong with a request."""
    name = random.choice(kinds(level, where))
    match name:
        case "refusal":
            return Kind(name, Fault(on="any", code=random.choice(sorted(CODES))))
        case "refusals in a loop":
            loop = random.choice(["mpp_voucher_bucket_refresh_required", "mpp_reservation_failed", None, None])
            codes = loop or random.choice(sorted(CODES))
            return Kind(name, Fault(on="paid", code=codes, times=random.randint(2, 6)))
        case "error status":
            return Kind(name, Fault(on="any", status=random.choice([400, 403, 429, 500, 502, 503, 504])))
        case "redirect loop":
            return Kind(name, Fault(on="any", redirect="/v1/mpp/chat/completions", times=random.randint(1, 3)))
        case "challenge lies":
            return Kind(name, Fault(on="unpaid", challenge_lies=_challenge(random)))
        case "receipt lies":
            return Kind(name, Fault(on="paid", receipt_lies=_receipt(random)))
        case "snapshot lies":
            lie = {"acceptedCumulative": "99000000", "spent": random.choice(["0", "99000000"])}
            return Kind(name, Fault(on="any", snapshot_lies=lie))
        case "rpc error":
            error = {"code": random.choice([-32000, -32005, -32603]), "message": "try again later"}
            return Kind(name, Fault(on="rpc", rpc={"error": error}))
        case "rpc status":
            return Kind(name, Fault(on="rpc", status=random.choice([429, 500, 503])))
        case _ if name in RPC_LIES:
            return Kind(name, Fault(on="rpc", times=random.randint(1, 4), rpc=_node(name, random)))
    return Kind(name)


def _challenge(random: Random) -> dict[str, Any]:
    return random.choice(
        [
            {"amount": random.choice(["0", "1", "4000000", "99000000"])},
            {"suggestedDeposit": random.choice(["1", "50000000", None])},
            {"recipient": LIAR},
            {"escrow": LIAR},
            {"currency": LIAR},
            {"chainId": 1},
            {"feePayer": random.choice([True, False])},
            {"params": {"expires": "past"}},
            {"params": {"digest": "sha-256=AAAA"}},
            {"raw": "Payment nonsense"},
        ]
    )


def _receipt(random: Random) -> dict[str, Any]:
    return random.choice(
        [
            {"absent": True},
            {"raw": "nonsense"},
            {"spent": random.choice(["0", "1", "99000000"])},
            {"acceptedCumulative": random.choice(["0", "99000000"])},
            {"channelId": "0x" + "99" * 32},
        ]
    )


def _node(name: str, random: Random) -> dict[str, Any]:
    match name:
        case "rpc lags":
            return {"lag": random.randint(1, 12)}
        case "rpc clock":
            return {"time_offset": random.choice([-100_000, -60, 60, 100_000])}
        case "rpc hides the channel":
            return {"channel": "absent"}
        case "rpc lies about the channel":
            lies: list[dict[str, Any]] = [
                {"deposit": random.choice([0, 1, 500_000_000])},
                {"settled": random.choice([0, 3_000_000, 500_000_000])},
                {"closeRequestedAt": 1},
            ]
            return {"channel": random.choice(lies)}
        case "rpc hides logs":
            return {"methods": ["eth_getLogs"], "result": []}
    return {"result": random.choice([None, "0x", "0x0", "0x" + "ff" * 32, [], {}])}
