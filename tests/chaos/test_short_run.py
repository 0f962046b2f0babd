"""A short run of what ``make chaos`` does for longer: nothing may be violated, whatever goes wrong.

The seed is fixed, so the gateways, commands, kills and faults are drawn alike; in which order they meet is up to the
machine. A failure prints the journal of the world, and how to run it again.
"""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

from tests.chaos.__main__ import main, play, table
from tests.chaos.books import Books
from tests.chaos.kinds import Level
from tests.chaos.world import World
from tests.support.session_doubles import MILLION

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="commands run as forks")

SEED, STEPS = "ci", 8
AWAITED = {
    Level.HONEST: set(),
    Level.GATEWAY_LIES: set(),
    Level.RPC_LIES: set(),
}
"""What the harness finds, and is mended elsewhere: strike it out when it is."""


@pytest.mark.parametrize("number", range(2))
@pytest.mark.parametrize("level", list(Level), ids=[level.value for level in Level])
def test_no_bad_luck_costs_money(level: Level, number: int) -> None:
    outcome = play(SEED, number, level, STEPS)
    unexpected = [violation for violation in outcome.violations if violation[0] not in AWAITED[level]]
    assert unexpected == [], "\n".join([*outcome.journal, table([outcome])])
    assert outcome.commands.total() >= STEPS
    assert outcome.injected


def test_a_violation_is_seen_and_reported(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    """A harness that finds nothing must be one that could have: here the record says less than was sent."""
    signed = Books.signed

    def forgetful(books: Books, channel_id: str, amount: int) -> int | None:
        known = signed(books, channel_id, amount)
        return None if known is None else known - MILLION

    monkeypatch.setattr(Books, "signed", forgetful)
    arguments = ["--seed", SEED, "--world", "0", "--steps", "3", "--level", "honest"]
    assert main(arguments) == 1
    shown = capsys.readouterr().out
    assert "not on record: open" in shown
    assert " ".join(["--seed", SEED, "--level", "honest", "--world", "0", "--steps", "3"]) in shown
    assert "violated in so many worlds" in shown


def test_a_world_is_drawn_from_its_name(tmp_path: Path) -> None:
    def drawn(name: str) -> tuple[object, ...]:
        world = World(name, tmp_path, Level.HONEST, STEPS)
        return world.settings, world.rates, world.workers, world.budget

    assert drawn("a/1") == drawn("a/1")
    assert len({repr(drawn(f"a/{number}")) for number in range(20)}) > 10
