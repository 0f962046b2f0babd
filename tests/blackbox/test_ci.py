"""The recipes of ``docs/ci.md``, each run on a machine with a key and nothing on record."""

from __future__ import annotations

import re
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.support.badluck import rows

if TYPE_CHECKING:
    from tests.support.cli_box import Gateway

PAGE = Path(__file__).parents[2] / "docs" / "ci.md"
RECIPES = re.findall(r"```bash\n(.*?)```", PAGE.read_text(encoding="utf-8"), re.DOTALL)


@pytest.mark.parametrize("recipe", RECIPES, ids=["one command", "several commands"])
def test_a_recipe_works_on_a_fresh_machine_and_leaves_no_deposit_behind(gateway: Gateway, recipe: str) -> None:
    before = gateway.balance
    gateway.box.shell(f"set -e\n{recipe}").worked()
    assert [row["state"] for row in rows(gateway.box, "channels")] == ["closed"]
    assert before - gateway.balance < 200_000  # fees, and a few words
    assert rows(gateway.box, "channels")[0]["deposit"] == "1000000"


def test_a_command_of_a_job_that_fails_leaves_no_deposit_behind(gateway: Gateway) -> None:
    recipe = RECIPES[1].replace('"say goodbye"', "--max-tokens 0")
    assert gateway.box.shell(f"set -e\n{recipe}").code != 0
    assert [row["state"] for row in rows(gateway.box, "channels")] == ["closed"]
