"""The script behind ``make mutants``: which changes it makes, and that it finds the tests of each module."""

from __future__ import annotations

import ast
from pathlib import Path

import mutants
import pytest

ROOT = Path(__file__).parent.parent


def changes(source: str) -> set[str]:
    found = mutants.Finder(Path("m.py"), source.encode()).found
    for mutant in found:
        ast.parse(mutant.applied(source.encode()))
    return {f"{mutant.old} -> {mutant.new}" for mutant in found}


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("a < b", {"a < b -> (a <= b)", "a < b -> (a >= b)"}),
        ("a is None", {"a is None -> (a is not None)"}),
        ("a and b", {"a and b -> (a or b)", "a and b -> (a)", "a and b -> (b)"}),
        ("x = not a", {"not a -> (a)"}),
        ("x = a - b", {"a - b -> (a + b)"}),
        ("x = 0", {"0 -> 1"}),
        ("x = 60", {"60 -> 61"}),
        ("x = True", {"True -> False"}),
        ("check(a)", {"check(a) -> pass"}),
        ("x = max(a, b)", {"max(a, b) -> (min(a, b))"}),
        ("def f():\n    return isinstance(a, B | C)", {"B | C -> (B)", "B | C -> (C)"}),
        ("Both = B | C", set()),
        ("def f(a: int = 1) -> None:\n    '''Text.'''", {"1 -> 0"}),
        ("if TYPE_CHECKING:\n    x = 1", set()),
        (
            "x = \"id = ? AND state = 'open' AND p IS NULL\"",
            {
                "\"id = ? AND state = 'open' AND p IS NULL\" -> 'id = ? AND p IS NULL'",
                "\"id = ? AND state = 'open' AND p IS NULL\" -> \"id = ? AND state = 'open'\"",
            },
        ),
    ],
)
def test_each_kind_of_change_is_made(source: str, expected: set[str]) -> None:
    assert changes(source) == expected


def test_a_change_replaces_what_it_names_and_nothing_else() -> None:
    source = "def f():\n    é = 'ü'; return (a <\n            b)\n"
    (first, _) = mutants.Finder(Path("m.py"), source.encode()).found
    assert first.applied(source.encode()).decode() == "def f():\n    é = 'ü'; return ((a <= b))\n"
    assert str(first) == str(Path("ando_cli/m.py")) + ":2 a < b -> (a <= b)"
    assert first.key == "f | a < b -> (a <= b)"


def test_every_module_that_is_mutated_has_tests_and_those_of_its_own_name_come_first() -> None:
    for module in mutants.modules([]):
        assert mutants.tests_of(module, ROOT), module
    found = mutants.tests_of(Path("session/decide/planner.py"), ROOT)
    names = [path.relative_to(ROOT / "tests").as_posix() for path in found]
    assert names[0] == "session/decide/test_planner.py"
    assert {"session/decide/test_policy.py", "session/test_sharing.py"} < set(names)
    assert not any(name.startswith("session/record/") for name in names)


def test_every_change_that_is_let_pass_has_a_reason() -> None:
    for line in mutants.EQUIVALENT.read_text(encoding="utf-8").splitlines():
        if line and not line.startswith("#"):
            key, _, reason = line.rpartition(" | ")
            where, _, change = key.partition(" | ")
            assert where
            assert " -> " in change
            assert reason
