"""Environment variables that look like one of ours."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from ando_cli.config.variables import KNOWN, check_variables
from ando_cli.errors import UsageError

ROOT = Path(__file__).parents[2]


def test_all_that_are_documented_are_known() -> None:
    documented = re.findall(r"`(ANDO_[A-Z_]+)`", (ROOT / "docs" / "configuration.md").read_text(encoding="utf-8"))
    assert set(documented) <= KNOWN
    assert check_variables(dict.fromkeys(KNOWN, "1")) is None


@pytest.mark.parametrize("name", ["ANDO_FOO", "ando_timeout", "ANDO_Keep"])
def test_an_unknown_one_is_reported(name: str) -> None:
    assert name in (check_variables({name: "1", "PATH": "x"}) or "")


@pytest.mark.parametrize(
    ("name", "meant"),
    [
        ("ANDO_BUDGET_DAILY", "ANDO_BUDGET_DAY"),
        ("ANDO_MAXSPEND", "ANDO_MAX_SPEND"),
        ("ando_max_deposit", "ANDO_MAX_DEPOSIT"),
        ("ANDO_SPEND", ""),
        ("ANDO_LIMIT", ""),
    ],
)
def test_one_that_looks_like_a_limit_is_an_error(name: str, meant: str) -> None:
    with pytest.raises(UsageError, match=name) as caught:
        check_variables({name: "1"})
    assert f"did you mean {meant}" in (caught.value.hint or "") or not meant


def test_an_empty_one_and_those_of_others_are_nothing() -> None:
    assert (
        check_variables({"ANDO_BUDGET_DAILY": "", "BANDO_MAX": "1", "_ANDO_COMPLETE": "x", "ANDO_TEST_ANVIL": "1"})
        is None
    )
