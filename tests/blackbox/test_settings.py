"""Flags over environment over ``config.toml`` over defaults, seen from outside."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.support.cli_box import Box, Gateway

NOWHERE = "http://127.0.0.1:1/v1"


def test_a_flag_beats_the_environment_which_beats_the_file(gateway: Gateway, box: Box) -> None:
    assert box.run("request", "/free").code == 0, "the file"
    assert box.run("request", "/free", "--connect-timeout", "1", ANDO_BASE_URL=NOWHERE).code == 3, "the environment"
    assert box.run("request", "/free", "--base-url", gateway.base_url, ANDO_BASE_URL=NOWHERE).code == 0, "the flag"
    quote = ("chat", "hi", "--dry-run", "-j")
    assert box.run(*quote).worked().json["deposit"] == "5.00"
    gateway.configure('max_deposit = "3"')
    assert box.run(*quote).worked().json["deposit"] == "3.00"
    assert box.run(*quote, ANDO_MAX_DEPOSIT="4").worked().json["deposit"] == "4.00"
    assert box.run(*quote, ANDO_MAX_DEPOSIT="").worked().json["deposit"] == "3.00", "empty is unset"


def test_every_wrong_value_is_refused_by_its_name(gateway: Gateway, box: Box) -> None:
    for variable, value in [
        ("ANDO_BASE_URL", "example.com"),
        ("ANDO_NETWORK", "nowhere"),
        ("ANDO_RPC_URL", "ftp://x"),
        ("ANDO_MAX_SPEND", "-1"),
        ("ANDO_MAX_DEPOSIT", "0.0000001"),
        ("ANDO_TIMEOUT", "soon"),
        ("ANDO_CONNECT_TIMEOUT", "0"),
    ]:
        assert variable in box.run("chat", "hi", **{variable: value}).refused(2)
    for line, named in [
        ('max_spent = "5"', "max_spent"),
        ("max_spend = 0", "max_spend"),
        ("max_spend = 2.5", "max_spend"),
        ("max_spend = true", "max_spend"),
        ("timeout = true", "timeout"),
        ("rpc_url = 5", "rpc_url"),
        ("networks = 5", "TOML"),
        ("this is not toml", "TOML"),
    ]:
        gateway.configure(line)
        assert named in box.run("chat", "hi").refused(2), line
    assert gateway.log == []


def test_a_network_that_is_not_whole_is_refused(gateway: Gateway, box: Box) -> None:
    for line, named in [
        ('token = "0x20c0"', "token"),
        ("chain_id = -1", "chain_id"),
        ("escrows = []\nprecompiles = []", "escrows"),
        ('colour = "blue"', "colour"),
    ]:
        name = line.partition(" ")[0]
        kept = [text for text in gateway.table.splitlines() if not text.startswith(name)]
        box.configure("\n".join(['network = "local"', *kept, line, ""]))
        assert named in box.run("chat", "hi").refused(2), line
    box.configure("")
    assert "known networks: tempo, tempo-moderato" in box.run("chat", "hi", "--network", "local").refused(2)


def test_ando_home_holds_everything_and_without_it_the_platforms_folders_do(gateway: Gateway, box: Box) -> None:
    gateway.warm_up()
    assert (box.home / "state" / "sessions.db").stat().st_mode & 0o777 == 0o600
    assert (box.home / "state").stat().st_mode & 0o777 == 0o700
    config = (box.home / "config.toml").read_text()
    folder = box.folder / "xdg" / "ando"
    folder.mkdir(parents=True)
    (folder / "config.toml").write_text(config)
    xdg = {"XDG_CONFIG_HOME": str(box.folder / "xdg"), "XDG_STATE_HOME": str(box.folder / "xdg-state")}
    del box.environment["ANDO_HOME"]
    box.environment |= xdg
    box.run("chat", "hi", "--yes").worked()
    assert (box.folder / "xdg-state" / "ando" / "sessions.db").exists()


def test_a_credential_goes_over_plain_http_to_this_machine_only(box: Box) -> None:
    done = box.run("request", "/free", "--base-url", "http://gateway.example:1/v1", "--offline")
    assert done.code == 0
    shown = box.run("chat", "hi", "--base-url", "http://user:secret@127.0.0.1:1/v1").refused(2)
    assert "secret" not in shown


def test_a_configuration_that_cannot_be_read_is_an_error(box: Box) -> None:
    box.configure("")
    (box.home / "config.toml").unlink()
    (box.home / "config.toml").mkdir()
    assert "config.toml" in box.run("chat", "hi").refused(2)
