"""What the three sides have on record: the client's store, the gateway's accounts, the chain. Read from outside.

Amounts are in base units.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import TYPE_CHECKING, Any

from ando_cli.sandbox.chain import escrow, reserve
from ando_cli.sandbox.chain.ledger import FEE_COLLECTOR
from ando_cli.sandbox.config import ESCROW, TOKEN
from ando_cli.sandbox.primitives import keccak, to_hex
from ando_cli.sandbox.server import PAYEE_ALLOWANCE
from tests.support.cli_box import KEY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ando_cli.sandbox.server import Sandbox

_OPENED = tuple(to_hex(keccak(event.encode())) for event in (escrow.OPENED, reserve.OPENED))
_CLOSED = tuple(to_hex(keccak(event.encode())) for event in (escrow.CLOSED, reserve.CLOSED))


class Books:
    """All that is on record in a world.

    Args:
        store: the client's file, which need not be there yet.
        chain: the sandbox's file.
        sandbox: asked for balances.
    """

    def __init__(self, store: Path, chain: Path, sandbox: Sandbox) -> None:
        self._store, self._chain, self._sandbox = store, chain, sandbox
        self._sent: dict[str, int] = {}

    def signed(self, channel_id: str, amount: int) -> int | None:
        """Take note of a voucher that is sent; returns what the store has on record as signed for its channel."""
        self._sent[channel_id] = max(amount, self._sent.get(channel_id, 0))
        found = self._known("SELECT cumulative_amount FROM channels WHERE channel_id = ?", channel_id)
        return int(found[0]["cumulative_amount"]) if found else None

    def committed(self) -> tuple[int, int]:
        """What the ledger says was authorised and deposited here."""
        rows = self._known("SELECT authorised, deposited FROM ledger WHERE outcome <> 'carried'")
        return sum(int(row["authorised"]) for row in rows), sum(int(row["deposited"]) for row in rows)

    def judge(self, budget: int | None, *, closes: bool) -> Iterator[tuple[str, str]]:
        """Yield what must never be, whatever went wrong: a code and a line for a person."""
        channels, live, opened = self._channels(), self._live(), self._opened()
        for row in self._read(self._chain, "SELECT channel_id, accepted FROM sessions"):
            known = channels.get(row["channel_id"])
            if known is None or int(known["cumulative_amount"]) < int(row["accepted"]):
                yield "signed beyond the record", f"{row['channel_id']}: the gateway accepted {row['accepted']}"
        paying = [each for each in live if channels.get(each, {"state": ""})["state"] != "closing"]
        if len(paying) > 1:
            yield "two live channels", str({each: channels.get(each, {"state": "unknown"})["state"] for each in paying})
        if not closes and len(opened) > 1:
            states = {each: channels.get(each, {"state": "unknown"})["state"] for each in opened}
            yield "second deposit", f"{len(opened)} channels were opened, and none was closed: {states}"
        for each in opened - set(channels):
            yield "deposit not on record", f"{each} was opened on the chain"
        deposited, consented = sum(live.values()), self.committed()[1]
        if deposited > consented:
            yield "deposit beyond consent", f"{deposited} is on the chain, and {consented} was agreed to"
        used = sum(
            int(channels[each]["spent"]) if channels.get(each, {"state": ""})["state"] == "closed" else amount
            for each, amount in self._sent.items()
        )
        if budget is not None and used > budget:
            yield "budget passed", f"vouchers for {used} were sent, and the budget is {budget}"

    def lost(self) -> Iterator[tuple[str, str]]:
        """Yield the channels that hold money, and count as over, or are not known."""
        channels = self._channels()
        for each, deposit in self._live().items():
            state = channels.get(each, {"state": "unknown"})["state"]
            if state not in ("opening", "open", "closing"):
                yield "deposit lost", f"{each} is {state}, and holds {deposit}"

    def misstated(self) -> Iterator[tuple[str, str]]:
        """Yield the closed channels whose record says another amount than the event of their closing."""
        channels = self._channels()
        for row in self._read(self._chain, "SELECT topic1, data FROM logs WHERE topic0 IN (?, ?)", *_CLOSED):
            known, captured = channels.get(row["topic1"]), int.from_bytes(row["data"][:32], "big")
            if known is not None and known["state"] == "closed" and int(known["spent"]) != captured:
                yield "capture misstated", f"{row['topic1']}: {captured} was taken, {known['spent']} is on record"

    def signers(self) -> list[str]:
        """The accounts that sign for channels that hold money."""
        channels = self._channels()
        return [channels[each]["authorized_signer"].lower() for each in self._live() if each in channels]

    def left(self) -> int:
        """What the escrows hold."""
        return self._balance(ESCROW) + self._balance(reserve.ADDRESS)

    def total(self) -> int:
        """What there is: in the wallet, in the escrows, with the payee beyond its first allowance, and as fees."""
        accounts = (KEY.address, ESCROW, reserve.ADDRESS, self._sandbox.payee, FEE_COLLECTOR)
        return sum(map(self._balance, accounts)) - PAYEE_ALLOWANCE

    def _balance(self, account: str) -> int:
        data = "0x70a08231" + account[2:].lower().rjust(64, "0")
        return int(self._sandbox.rpc("eth_call", {"to": TOKEN, "data": data}, "latest"), 16)

    def _channels(self) -> dict[str, dict[str, Any]]:
        return {row["channel_id"]: row for row in self._known("SELECT * FROM channels")}

    def _live(self) -> dict[str, int]:
        """The channels that hold money on the chain, and how much was deposited."""
        v1 = self._read(self._chain, "SELECT id, deposit FROM channels WHERE NOT finalized")
        v2 = self._read(self._chain, "SELECT id, deposit FROM reserves")
        return {row["id"]: int(row["deposit"]) for row in [*v1, *v2] if int(row["deposit"])}

    def _opened(self) -> set[str]:
        rows = self._read(self._chain, "SELECT topic1 FROM logs WHERE topic0 IN (?, ?)", *_OPENED)
        return {row["topic1"] for row in rows}

    def _known(self, query: str, *values: object) -> list[dict[str, Any]]:
        return self._read(self._store, query, *values) if self._store.exists() else []

    @staticmethod
    def _read(path: Path, query: str, *values: object) -> list[dict[str, Any]]:
        with closing(sqlite3.connect(path, timeout=30)) as db:
            db.row_factory = sqlite3.Row
            try:
                return [dict(row) for row in db.execute(query, values)]
            except sqlite3.OperationalError as error:
                if "no such table" in str(error):  # its file is just being made
                    return []
                raise
