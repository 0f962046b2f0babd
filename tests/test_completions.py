"""Shell completion: the scripts are current, and what they ask for is answered, quickly and with nothing else done."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest

from ando_cli.app import COMMANDS
from ando_cli.completions import FILES, script

SCRIPTS = Path(__file__).resolve().parent.parent / "completions"
BIN = Path(sys.executable).parent


def ask(home: Path, shell: str, line: str) -> str:
    """What ``ando`` answers to the script of ``shell`` when the cursor stands at the end of ``line``."""
    words = line.split(" ")
    done = subprocess.run(
        [str(BIN / "ando")],
        env={
            "PATH": os.environ["PATH"],
            "ANDO_HOME": str(home),
            "ANDO_MAX_DEPOSIT": "not an amount: no setting is read",
            "_ANDO_COMPLETE": f"complete_{shell}",
            "_TYPER_COMPLETE_ARGS": line,
            "_TYPER_COMPLETE_FISH_ACTION": "get-args",
            "COMP_WORDS": "\n".join(words),
            "COMP_CWORD": str(len(words) - 1),
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert not list(home.iterdir()), "completing writes nothing"
    return done.stdout


@pytest.mark.parametrize("shell", FILES)
def test_the_scripts_in_the_repository_are_current(shell: str) -> None:
    assert (SCRIPTS / FILES[shell]).read_text() == script(shell), "run `make completions`"


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ando ch", ["chat"]),
        ("ando ", [*COMMANDS]),
        ("ando --rpc", ["--rpc-url"]),
        ("ando --sandbox session o", ["open"]),
        ("ando session li", ["list"]),
        ("ando chat --max", ["--max-tokens", "--max-spend"]),
        ("ando chat --net", ["--network"]),
        ("ando --network tempo chat --yes --conn", ["--connect-timeout"]),
        ("ando --version ch", ["chat"]),
        ("ando chat hel", []),
        ("ando nonsense x", []),
    ],
)
def test_a_word_is_completed(tmp_path: Path, line: str, expected: list[str]) -> None:
    assert ask(tmp_path, "bash", line).split() == expected


def test_fish_and_zsh_are_told_what_a_word_means_on_one_line_each(tmp_path: Path) -> None:
    meaning = "The most that this command may deposit"
    tokens, spend = ask(tmp_path, "fish", "ando chat --max").splitlines()
    assert tokens.startswith("--max-tokens\t")
    assert spend.startswith(f"--max-spend\t{meaning}")
    tokens, spend = ask(tmp_path, "zsh", "ando chat --max").splitlines()
    assert tokens.startswith("""_arguments '*: :(("--max-tokens":"The longest answer""")
    assert spend.startswith(f'"--max-spend":"{meaning}')


@pytest.mark.parametrize("line", ["ando ", "ando chat --", "ando request --", "ando wallet ", "ando sandbox run --"])
def test_zsh_is_given_nothing_to_evaluate_but_words(tmp_path: Path, line: str) -> None:
    answer = ask(tmp_path, "zsh", line)
    inside = answer.strip().removeprefix("_arguments '*: :((").removesuffix("))'")
    assert inside
    assert not set(inside) & set("'$`\\")


def test_completing_commands_loads_none_of_them(tmp_path: Path) -> None:
    done = subprocess.run(
        [sys.executable, "-X", "importtime", "-m", "ando_cli"],
        env={"ANDO_HOME": str(tmp_path), "_ANDO_COMPLETE": "complete_zsh", "_TYPER_COMPLETE_ARGS": "ando "},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    loaded = {line.rpartition("|")[2].strip() for line in done.stderr.splitlines()}
    assert "ando_cli.app" in loaded
    assert not loaded & {"httpx", "sqlite3", "rich", "pydantic", "web3", "ando_cli.commands"}


def test_bash_completes_with_the_script(tmp_path: Path) -> None:
    check = f"""
    source {SCRIPTS / "ando.bash"}
    complete -p ando
    COMP_WORDS=(ando chat --max); COMP_CWORD=2; _ando_completion ando; echo "${{COMPREPLY[@]}}"
    COMP_WORDS=(ando se); COMP_CWORD=1; _ando_completion ando; echo "${{COMPREPLY[@]}}"
    """
    assert in_shell("bash", check, tmp_path) == [
        "complete -o default -F _ando_completion ando", "--max-tokens --max-spend", "session"
    ]  # fmt: skip


def test_fish_completes_with_the_script(tmp_path: Path) -> None:
    answers = in_shell("fish", f"source {SCRIPTS / 'ando.fish'}; complete -C 'ando ses'", tmp_path)
    assert [line.split("\t")[0] for line in answers] == ["session"]


def test_zsh_takes_the_script_as_its_completion(tmp_path: Path) -> None:
    check = f"fpath=({SCRIPTS} $fpath); autoload -U compinit; compinit -D -u; echo $_comps[ando]"
    assert in_shell("zsh", check, tmp_path) == ["_ando"]


def in_shell(shell: str, commands: str, home: Path) -> list[str]:
    if which(shell) is None:
        pytest.skip(f"{shell} is not installed")
    bare = {"bash": ["--norc"], "zsh": ["-f"], "fish": ["--no-config"]}[shell]
    done = subprocess.run(
        [shell, *bare, "-c", commands],
        env={"PATH": f"{BIN}:{os.environ['PATH']}", "HOME": str(home), "ANDO_HOME": str(home)},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    assert done.stderr == ""
    return done.stdout.splitlines()
