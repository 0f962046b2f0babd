"""``tools/metrics.py`` counts what it says, on both sides of each target."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest
from metrics import MOST_FLOORS, MOST_LINES, MOST_LINES_OF_A_FUNCTION, MOST_ROOMS, Metrics, measure, report

if TYPE_CHECKING:
    from pathlib import Path


def metrics(tmp_path: Path, files: dict[str, str], layers: tuple[dict[str, Any], ...] = ()) -> Metrics:
    """The metrics of a package ``house`` of these files."""
    for name, text in files.items():
        path = tmp_path / "house" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return measure(tmp_path / "house", layers)


def test_rooms_are_what_stands_at_the_top(tmp_path: Path) -> None:
    found = metrics(tmp_path, {"__init__.py": "", "one.py": "", "two/__init__.py": "", "two/three.py": ""})
    assert found.rooms == ["__init__", "one", "two"]


def test_a_floor_is_a_step_of_the_longest_chain_however_it_is_imported(tmp_path: Path) -> None:
    found = metrics(tmp_path, {
        "__init__.py": "", "top.py": "from typing import TYPE_CHECKING\nif TYPE_CHECKING:\n    import house.mid.deep",
        "mid/__init__.py": "", "mid/deep.py": "from .other import x",
        "mid/other.py": "def x():\n    from ..low import y",
        "low.py": "from house import __version__", "aside.py": "from house import low",
    })  # fmt: skip
    assert found.chain == ["top", "mid", "low"]
    assert not found.cycles


def test_rooms_in_a_circle_are_reported(tmp_path: Path) -> None:
    found = metrics(
        tmp_path, {"a.py": "from house import b", "b.py": "from house.c import x", "c.py": "import house.a"}
    )
    assert found.cycles == [["a", "b", "c"]]
    assert found.missed
    assert "a <> b <> c" in report(found)


@pytest.mark.parametrize("over", [0, 1])
def test_each_number_may_be_met_and_not_passed(tmp_path: Path, over: int) -> None:
    found = metrics(tmp_path, {"long.py": "x = 1\n" * (MOST_LINES + over)})
    assert (len(found.long_modules), found.missed) == (over, bool(over))
    body = "    pass\n" * (MOST_LINES_OF_A_FUNCTION - 1 + over)
    found = metrics(tmp_path / "functions", {"a.py": f"def f():\n{body}"})
    assert (len(found.long_functions), found.missed) == (over, bool(over))
    taken = ", ".join("abcdefghi"[: 8 + over])
    found = metrics(tmp_path / "parameters", {"a.py": f"class A:\n    def __init__(self, {taken}): ..."})
    assert (len(found.wide_functions), found.missed) == (over, bool(over))
    found = metrics(tmp_path / "rooms", {f"r{number}.py": "" for number in range(MOST_ROOMS + over)})
    assert (len(found.rooms), found.missed) == (MOST_ROOMS + over, bool(over))
    chain = {f"r{number}.py": f"import house.r{number + 1}" for number in range(MOST_FLOORS - 1 + over)}
    found = metrics(tmp_path / "floors", chain | {f"r{MOST_FLOORS - 1 + over}.py": ""})
    assert (len(found.chain), found.missed) == (MOST_FLOORS + over, bool(over))


@pytest.mark.parametrize(
    ("signature", "counts"),
    [
        ("@app.command()\ndef f(a, b, c, d, e, f, g, h, i): ...", False),
        ("def f(ctx: typer.Context, a: Plan, b, c, d, e, f, g, h): ...", False),
        ("def f(ctx: typer.Context, *, a: Annotated[int, typer.Option()], b, c, d, e, f, g, h): ...", False),
        ("def f(a: Plan, b, c, d, e, f, g, h, i): ...", True),
        ("def f(ctx: typer.Context, a: int, b, c, d, e, f, g, h): ...", True),
        ("def f(a, *b, c, d, e, f, g, h, **i): ...", True),
    ],
)
def test_a_signature_that_typer_reads_may_be_as_wide_as_its_options(
    tmp_path: Path, signature: str, counts: bool
) -> None:
    options = "Plan = Annotated[str, typer.Option()]"
    found = metrics(tmp_path, {"commands/options.py": options, "commands/show.py": signature})
    assert bool(found.wide_functions) is counts


def test_layers_are_held_where_they_are_named(tmp_path: Path) -> None:
    files = {
        "top.py": "import house.left",
        "left.py": "import house.right",
        "right.py": "",
        "low.py": "import house.top",
    }
    assert metrics(tmp_path, files).upward is None
    contract = {"containers": ["house"], "layers": ["top", "left | right", "(low)"]}
    found = metrics(tmp_path, files, (contract,))
    assert found.upward == ["house.left imports house.right", "house.low imports house.top"]
    assert metrics(tmp_path, files, (contract | {"layers": ["top", "left : right"]},)).upward == []
