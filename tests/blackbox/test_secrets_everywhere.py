"""Every command at full verbosity, against a gateway that is read along with.

Nothing that is shown, logged or kept holds a key, a credential, an address, a receipt or a prompt, but where that is
what the command or the file is for.
"""

from __future__ import annotations

import json
import signal
from typing import TYPE_CHECKING, Any

import pytest

from ando_cli.sandbox.server import Sandbox, SandboxConfig
from tests.support.badluck import relaying
from tests.support.cli_box import KEY, Box, Gateway, keyring_in
from tests.support.cli_person import Person
from tests.support.witness import PROMPT, SYSTEM, Witness

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODEL = "Qwen/Qwen3-8B-AWQ"
PASSWORD = "correct horse battery staple"
BODY = json.dumps({"messages": [{"role": "user", "content": PROMPT}], "max_tokens": 8})
CHAT = "/mpp/chat/completions"
OWN_ADDRESS = {"the payer's address"}

# What each command is for showing; whatever is not here is for showing nothing of it.
PURPOSE = {
    "wallet create": OWN_ADDRESS,
    "wallet import": OWN_ADDRESS,
    "wallet address": OWN_ADDRESS,
    "voucher sign": {"a signature"},
    "conversations list": {"the prompt"},
    "conversations show": {"the prompt", "the system message"},
    "conversations export": {"the prompt", "the system message"},
}
# What each file is for keeping, by the beginning of its name, or of the folder's below the state folder.
KEPT = {
    "backup.json": OWN_ADDRESS,  # an encrypted keystore names its account
    "sessions.db": {"the payer's address", "the payee's address", "a transaction"},
    "conversations": {"the prompt", "the system message"},
    "history": {"the prompt"},
}


@pytest.fixture
def owner(tmp_path: Path) -> Iterator[Gateway]:
    """Somebody with a keyring, in which everything is kept."""
    folder = tmp_path / "home"
    folder.mkdir()
    with Sandbox(SandboxConfig(path=tmp_path / "chain.db")) as sandbox:
        gateway = Gateway(sandbox, Box(folder))
        gateway.box.environment |= {
            **keyring_in(tmp_path / "ring.json"),
            "ANDO_MODEL": MODEL,
            "EDITOR": "true",
        }
        del gateway.box.environment["ANDO_PRIVATE_KEY"]
        yield gateway


class Walk:
    """Runs commands one after the other, and keeps what they show."""

    def __init__(self, gateway: Gateway, witness: Witness) -> None:
        self.gateway = gateway
        self.witness = witness
        self.done: set[str] = set()
        self.given_away: list[tuple[str, set[str]]] = []

    def __call__(self, command: str, *arguments: str, code: int = 0, stdin: str = "", **variables: str | None) -> Any:
        """Run ``command`` as loud as can be, for people and for programs alike."""
        done = self.gateway.box.run(*command.split(), *arguments, "-vvv", stdin=stdin, **variables)
        assert done.code == code, (command, done)
        self.look(command, done.stdout + done.stderr)
        return done

    def look(self, command: str, shown: str) -> None:
        """See what the output of ``command`` gives away."""
        self.done.add(command)
        found = self.witness.found_in(shown) - PURPOSE.get(command, set())
        if found:
            self.given_away.append((command, found))


def commands(described: dict[str, Any], path: str = "") -> set[str]:
    """The names of all commands that do something."""
    below = described.get("commands") or []
    return {path} if not below else {name for one in below for name in commands(one, one["name"].removeprefix("ando "))}


def test_no_command_gives_anything_away(owner: Gateway) -> None:
    box, virtual_key = owner.box, owner.sandbox.virtual_key
    owner.change(suggested_deposit=2_000_000)
    with relaying(owner) as relay:
        witness = Witness(relay, owner)
        witness.secrets |= {virtual_key: "the Virtual Key", PASSWORD: "the password"}
        walk = Walk(owner, witness)
        go_through(walk, virtual_key)
    every = commands(json.loads(box.run("--describe").worked().out)["command"])
    assert walk.done == every
    assert walk.given_away == []
    files = [path for path in box.folder.rglob("*") if path.is_file()]
    assert {"head.txt", "backup.json", "sessions.db"} <= {path.name for path in files}
    for path in files:
        part = path.relative_to(box.home / "state").parts[0] if path.is_relative_to(box.home / "state") else path.name
        allowed = next((kept for start, kept in KEPT.items() if part.startswith(start)), set())
        assert witness.found_in(path.read_bytes().decode("latin-1")) - allowed == set(), path


def talk(walk: Walk) -> None:
    """A conversation on a terminal, on both rails. What is typed is on the screen, and so is no secret there."""
    person = Person(walk.gateway.box, "chat", "-vvv", "--yes", "-s", SYSTEM)
    for line in ("/rail mpp", PROMPT, "/rail key", PROMPT, "/usage", "/session", "/nonsense"):
        person.says(line)
    person.leaves()
    assert sum("canned answer" in row for row in person.rows) == 2
    for shown in (person.screen, "\n".join(person.rows)):
        walk.look("chat", shown.replace(PROMPT, ""))


def go_through(walk: Walk, virtual_key: str) -> None:
    """Use everything once, in an order in which it works."""
    pay = ("--yes", "--max-tokens", "8")
    words = (PROMPT, "-s", SYSTEM)
    walk("wallet import", stdin=KEY.to_hex())
    walk("wallet address")
    walk("wallet balance")
    walk("wallet export", "-o", "backup.json", ANDO_KEYSTORE_PASSWORD=PASSWORD)
    walk("wallet create", code=1)
    walk("key set", stdin=virtual_key)
    walk("key show")
    walk("key list")
    walk("models")
    walk("doctor")

    walk("chat", *words, *pay, "--dry-run")
    walk("session open", "--yes", "--delegate")
    walk("chat", *words, *pay, "--usage")
    walk("chat", *words, *pay, "-j")
    walk("chat", *words, *pay, "--keep")
    walk("chat", *words, "--rail", "key", "--usage")
    talk(walk)
    for command in ("respond", "think"):
        walk(command, *words, "--usage")
    walk("complete", PROMPT, "-t")
    walk("request", CHAT, "--json", BODY, "-i", "-D", "head.txt")
    walk("request", "/models", "--rail", "key")
    walk("session topup", "1", "--yes")
    walk("session list")
    walk("session list", "--chain", "--full")
    walk("session show", "--chain")
    walk("session sync")
    walk("session recover")
    walk("spend", "--check")
    walk("spend", "--requests", "--csv")

    channel = json.loads(walk("session list", "--full", "-j").out)[0]["id"]
    signed = walk("voucher sign", "--channel", channel, "--amount", "1.5", "--yes").stdout.strip()
    walk.witness.secrets |= {signed.removeprefix("0x")[:40]: "a signature"}
    walk("voucher verify", "--channel", channel, "--amount", "1.5", "--signature", "-", stdin=signed)
    inspected = json.dumps({"channelId": channel, "cumulativeAmount": "1500000", "signature": signed})
    walk("voucher inspect", stdin=inspected)

    conversation = json.loads(walk("conversations list").out)[0]["id"]
    walk("conversations show", conversation)
    walk("conversations export", conversation)
    walk("conversations remove", conversation, "--yes")

    walk("config list")
    walk("config get", "timeout")
    walk("config set", "timeout", "60")
    walk("config unset", "timeout")
    walk("config path")
    walk("config edit")
    walk("completions", "bash")
    walk("skill")

    walk("session close", "--force")
    walk("session close", "--finish", code=4)
    walk("session forget", channel[:12], "--yes-lose-track")
    walk("session recover", channel)
    walk("key remove", "--yes")
    walk("wallet remove", "--yes")
    walk("chat", *words, *pay, code=1)

    running = walk.gateway.box.start("sandbox", "run", "--port", "0", "-vvv")
    assert running.stderr is not None
    first = running.stderr.readline()
    running.send_signal(signal.SIGINT)
    walk.look("sandbox run", (first + running.communicate()[1]).decode())
