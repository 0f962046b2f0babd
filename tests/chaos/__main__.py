"""``python -m tests.chaos``: worlds of bad luck, one after another, for so many minutes.

Prints what went wrong on purpose, and what must not have happened. Exit code 1 where something did.
"""

from __future__ import annotations

import argparse
import itertools
import sys
import time
from collections import Counter
from pathlib import Path
from random import SystemRandom
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from tests.chaos.kinds import Level
from tests.chaos.world import Outcome, World

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

_SHOWN = 40
"""Lines of a violated world's journal that are printed; ``--journal`` writes all of them."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run, print the table, and return the exit code."""
    options = _parse(arguments)
    print(f"seed {options.seed}", flush=True)
    outcomes: list[Outcome] = []
    until = time.monotonic() + options.minutes * 60
    numbers: Iterable[int] = itertools.count() if options.world is None else [options.world]
    for number in numbers:
        for level in options.level:
            if options.world is None and time.monotonic() >= until:
                print(table(outcomes))
                return any(outcome.violations for outcome in outcomes)
            outcome = play(options.seed, number, level, options.steps)
            outcomes.append(outcome)
            _tell(outcome, level, options)
    print(table(outcomes))
    return any(outcome.violations for outcome in outcomes)


def play(seed: str, number: int, level: Level, steps: int) -> Outcome:
    """Run one world in a folder of its own."""
    with TemporaryDirectory(prefix="ando-chaos-") as folder:
        return World(f"{seed}/{level.value}/{number}", Path(folder), level, steps).run()


def table(outcomes: Sequence[Outcome]) -> str:
    """Return what happened in all worlds, as text."""
    injected = sum((outcome.injected for outcome in outcomes), Counter[tuple[str, str]]())
    kills = sum((outcome.kills for outcome in outcomes), Counter[str]())
    commands = sum((outcome.commands for outcome in outcomes), Counter[str]())
    codes = sum((outcome.codes for outcome in outcomes), Counter[int]())
    violated = Counter(code for outcome in outcomes for code in {code for code, _ in outcome.violations})
    lines = [
        f"{len(outcomes)} worlds, {injected.total():,} faults, {kills.total():,} kills, {commands.total():,} commands"
    ]
    for title, counts in (
        ("faults", Counter({f"{way}: {kind}": count for (way, kind), count in injected.items()})),
        ("killed", kills),
        ("commands", commands),
        ("exit codes", Counter({str(code): count for code, count in codes.items()})),
        ("violated in so many worlds", violated),
    ):
        lines += ["", title, *(f"  {name:<45} {count:>7,}" for name, count in sorted(counts.items()))]
    if not violated:
        lines.append("  nothing")
    return "\n".join(lines)


def _tell(outcome: Outcome, level: Level, options: argparse.Namespace) -> None:
    if options.journal is not None:
        folder = Path(options.journal)
        folder.mkdir(parents=True, exist_ok=True)
        (folder / f"{outcome.name.replace('/', '-')}.txt").write_text("\n".join(outcome.journal) + "\n")
    if not outcome.violations:
        return
    number = outcome.name.rpartition("/")[2]
    print(f"\n{outcome.name}: --seed {options.seed} --level {level.value} --world {number} --steps {options.steps}")
    for code, text in outcome.violations:
        print(f"  {code}: {text}")
    if options.journal is None:
        print(*(f"    {line}" for line in outcome.journal[-_SHOWN:]), sep="\n", flush=True)


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--minutes", type=float, default=1.0, help="how long to go on; no world begins after that")
    parser.add_argument("--seed", default=str(SystemRandom().randrange(10**6)), help="what everything is drawn from")
    parser.add_argument("--steps", type=int, default=40, help="commands of each process of a world")
    parser.add_argument("--level", type=Level, action="append", help="honest, gateway-lies, rpc-lies; default: all")
    parser.add_argument("--world", type=int, help="run this world alone, to look at what it violated")
    parser.add_argument("--journal", help="write each world's journal into this folder")
    options = parser.parse_args(arguments)
    options.level = options.level or list(Level)
    return options


if __name__ == "__main__":
    sys.exit(main())
