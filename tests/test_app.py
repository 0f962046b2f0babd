"""``run``: one command line on the streams and in the environment that are handed in, and in no others."""

from __future__ import annotations

import ast
import importlib
import io
import json
import subprocess
import sys
from typing import TYPE_CHECKING

import pytest
from typer.main import get_command

import ando_cli
from ando_cli.app import run
from ando_cli.session.record.store import Store
from ando_cli.terminal.streams import Streams

if TYPE_CHECKING:
    from pathlib import Path


def call(home: Path, *argv: str, **environ: str) -> tuple[int, str, str]:
    """Run a command line; returns its exit code, and what it wrote to stdout and stderr."""
    streams = Streams(io.StringIO(), io.StringIO(), io.StringIO())
    code = run(argv, {"ANDO_HOME": str(home), **environ}, streams)
    assert isinstance(streams.stdout, io.StringIO)
    assert isinstance(streams.stderr, io.StringIO)
    return code, streams.stdout.getvalue(), streams.stderr.getvalue()


@pytest.mark.parametrize(
    ("argv", "begins"),
    [
        (["--version"], f"ando {ando_cli.__version__}\n"),
        (["--help"], "Usage: ando [OPTIONS]"),
        ([], "Usage: ando [OPTIONS]"),
        (["session"], "Usage: ando session [OPTIONS]"),
        (["session", "list", "-h"], "Usage: ando session list [OPTIONS]"),
        (["--describe", "session", "-qj"], '{"version": '),
        (["config", "path"], ""),
    ],
)
def test_answers_go_to_the_streams_that_are_handed_in(
    tmp_path: Path, capfd: pytest.CaptureFixture[str], argv: list[str], begins: str
) -> None:
    code, out, err = call(tmp_path, *argv)
    assert (code, err) == (0, "")
    assert out.startswith(begins)
    assert out
    assert capfd.readouterr() == ("", "")


def test_errors_go_to_the_streams_that_are_handed_in(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    assert call(tmp_path, "nonsense") == (2, "", "error: there is no command 'nonsense'\ntry: ando --help\n")
    assert capfd.readouterr() == ("", "")


def test_the_environment_is_the_one_that_is_handed_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANDO_TIMEOUT", "7")
    assert json.loads(call(tmp_path, "config", "get", "timeout", "-j")[1])["source"] == "default"
    assert json.loads(call(tmp_path, "config", "get", "timeout", "-j", ANDO_TIMEOUT="9")[1])["value"] == 9
    assert call(tmp_path, "config", "path")[1] == f"{tmp_path / 'config.toml'}\n"


def test_one_run_leaves_nothing_to_the_next(tmp_path: Path) -> None:
    assert call(tmp_path, "-j", "nonsense")[2] == ""
    assert call(tmp_path, "nonsense")[1] == ""


@pytest.mark.parametrize(
    "line",
    [
        "chat -j --nosuch hi",
        "chat -qj --nosuch hi",
        "chat -vj --nosuch hi",
        "chat -jq --nosuch hi",
        "chat -uj --nosuch hi",
        "chat --nosuch -j hi",
        "chat --nosuch=1 hi -j",
        "chat -o file -j --nosuch hi",
        "chat -ofile -j --nosuch hi",
        "chat -uofile -j --nosuch hi",
        "chat --output=file -j --nosuch hi",
        "chat --output file -j --nosuch hi",
        "chat -jZ hi",
        "chat -Zj hi",
        "-qj chat --nosuch hi",
        "-j --network x chat --nosuch hi",
        "-- chat -j --nosuch hi",
        "--nosuch chat -j hi",
        "chta -j",
        "session -j lst",
        "session lst -qj",
        "session list -qj --nosuch",
        "--json-output session list --nosuch",
    ],
)
def test_a_line_that_asks_for_json_fails_in_json(tmp_path: Path, line: str) -> None:
    code, out, err = call(tmp_path, *line.split())
    assert (code, err) == (2, "")
    assert json.loads(out)["error"]["code"] == "usage"


@pytest.mark.parametrize("line", ["chat -tq --nosuch hi", "chat -qt --nosuch hi", "-t chta"])
def test_a_line_that_asks_for_toon_fails_in_toon(tmp_path: Path, line: str) -> None:
    code, out, err = call(tmp_path, *line.split())
    assert (code, err) == (2, "")
    assert out.startswith("error:\n")


@pytest.mark.parametrize(
    "line",
    [
        "chat --nosuch hi",
        "chat --nosuch -- -j",
        "chat --nosuch -- hi -qj",
        "chat -o -j --nosuch hi",
        "chat --output -j --nosuch hi",
        "chat -uo -j --nosuch hi",
        "chat -oj --nosuch hi",
        "chat -qoj --nosuch hi",
        "chat --system -t --nosuch hi",
        "chat --nosuch just-text",
        "chat --nosuch-j hi",
        "--network -j chat --nosuch hi",
    ],
)
def test_what_looks_like_a_flag_and_is_a_value_asks_for_nothing(tmp_path: Path, line: str) -> None:
    code, out, err = call(tmp_path, *line.split())
    assert (code, out) == (2, "")
    assert err.startswith("error: no such option: --nosuch")


@pytest.mark.parametrize(
    ("command", "usage"),
    [
        ("session close", "[OPTIONS] [ID]"),
        ("session show", "[OPTIONS] [ID]"),
        ("session recover", "[OPTIONS] [ID]"),
        ("session topup", "[OPTIONS] [AMOUNT]"),
        ("session forget", "[OPTIONS] ID"),
    ],
)
def test_a_usage_line_has_one_pair_of_brackets_around_what_is_optional(
    tmp_path: Path, command: str, usage: str
) -> None:
    assert call(tmp_path, *command.split(), "--help")[1].splitlines()[0] == f"Usage: ando {command} {usage}"


@pytest.mark.parametrize(
    "line",
    ["session list", "session list -j", "session show", "session forget 0x12", "spend", "spend --check --offline",
     "doctor --timeout 0.01", "voucher verify --channel 0x12 --amount 1 --signature 0x1"],
)  # fmt: skip
def test_the_store_that_a_command_looks_at_is_closed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str
) -> None:
    path = tmp_path / "state" / "sessions.db"
    Store(path).close()
    opened: list[Store] = []
    closed: list[Store] = []
    opening, closing = Store.__init__, Store.close

    def open_store(store: Store, path: Path) -> None:
        opened.append(store)
        opening(store, path)

    def close_store(store: Store) -> None:
        closed.append(store)
        closing(store)

    monkeypatch.setattr(Store, "__init__", open_store)
    monkeypatch.setattr(Store, "close", close_store)
    call(tmp_path, *line.split(), ANDO_RPC_URL="http://127.0.0.1:9", ANDO_BASE_URL="http://127.0.0.1:9/v1")
    assert opened
    assert closed == opened


@pytest.mark.parametrize("group", ["session", "voucher", "wallet", "config"])
def test_a_subcommand_is_loaded_without_the_others_of_its_group(tmp_path: Path, group: str) -> None:
    package = importlib.import_module(f"ando_cli.commands.{group}")
    names = get_command(package.app).names  # type: ignore[attr-defined]
    script = (
        "import sys\nfrom ando_cli.app import run\n"
        f"run(['{group}', '{names[1]}', '--help'])\n"
        f"print(sorted(name for name in sys.modules if name.startswith('ando_cli.commands.{group}.')))"
    )
    done = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True)
    loaded = {name.rpartition(".")[2] for name in ast.literal_eval(done.stdout.splitlines()[-1])}
    assert {name.removesuffix("_") for name in loaded if not name.startswith("_")} == {names[1]}
