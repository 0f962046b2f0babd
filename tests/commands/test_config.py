"""``ando config``: what is shown, what is written, and what is refused."""

from __future__ import annotations

import sys
from typing import TYPE_CHECKING

import pytest

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Ando

KEY_IN_URL = "https://rpc.example/v2/0badc0de"
LOCAL = {
    "chain_id": "4217",
    "rpc_url": "http://127.0.0.1:8545",
    "token": "0x20c0000000000000000000000000000000000001",
    "escrows": "0x5fbdb2315678afecb367f032d93f642f64180aa3,0x822e4c09c1df6841377229cd7047ab8ad2d5d39f",
}


@pytest.fixture
def file(home: Path) -> Path:
    return home / "config.toml"


def write(file: Path, text: str) -> None:
    file.parent.mkdir(mode=0o700, exist_ok=True)
    file.write_text(text)


def editor(tmp_path: Path, text: str, *, code: int = 0) -> str:
    """An editor that leaves ``text`` in the file, in two words and with a blank in the name."""
    script = tmp_path / "the editor.py"
    script.write_text(f"import sys, pathlib\npathlib.Path(sys.argv[1]).write_text({text!r})\nsys.exit({code})\n")
    return f"{sys.executable} '{script}'"


# set and unset


def test_what_is_set_is_in_force_and_the_file_is_the_users_alone(ando: Ando, home: Path, file: Path) -> None:
    ando("config", "set", "max_spend", "2.50", "delegate", "on", "timeout", "90").worked()
    assert file.read_text() == 'max_spend = "2.50"\ndelegate = true\ntimeout = 90\n'
    assert (home.stat().st_mode & 0o777, file.stat().st_mode & 0o777) == (0o700, 0o600)
    assert ando("config", "get", "max_spend").worked().out == "2.50\n"


def test_comments_and_order_stay(ando: Ando, file: Path) -> None:
    write(file, '# mine\nmax_spend = "1" # a day\r\n\n[networks]\n')
    ando("config", "set", "max_spend", "3", "network", "tempo-moderato").worked()
    assert file.read_bytes() == b'# mine\nmax_spend = "3" # a day\r\nnetwork = "tempo-moderato"\n\n[networks]\n'


@pytest.mark.parametrize(
    ("key", "value", "said"),
    [
        ("max_spent", "5", "did you mean max_spend?"),
        ("networks.local.rpc", "x", "did you mean networks.local.rpc_url?"),
        ("networks.local", "x", "unknown key"),
        ("networks.tempo.chain_id", "1", "built in"),
        ("networks.local.chain_id", "4217", "missing"),
        ("max_spend", "lots", "not an amount"),
        ("max_spend", "-", "not an amount"),
        ("timeout", "soon", "not a number of seconds"),
        ("timeout", "0", "not a number of seconds"),
        ("delegate", "maybe", "must be true or false"),
        ("base_url", "https://user:0badc0de@gateway.example", "leave them out"),
        ("network", "nowhere", "unknown network"),
        ("network", "a\nb", "cannot be shown"),
        ("network", "\udcff", "cannot be shown"),
    ],
)
def test_what_would_not_load_is_not_written(ando: Ando, file: Path, key: str, value: str, said: str) -> None:
    write(file, before := "timeout = 9 # kept as it is\n")
    shown = ando("config", "set", key, value).refused(2)
    assert said in shown
    assert "0badc0de" not in shown
    assert file.read_text() == before
    assert sorted(path.name for path in file.parent.iterdir() if path.suffix != ".lock") == ["config.toml"]


def test_a_variable_does_not_hide_what_is_wrong_and_is_told_of(ando: Ando) -> None:
    assert "max_spend" in ando("config", "set", "max_spend", "x", ANDO_MAX_SPEND="5").refused(2)
    assert "ANDO_MAX_SPEND is set" in ando("config", "set", "max_spend", "1", ANDO_MAX_SPEND="5").worked().err


def test_a_network_is_added_at_once_and_removed_at_once(ando: Ando, file: Path) -> None:
    pairs = [word for key, value in LOCAL.items() for word in (f"networks.my.net.{key}", value)]
    assert ando("config", "set", "-j", *pairs, "network", "my.net").worked().json["set"][-1] == "network"
    assert ando("config", "get", "networks.my.net.chain_id").worked().out == "4217\n"
    assert "unknown network" in ando("config", "unset", "networks.my.net").refused(2)
    ando("config", "unset", "network", "networks.my.net").worked()
    assert "my.net" not in file.read_text()


@pytest.mark.parametrize(
    "text",
    [
        f"networks = {{ a = {{ chain_id = 1, rpc_url = 'http://h', token = '{LOCAL['token']}' }} }}\n",
        f"networks.a.chain_id = 1\nnetworks.a.rpc_url = 'http://h'\nnetworks.a.token = '{LOCAL['token']}'\n",
    ],
)
def test_a_limit_never_lands_in_another_table(ando: Ando, file: Path, text: str) -> None:
    """tomlkit 0.15 would put max_spend into the new table, or fail."""
    write(file, text)
    pairs = [word for key, value in LOCAL.items() for word in (f"networks.b.{key}", value)]
    shown = ando("config", "set", *pairs, "networks.a.escrows", LOCAL["token"], "max_spend", "5").refused(2)
    assert "make it with `ando config edit`" in shown
    assert file.read_text() == text


def test_a_value_can_be_piped_in_where_no_process_list_shows_it(ando: Ando, file: Path) -> None:
    ando("config", "set", "rpc_url", "-", stdin=f"{KEY_IN_URL}\n").worked()
    assert file.read_text() == f'rpc_url = "{KEY_IN_URL}"\n'
    assert "one key only" in ando("config", "set", "rpc_url", "-", "timeout", "-").refused(2)


def test_a_key_without_a_value_is_refused(ando: Ando) -> None:
    assert "each key needs a value" in ando("config", "set", "max_spend").refused(2)


@pytest.mark.parametrize("broken", ['max_spent = "5"\n', '"budget.day" = "5"\n', "[max_spent]\nx = 1\n"])
def test_what_keeps_the_file_from_loading_can_be_unset(ando: Ando, file: Path, broken: str) -> None:
    write(file, broken)
    name = broken.split(" =")[0].strip('"[]x \n').split("]")[0]
    assert "unknown key" in ando("config", "list").refused(2)
    assert ando("config", "unset", "-j", name).worked().json == {"removed": [name]}
    ando("config", "list").worked()


def test_unset_of_what_is_not_there_changes_nothing(ando: Ando, file: Path) -> None:
    assert ando("config", "unset", "timeout", "networks.x", "-j").worked().json == {"removed": []}
    assert "did you mean timeout?" in ando("config", "unset", "timeot").refused(2)
    assert not file.exists()


def test_a_file_that_is_a_link_stays_one(ando: Ando, file: Path, tmp_path: Path) -> None:
    write(file, "")
    file.unlink()
    file.symlink_to(tmp_path / "dotfiles.toml")
    ando("config", "set", "timeout", "5").worked()
    assert file.is_symlink()
    assert (tmp_path / "dotfiles.toml").read_text() == "timeout = 5\n"


def test_a_folder_that_cannot_be_made_is_an_error(ando: Ando, home: Path) -> None:
    home.write_text("in the way")
    assert "cannot write config.toml" in ando("config", "set", "timeout", "5").refused(1)


# list, get and path


def test_each_value_is_listed_with_its_source(ando: Ando, file: Path) -> None:
    write(file, 'timeout = 7\nmax_deposit = "3"\n')
    shown = ando("config", "list", "--base-url", "https://g.example", ANDO_MAX_DEPOSIT="4").worked().json
    rows = {row.pop("key"): row for row in shown}
    assert rows["base_url"] == {"value": "https://g.example", "source": "flag", "name": "--base-url"}
    assert rows["max_deposit"] == {"value": "4.00", "source": "environment", "name": "ANDO_MAX_DEPOSIT"}
    assert rows["timeout"] == {"value": 7, "source": "file", "name": None}
    assert rows["connect_timeout"] == {"value": 10, "source": "default", "name": None}
    assert rows["max_spend"] == {"value": None, "source": "default", "name": None}
    table = ando("config", "list", ANDO_NO_AUTO_JSON="1", ANDO_MAX_DEPOSIT="4").worked().out
    assert "max_deposit     4.00                            ANDO_MAX_DEPOSIT" in table


def test_with_the_sandbox_the_sandbox_is_in_force(ando: Ando) -> None:
    rows = {row["key"]: row for row in ando("config", "list", "--sandbox").worked().json}
    assert rows["network"] == {"key": "network", "value": "sandbox", "source": "flag", "name": "--sandbox"}
    assert rows["rpc_url"]["value"] == "sandbox"


def test_the_key_in_an_rpc_url_is_shown_only_where_it_is_asked_for(ando: Ando, file: Path) -> None:
    write(file, "\n".join(["[networks.local]", "chain_id = 4217", f'rpc_url = "{KEY_IN_URL}"',
                           f'token = "{LOCAL["token"]}"', f'escrows = ["{LOCAL["token"]}"]']))  # fmt: skip
    shown = [ando("config", "list", "--network", "local", *more, **variables).worked().out
             for more in ([], ["-t"], ["-vvv"])
             for variables in ({}, {"ANDO_NO_AUTO_JSON": "1"}, {"ANDO_RPC_URL": KEY_IN_URL})]  # fmt: skip
    shown += [ando("config", "get", "rpc_url", ANDO_RPC_URL=KEY_IN_URL).out,
              ando("config", "get", "networks.local.rpc_url", "-j").out]  # fmt: skip
    for each in shown:
        assert "https://rpc.example/…" in each
        assert "0badc0de" not in each
    assert ando("config", "get", "rpc_url", "--reveal", ANDO_RPC_URL=KEY_IN_URL).out == f"{KEY_IN_URL}\n"


def test_get_tells_what_is_not_set_from_what_there_is_not(ando: Ando) -> None:
    assert "max_spend is not set" in ando("config", "get", "max_spend").refused(1)
    assert "did you mean max_spend?" in ando("config", "get", "max-spend").refused(2)


def test_path_works_whatever_is_in_the_file(ando: Ando, file: Path) -> None:
    assert ando("config", "path", "-j").worked().json == {"path": str(file), "exists": False}
    write(file, "not toml")
    assert ando("config", "path").worked().out == f"{file}\n"


# edit


def test_a_valid_edit_takes_the_files_place(ando: Ando, file: Path, tmp_path: Path) -> None:
    write(file, "broken")
    ando("config", "edit", EDITOR="false", VISUAL=editor(tmp_path, "timeout = 5\n")).worked()
    assert file.read_text() == "timeout = 5\n"
    assert [path.name for path in file.parent.glob("config-edit-*")] == []


def test_an_invalid_edit_is_kept_aside_and_it_is_said_where(ando: Ando, file: Path, tmp_path: Path) -> None:
    write(file, "timeout = 5\n")
    shown = ando("config", "edit", VISUAL=editor(tmp_path, "timeot = 9\n")).refused(2)
    [kept] = file.parent.glob("config-edit-*")
    assert kept.read_text() == "timeot = 9\n"
    assert kept.stat().st_mode & 0o777 == 0o600
    assert str(kept) in shown
    assert "timeot" in shown
    assert file.read_text() == "timeout = 5\n"


def test_a_first_edit_starts_from_every_key_as_a_comment(ando: Ando, file: Path, tmp_path: Path) -> None:
    seen = tmp_path / "seen"
    shown = ando("config", "edit", "-j", VISUAL=f"cp -f --target-directory={tmp_path}").worked().json
    assert shown == {"path": str(file), "changed": False}
    assert not file.exists()
    [seen] = tmp_path.glob("config-edit-*")
    lines = [line.removeprefix("# ") for line in seen.read_text().splitlines() if " = " in line or line[2:3] == "["]
    assert 'max_spend = "5"' in lines
    write(file, "\n".join(line for line in lines if not line.startswith("rpc_url")))
    ando("config", "list").worked()


def test_without_an_editor_nothing_happens(ando: Ando, file: Path, tmp_path: Path) -> None:
    assert "cannot be started" in ando("config", "edit", VISUAL=str(tmp_path / "none")).refused(2)
    assert "with an error" in ando("config", "edit", VISUAL=editor(tmp_path, "timeout = 1", code=3)).refused(1)
    assert not [path for path in file.parent.iterdir() if path.suffix == ".toml"]


def test_what_was_changed_meanwhile_is_not_overwritten(ando: Ando, file: Path, tmp_path: Path) -> None:
    write(file, "timeout = 1\n")
    script = tmp_path / "slow.py"
    script.write_text(f"import sys\nopen({str(file)!r}, 'w').write('timeout = 2')\nopen(sys.argv[1], 'w').write('')\n")
    assert "another program" in ando("config", "edit", VISUAL=f"{sys.executable} {script}").refused(2)
    assert file.read_text() == "timeout = 2"
