"""Keys, the file that holds them, and which of several values is in force."""

from __future__ import annotations

import pytest

from ando_cli.config.schema import Given, Key, Kind, Source, find, parse_config
from ando_cli.errors import UsageError

DAY = Key("budget.day", Kind.AMOUNT, "A day's money.")
URL = Key("base_url", Kind.URL, "The gateway.", default="https://default.example", option="--base-url")
NAMES = ("base_url", "max_spend", "budget.day", "budget.month")


def test_a_flag_goes_before_a_variable_before_the_file_before_the_default() -> None:
    environ, config = {"ANDO_BASE_URL": "env"}, {"base_url": "file"}
    assert find(URL, "flag", environ, config) == Given("flag", Source.FLAG, "--base-url")
    assert find(URL, None, environ, config) == Given("env", Source.ENVIRONMENT, "ANDO_BASE_URL")
    assert find(URL, None, {"ANDO_BASE_URL": ""}, config) == Given("file", Source.FILE, "base_url in config.toml")
    assert find(URL, None, {}, {}) == Given("https://default.example", Source.DEFAULT, "base_url")


def test_a_key_with_a_dot_is_in_a_table_and_its_variable_has_none() -> None:
    assert find(DAY, None, {}, {"budget": {"day": "5"}}) == Given("5", Source.FILE, "budget.day in config.toml")
    assert find(DAY, None, {"ANDO_BUDGET_DAY": "6"}, {"budget": {"day": "5"}}).value == "6"
    assert find(DAY, None, {}, {"budget": {"month": "5"}}).value is None


@pytest.mark.parametrize(
    ("text", "message", "hint"),
    [
        ('max_spent = "1"', "'max_spent'", "did you mean max_spend?"),
        ('[budget]\ndya = "1"', "'budget.dya'", "did you mean budget.day?"),
        ('day = "1"', "'day'", "known keys: base_url, budget.day, budget.month, max_spend, networks"),
        ('"budget.day" = "1"', "'budget.day'", "did you mean budget.day?"),
        ("budget = 1", "not a table", "write [budget]"),
        ("zebra = ", "not valid TOML", "mend it"),
    ],
)
def test_a_key_that_there_is_not_is_an_error(text: str, message: str, hint: str) -> None:
    with pytest.raises(UsageError, match=message) as caught:
        parse_config(text, NAMES, hint="mend it")
    assert caught.value.hint == hint


def test_the_tables_of_networks_are_named_by_the_user() -> None:
    text = 'max_spend = "1"\n[budget]\nday = "2"\n[networks.mine]\nanything = 1\n'
    assert parse_config(text, NAMES, hint="")["networks"] == {"mine": {"anything": 1}}
