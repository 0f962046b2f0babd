"""One world: a wallet, a sandbox, bad connections to it, several processes that pay at once, some of them killed."""

from __future__ import annotations

import json
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from random import Random
from subprocess import TimeoutExpired
from tempfile import TemporaryFile
from typing import TYPE_CHECKING, Any

from ando_cli.sandbox.config import CHAIN_ID, ESCROW, TOKEN
from ando_cli.sandbox.server import Sandbox, SandboxConfig, Settings
from tests.chaos.books import Books
from tests.chaos.kinds import GATEWAY_LIES, Level
from tests.chaos.relay import Asked, Relay
from tests.support.cli_box import KEY, MILLION, Box, keyring_in
from tests.support.forked import forks

if TYPE_CHECKING:
    from collections.abc import Sequence

MORTAL = Path(__file__).with_name("mortal.py")
FUNDS = 100 * MILLION
PATIENCE = 150.0
"""Seconds after which a command hangs: more than it waits for others (``locks.WAIT_SECONDS``)."""

DOCUMENTED = frozenset((0, 1, 2, 3, 4, 130))
"""The exit codes of the documentation, but for 70: an error of ``ando`` itself is a violation."""

_GRACE_SECONDS = 2 * 24 * 3600
_DEPOSIT = ("--yes", "--max-spend", "6")


@dataclass
class Outcome:
    """What happened in a world. ``violations`` are lines for a person."""

    name: str
    injected: Counter[tuple[str, str]] = field(default_factory=Counter)
    commands: Counter[str] = field(default_factory=Counter)
    codes: Counter[int] = field(default_factory=Counter)
    kills: Counter[str] = field(default_factory=Counter)
    violations: list[tuple[str, str]] = field(default_factory=list)
    journal: list[str] = field(default_factory=list)


class World:
    """A wallet and what it pays, for one run.

    Args:
        name: the seed: the same name draws the same gateway, commands, kills and faults. In which order several
            processes get there is up to the machine.
        folder: where everything is kept.
        level: who tells the truth.
        steps: how many commands each process runs.
    """

    def __init__(self, name: str, folder: Path, level: Level, steps: int) -> None:
        self.level, self.steps = level, steps
        self.outcome = Outcome(name)
        self.random = random = Random(name)
        self.workers = random.choice([1, 1, 2, 3])
        self.closes = level is not Level.RPC_LIES
        self.budget = random.choice([None, 12 * MILLION, 30 * MILLION])
        self.delegate = self.workers == 1 and random.random() < 0.3
        self.settings = Settings(
            protocol=random.choice(["v1", "v2"]),
            charge=random.choice(["metered", "full"]),
            fee_payer=random.random() < 0.3,
            prices={"Starter": random.choice([10, 10_000, 25_000]), "Plus": 30, "Premium": 100},
            expiry_seconds=random.choice([300.0, 300.0, 4.0]),
            error_shape=random.choice(["openai", "bare", "rfc9457"]),
        )
        self.rates = {"gateway": random.choice([0.1, 0.3, 0.6]), "rpc": random.choice([0.03, 0.1, 0.2])}
        self.good_start = random.random() < 0.7
        self.box = Box(folder)
        self.sandbox = Sandbox(SandboxConfig(path=folder / "chain.db", settings=self.settings))
        self._lock = threading.Lock()
        self._started = time.monotonic()

    def run(self) -> Outcome:
        """Let it happen, and judge it."""
        with self.sandbox:
            self.sandbox.fund(KEY.address, FUNDS)
            self.books = Books(self.box.home / "state" / "sessions.db", self.box.folder / "chain.db", self.sandbox)
            origin = self.sandbox.base_url.removesuffix("/v1")
            relay = Relay(
                origin, self.sandbox.faults, self.level, self.rates, Random(f"{self.outcome.name}/way"), self._watch
            )
            with relay:
                self.relay = relay
                self._configure(relay.origin)
                self._note(f"{self.settings} level={self.level.value} workers={self.workers} budget={self.budget}")
                if self.good_start:
                    relay.quiet = True
                    self.command("chat", "hi", "--max-tokens", "8", *_DEPOSIT)
                    relay.quiet = False
                workers = [threading.Thread(target=self._work, args=(number,)) for number in range(self.workers)]
                for worker in workers:
                    worker.start()
                for worker in workers:
                    worker.join()
                relay.quiet = True
                self.sandbox.faults.clear()
                self._judge()
                self.outcome.injected = relay.injected
        return self.outcome

    def _configure(self, origin: str) -> None:
        self.box.environment |= {"ANDO_PRIVATE_KEY": KEY.to_hex()}
        if self.delegate:
            self.box.environment |= keyring_in(self.box.folder / "keyring.json")
        budget = [] if self.budget is None else ["[budget]", f"total = {self.budget // MILLION}"]
        self.box.configure(
            "\n".join(
                [
                    f'base_url = "{origin}/v1"', 'network = "local"', "timeout = 2", "connect_timeout = 2",
                    *(["delegate = true"] if self.delegate else []),
                    *budget,
                    "[networks.local]", f"chain_id = {CHAIN_ID}", f'rpc_url = "{origin}/rpc"', f'token = "{TOKEN}"',
                    f'escrows = ["{ESCROW}"]', "",
                ]
            )
        )  # fmt: skip

    # What happens

    def _work(self, number: int) -> None:
        random = Random(f"{self.outcome.name}/worker {number}")
        for _ in range(self.steps):
            command, fuse, life = self._draw(random)
            before = self.books.committed() if self.workers == 1 else None
            self.command(*command, fuse=fuse, life=life)
            if before is not None and "--max-spend" in command:
                self._check_consent(before, 6 * MILLION, command)

    def _draw(self, random: Random) -> tuple[Sequence[str], int, float | None]:
        """A command, at which of its moments it is killed (0: none), and after how many seconds (``None``: never)."""
        chat = ("chat", "hi", "--max-tokens", "8", *_DEPOSIT)
        drawn: list[tuple[int, tuple[str, ...]]] = [
            (20, chat),
            (3, ("session", "open", *_DEPOSIT)),
            (3, ("session", "topup", random.choice(["1", "2.5"]), *_DEPOSIT)),
            (3, ("session", "sync")),
            (2, ("session", "recover", *random.choice([(), ("--ask-gateway",)]))),
            (1, ("session", "list", "--chain", "-j")),
            (1, ("spend", "--check", "-j")),
        ]
        if self.closes:
            drawn += [
                (3, ("session", "close")),
                (1, ("session", "close", "--force")),
                (1, ("session", "close", "--all")),
            ]
        command = random.choices([each for _, each in drawn], [weight for weight, _ in drawn])[0]
        fuse = random.randint(1, random.choice([16, 40])) if random.random() < 0.3 else 0
        life = random.uniform(0.02, 1.0) if not self.delegate and random.random() < 0.1 else None
        return command, fuse, life

    def command(self, *arguments: str, fuse: int = 0, life: float | None = None) -> tuple[int, str, str]:
        """Run ``ando``, and check what holds for each command; returns its exit code, stdout and stderr."""
        variables: dict[str, str | None] = {"CHAOS_FUSE": str(fuse)} if fuse else {}
        with TemporaryFile() as source, TemporaryFile() as out, TemporaryFile() as err:
            streams = source.fileno(), out.fileno(), err.fileno()
            with self._lock:
                fork = forks().start([MORTAL, *arguments], self.box.environ(variables), self.box.folder, streams)
            try:
                code = self._wait(fork, life)
            except TimeoutExpired:
                code = -9
                self._violate("hangs", f"{arguments} did not end in {PATIENCE:.0f} s")
            out.seek(0)
            err.seek(0)
            shown, told = out.read().decode(errors="replace"), err.read().decode(errors="replace")
        self._book(arguments, code, shown, told, fuse)
        return code, shown, told

    def _wait(self, fork: Any, life: float | None) -> int:
        if life is not None:
            try:
                return int(fork.wait(life))
            except TimeoutExpired:  # it was killed
                self.outcome.kills["at random"] += 1
        return int(fork.wait(PATIENCE))

    def _book(self, arguments: Sequence[str], code: int, out: str, err: str, fuse: int) -> None:
        with self._lock:
            self.outcome.commands[" ".join(word for word in arguments[:2] if word.isalpha())] += 1
            self.outcome.codes[code] += 1
            if code == -9 and fuse:
                self.outcome.kills["at a commit, signature, send or answer"] += 1
        self._note(f"{' '.join(arguments)} fuse={fuse} -> {code} {(err or out).strip()[-300:]!r}")
        if "Traceback" in out + err:
            self._violate("traceback", f"{arguments}: {(out + err)[-1500:]}")
        elif code not in DOCUMENTED and code != -9:
            self._violate("exit code", f"{arguments}: {code}: {(out + err)[-500:]}")
        if KEY.to_hex()[2:] in (out + err).lower():
            self._violate("secret", f"{arguments} showed the wallet's key")

    # What must hold

    def _watch(self, asked: Asked) -> None:
        """Nothing is sent that is not on record."""
        credential = asked.credential
        if credential is None:
            return
        payload = credential.get("payload", {})
        channel_id, signed = str(payload.get("channelId")), int(payload.get("cumulativeAmount", 0))
        with self._lock:
            known = self.books.signed(channel_id, signed)
        if known is None or known < signed:
            self._violate("not on record", f"{payload.get('action')} {channel_id} {signed}, on record {known}")

    def _check_consent(self, before: tuple[int, int], limit: int, command: Sequence[str]) -> None:
        authorised, deposited = (now - then for now, then in zip(self.books.committed(), before, strict=True))
        if authorised > limit or deposited > limit:
            self._violate("beyond --max-spend", f"{command}: authorised {authorised}, deposited {deposited}")

    def _judge(self) -> None:
        for code, text in self.books.judge(self.budget, closes=self.closes):
            self._violate(code, text)
        if self.delegate:
            self._check_keys()
        if self.level is Level.RPC_LIES:
            return
        self._settle("after the faults")
        for flags in (("--all",), ("--all", "--force"), ("--all", "--finish")):
            self.command("session", "close", *flags)
            self.sandbox.rpc("evm_increaseTime", _GRACE_SECONDS)
            self.sandbox.rpc("evm_mine")
        self._settle("after everything was closed")
        left = self.books.left()
        if left:
            self._violate("deposit lost", f"{left} base units are still in the escrows after every channel was closed")
        if (total := self.books.total()) != FUNDS:
            self._violate("deposit lost", f"wallet, escrows, payee and fees add up to {total}")

    def _settle(self, when: str) -> None:
        """One sync, and everything must agree."""
        self.command("session", "sync")
        for what, text in [*self.books.lost(), *self.books.misstated()]:
            self._violate(what, f"{when}: {text}")
        code, out, err = self.command("spend", "--check", "-j")
        if code == 4 and any(kind in GATEWAY_LIES for _, kind in self.relay.injected):
            return  # the gateway took other amounts than its receipts say, and is found out
        if code != 0:
            self._violate("check disagrees", f"{when}: exit code {code}: {_findings(out) or err[-500:]}")

    def _check_keys(self) -> None:
        kept = self.box.folder / "keyring.json"
        accounts = " ".join(json.loads(kept.read_text())).lower() if kept.exists() else ""
        for signer in self.books.signers():
            if signer != KEY.address.lower() and signer not in accounts:
                self._violate("key deleted", f"{signer} signs for a channel that holds money")

    def _violate(self, code: str, text: str) -> None:
        with self._lock:
            self.outcome.violations.append((code, text))
        self._note(f"VIOLATION {code}: {text}")

    def _note(self, text: str) -> None:
        at = time.monotonic() - self._started
        self.outcome.journal.extend([*self.relay.journal, f"{at:6.2f} s  {text}"])
        self.relay.journal.clear()


def _findings(out: str) -> str:
    try:
        sessions = json.loads(out)["sessions"]
    except (ValueError, KeyError):
        return out[-500:]
    return "; ".join(each["message"] for session in sessions for each in session["findings"] if not each["explained"])
