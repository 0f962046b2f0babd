"""What the user configured."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ando_cli.config.settings import Flags, find_folders, load, parse_seconds
from ando_cli.errors import UsageError
from ando_cli.money import parse_amount
from ando_cli.urls import check_url, may_carry_credentials, origin

if TYPE_CHECKING:
    from pathlib import Path

LOCAL = """
[networks.local]
chain_id = 4217
rpc_url = "http://127.0.0.1:8545"
token = "0x20c0000000000000000000000000000000000001"
escrows = ["0x5fbdb2315678afecb367f032d93f642f64180aa3"]
"""


def configured(folder: Path, text: str) -> dict[str, str]:
    (folder / "config.toml").write_text(text)
    return {"ANDO_HOME": str(folder)}


def test_the_defaults_are_the_real_gateway_on_the_real_network(tmp_path: Path) -> None:
    settings = load(Flags(), {"ANDO_HOME": str(tmp_path)})
    assert settings.base_url == "https://inference.andoai.xyz/v1"
    assert settings.network.name == "tempo"
    assert (settings.max_deposit, settings.max_spend) == (5_000_000, None)
    assert (settings.connect_timeout, settings.timeout) == (10, 300)
    assert settings.gateway == "https://inference.andoai.xyz"
    assert settings.folders.state == tmp_path / "state"


def test_flags_beat_the_environment_which_beats_the_file(tmp_path: Path) -> None:
    environ = configured(tmp_path, 'base_url = "https://file.example"\nmax_spend = "1"\ntimeout = 7\n')
    assert load(Flags(), environ).base_url == "https://file.example"
    environ |= {"ANDO_BASE_URL": "https://env.example/", "ANDO_MAX_SPEND": "2.5", "ANDO_TIMEOUT": "8"}
    settings = load(Flags(), environ)
    assert (settings.base_url, settings.max_spend, settings.timeout) == ("https://env.example", 2_500_000, 8)
    assert load(Flags(base_url="https://flag.example"), environ).base_url == "https://flag.example"


def test_a_network_can_be_added(tmp_path: Path) -> None:
    environ = configured(tmp_path, LOCAL)
    network = load(Flags(network="local", rpc_url="http://127.0.0.1:9/key"), environ).network
    assert (network.name, network.chain_id, network.rpc_url) == ("local", 4217, "http://127.0.0.1:9/key")


def test_the_sandbox_is_apart_and_excludes_what_names_another_place(tmp_path: Path) -> None:
    environ = {"ANDO_HOME": str(tmp_path), "ANDO_NETWORK": "tempo", "ANDO_BASE_URL": "https://env.example"}
    settings = load(Flags(sandbox=True), environ)
    assert (settings.gateway, settings.network.name) == ("sandbox", "sandbox")
    assert settings.folders.state == tmp_path / "state" / "sandbox"
    for flags in (
        Flags(sandbox=True, base_url="x"),
        Flags(sandbox=True, network="x"),
        Flags(sandbox=True, rpc_url="x"),
    ):
        with pytest.raises(UsageError, match="cannot be used together"):
            load(flags, environ)


def test_the_sandbox_is_no_network_to_point_at(tmp_path: Path) -> None:
    with pytest.raises(UsageError, match="--network"):
        load(Flags(network="sandbox"), {"ANDO_HOME": str(tmp_path)})


@pytest.mark.parametrize(
    "text", ["", ".5", "5.", "-1", "+1", "1e3", "1,5", "0", "0.0", "0.0000001", "٣", "1 000", "9" * 16]
)
def test_what_is_no_amount_of_money_is_refused(text: str) -> None:
    with pytest.raises(UsageError, match="--max-spend"):
        parse_amount(text, "--max-spend")


@given(st.integers(0, 10**15 - 1), st.integers(1, 999_999))
def test_amounts_are_read_exactly(whole: int, fraction: int) -> None:
    assert parse_amount(f" {whole}.{fraction:06d} ") == whole * 1_000_000 + fraction


@pytest.mark.parametrize("value", [0, -1, "nan", "inf", 86_401, "", "x", True])
def test_what_is_no_time_to_wait_is_refused(value: str | float) -> None:
    with pytest.raises(UsageError, match="--timeout"):
        parse_seconds(value, "--timeout")


@pytest.mark.parametrize(
    "url", ["", "x", "//host", "ftp://host", "http://", "http://a b/", "http://h:99999/", "http://h:0/", "http://[::1/",
            "http://u:p@host/", "http://h/\x1b"],
)  # fmt: skip
def test_what_is_no_url_is_refused(url: str) -> None:
    with pytest.raises(UsageError, match="--base-url"):
        check_url(url, "--base-url")


@pytest.mark.parametrize(
    ("url", "expected"),
    [
        ("HTTPS://Example.COM:443/v1", "https://example.com"),
        ("http://127.0.0.1:8600/v1", "http://127.0.0.1:8600"),
        ("http://[::1]:80/", "http://[::1]"),
    ],
)
def test_an_origin_is_spelt_in_one_way(url: str, expected: str) -> None:
    assert origin(url) == expected


@pytest.mark.parametrize(
    ("url", "allowed"),
    [
        ("https://example.com", True),
        ("http://localhost:1", True),
        ("http://127.0.0.1/x", True),
        ("http://[::1]/", True),
        ("http://example.com", False),
        ("http://localhost.example.com", False),
        ("http://127.0.0.1.example.com", False),
        ("http://127.0.0.1@example.com", False),
    ],
)
def test_credentials_leave_this_machine_over_https_only(url: str, allowed: bool) -> None:
    assert may_carry_credentials(url) is allowed


def test_ando_home_may_start_with_a_tilde(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert find_folders({"ANDO_HOME": "~/x"}).config == tmp_path / "x"


def test_delegation_is_off_unless_it_is_switched_on(tmp_path: Path) -> None:
    environ = configured(tmp_path, "")
    assert load(Flags(), environ).delegate is False
    for text, wanted in (("1", True), ("true", True), ("ON", True), ("0", False), ("no", False), ("", False)):
        assert load(Flags(), environ | {"ANDO_DELEGATE": text}).delegate is wanted
    environ = configured(tmp_path, "delegate = true\n")
    assert load(Flags(), environ).delegate is True
    assert load(Flags(), environ | {"ANDO_DELEGATE": "0"}).delegate is False


@pytest.mark.parametrize("text", ['delegate = "yes"', "delegate = 1"])
def test_a_switch_that_is_neither_on_nor_off_is_an_error_and_not_off(tmp_path: Path, text: str) -> None:
    with pytest.raises(UsageError, match="delegate"):
        load(Flags(), configured(tmp_path, text))
    with pytest.raises(UsageError, match="ANDO_DELEGATE"):
        load(Flags(), configured(tmp_path, "") | {"ANDO_DELEGATE": "maybe"})
