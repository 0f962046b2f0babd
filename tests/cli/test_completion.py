"""Shell completion: the scripts are current, and what they ask for is answered, quickly and with nothing else done."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from shutil import which

import pytest

from ando_cli.app import COMMANDS
from ando_cli.cli.completion import FILES, script
from ando_cli.conversation.archive import Conversations, Kept
from ando_cli.conversation.model import Conversation
from ando_cli.session.channel import Channel, State
from ando_cli.session.record.store import Store
from ando_cli.tempo.channel import ChannelTerms

SCRIPTS = Path(__file__).resolve().parents[2] / "completions"
BIN = Path(sys.executable).parent


def channel(number: int) -> Channel:
    """An open channel, one for each gateway."""
    one = "0x" + "11" * 20
    terms = ChannelTerms(
        payer=one, payee=one, token=one, salt=f"0x{number:064x}", authorized_signer=one, escrow=one, chain_id=4217
    )
    return Channel(channel_id=terms.channel_id, gateway=f"https://{number}.example", network="tempo", terms=terms,
                   state=State.OPEN, deposit=5, cumulative_amount=1)  # fmt: skip


def files(home: Path) -> list[Path]:
    """What is there, but for the two files that SQLite has beside a database while it is read."""
    return sorted(path for path in home.rglob("*") if not path.name.endswith(("-shm", "-wal")))


def ask(home: Path, shell: str, line: str) -> str:
    """What ``ando`` answers to the script of ``shell`` when the cursor stands at the end of ``line``."""
    words = line.split(" ")
    before = files(home)
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
    assert files(home) == before, "completing writes nothing"
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
        ("ando chat --max", ["--max-tokens", "--max-spend", "--max-time"]),
        ("ando chat --net", ["--network"]),
        ("ando --network tempo chat --yes --conn", ["--connect-timeout"]),
        ("ando --version ch", ["chat"]),
        ("ando spend --by ", ["day", "model", "plan", "rail", "gateway", "session"]),
        ("ando chat hel", []),
        ("ando nonsense x", []),
    ],
)
def test_a_word_is_completed(tmp_path: Path, line: str, expected: list[str]) -> None:
    assert ask(tmp_path, "bash", line).split() == expected


@pytest.fixture(scope="module")
def lived_in(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A home with channels, models, and a configuration that is not even valid."""
    home = tmp_path_factory.mktemp("lived-in")
    store = Store(home / "state" / "sessions.db")
    store.add(channel(1))
    store.add(channel(2))
    store.close()
    (home / "state" / "models.json").write_text(json.dumps({"models": MODELS}))
    kept = Conversations(home / "state" / "conversations", clock=lambda: 1_800_000_000)
    kept.save(Kept(CONVERSATION, Conversation(), 1_800_000_000, 1_800_000_000))
    (home / "config.toml").write_text("timeout = 3\n[networks.mine]\nchain_id = 0\n")
    return home


CONVERSATION = "1rv7bfe9"
MODELS = ["Qwen/Qwen3-8B-AWQ", "org/model:free", "evil$(touch /tmp/x)", "`id`", "two words", "quo'te", 'quo"te', "", 7]
"""A gateway names its models as it likes; the script for zsh evaluates what it is given."""


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("ando session show ", [channel(1).channel_id, channel(2).channel_id]),
        ("ando session close --force 0x", [channel(1).channel_id, channel(2).channel_id]),
        (f"ando voucher sign --channel {channel(1).channel_id[:9]}", [channel(1).channel_id]),
        ("ando --sandbox session show ", []),
        ("ando session show --sandbox ", []),
        ("ando --network m", ["mine"]),
        ("ando chat --network tempo-", ["tempo-moderato"]),
        ("ando chat --model ", MODELS[:2]),
        ("ando chat -m Q", MODELS[:1]),
        ("ando chat --plan P", ["Plus", "Premium"]),
        ("ando chat --rail ", ["mpp", "key"]),
        ("ando chat --conversation 1r", [CONVERSATION]),
        ("ando conversations remove --yes ", [CONVERSATION]),
        ("ando --sandbox conversations show ", []),
        ("ando session open --protocol ", ["v1", "v2"]),
        ("ando completions f", ["fish"]),
        ("ando config get max_", ["max_spend", "max_deposit", "max_time"]),
        ("ando config unset networks.mine.chain", ["networks.mine.chain_id"]),
        ("ando config set deleg", ["delegate"]),
        ("ando config set delegate ", ["true", "false"]),
        ("ando config set timeout 3 rail ", ["mpp", "key"]),
        ("ando config set network t", ["tempo", "tempo-moderato"]),
        ("ando config set nothing ", []),
        ("ando --describe session s", ["show", "sync"]),
    ],
)
def test_a_value_is_completed_from_what_lies_on_this_machine(lived_in: Path, line: str, expected: list[str]) -> None:
    assert sorted(ask(lived_in, "bash", line).split()) == sorted(expected)


def test_what_is_broken_offers_nothing_and_says_nothing(tmp_path: Path) -> None:
    (tmp_path / "state").mkdir()
    for broken in ("state/sessions.db", "state/models.json", "config.toml"):
        (tmp_path / broken).write_bytes(b"\xff broken" * 500)
    for line in ("ando session show ", "ando chat --model ", "ando config get networks."):
        assert ask(tmp_path, "bash", line) == "\n"
    assert ask(tmp_path, "bash", "ando --network t").split() == ["tempo", "tempo-moderato"]


def test_zsh_is_told_where_a_word_with_a_colon_ends(lived_in: Path) -> None:
    assert ask(lived_in, "zsh", "ando chat --model o") == """_arguments '*: :(("org/model\\\\:free"))'\n"""


def test_the_scripts_are_printed_too() -> None:
    for shell in FILES:
        done = subprocess.run([BIN / "ando", "completions", shell], capture_output=True, text=True, check=True)
        assert done.stdout == script(shell)


def test_fish_and_zsh_are_told_what_a_word_means_on_one_line_each(tmp_path: Path) -> None:
    meaning = "The most that this command may deposit"
    tokens, spend, _ = ask(tmp_path, "fish", "ando chat --max").splitlines()
    assert tokens.startswith("--max-tokens\t")
    assert spend.startswith(f"--max-spend\t{meaning}")
    tokens, spend, _ = ask(tmp_path, "zsh", "ando chat --max").splitlines()
    assert tokens.startswith("""_arguments '*: :(("--max-tokens":"The most tokens""")
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
    COMP_WORDS=(ando --network tempo-); COMP_CWORD=2; _ando_completion ando; echo "${{COMPREPLY[@]}}"
    """
    assert in_shell("bash", check, tmp_path) == [
        "complete -o default -F _ando_completion ando", "--max-tokens --max-spend --max-time", "session",
        "tempo-moderato",
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
