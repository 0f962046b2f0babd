"""The whole examination: questions to other programs run at the same time, each with a time limit."""

from __future__ import annotations

import threading
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Generic, TypeVar

from ando_cli.config.settings import KEY_RAIL
from ando_cli.doctor import machine, servers
from ando_cli.doctor.report import Line, Status
from ando_cli.errors import AndoError, Code, NetworkError
from ando_cli.frozen import frozen
from ando_cli.money import amount
from ando_cli.session.channel import State

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from ando_cli.config.settings import Settings
    from ando_cli.keys.virtual_keys import VirtualKey
    from ando_cli.session.channel import Channel

_T = TypeVar("_T")


@frozen
class Records:
    """The store's contents: all channels, and the payee pinned for this gateway on this network."""

    channels: Sequence[Channel] = ()
    pinned_payee: str | None = None


@frozen
class Subject:
    """What to examine.

    Attributes:
        settings: those in force.
        wallet: returns the place of the wallet's key and its address, without asking for a password.
        virtual_key: the Virtual Key that would be used, or ``None``.
        records: reads the store, if there is one.
        timeout: seconds for each question to another program.
    """

    settings: Settings
    wallet: Callable[[], tuple[str, str]]
    virtual_key: Callable[[], VirtualKey | None]
    records: Callable[[], Records]
    timeout: float


def examine(subject: Subject) -> list[Line]:
    """Check everything, and return the findings."""
    settings, timeout = subject.settings, subject.timeout
    state, records = _state(subject)
    gateway = _Task(lambda: servers.gateway(settings, records.pinned_payee, timeout))
    keyring = _Task(machine.keyring)
    wallet = _Task(subject.wallet)
    virtual_key = _Task(lambda: _virtual_key(subject))
    import ando_cli.tempo.rpc  # noqa: F401 - here, so that the time it takes is not counted as the chain's

    chain = _Task(lambda: servers.chain(settings, timeout))
    held = _Task(lambda: servers.balance(settings, wallet.result(timeout)[1], timeout))

    seen_gateway = gateway.result_or(timeout, lambda error: servers.Seen((Line.of_error("gateway", error),)))
    seen_chain = chain.result_or(timeout, lambda error: servers.Seen((Line.of_error("RPC", error),)))
    lines = [
        machine.versions(),
        _looked_at("configuration", lambda: machine.configuration(settings.folders)),
        state,
        keyring.result_or(timeout, lambda error: Line.of_error("keyring", error, Status.WARN)),
        *seen_gateway.lines,
        *seen_chain.lines,
        servers.clock(seen_gateway.ahead, seen_chain.ahead),
        _wallet(subject, records, wallet, held),
        virtual_key.result_or(timeout, lambda error: Line.of_error("Virtual Key", error, _missing(settings))),
    ]
    return [_without_channels(line) for line in lines] if settings.rail == KEY_RAIL else lines


def without_settings(error: AndoError) -> list[Line]:
    """Return what can be reported if the settings do not load."""
    return [machine.versions(), Line.of_error("configuration", error)]


def _without_channels(line: Line) -> Line:
    """Return the line for a user of a Virtual Key, for whom what only a channel needs is no failure."""
    spared = line.status is Status.FAIL and line.name in ("paid route", "RPC", "chain", "clock", "wallet")
    return replace(line, status=Status.WARN) if spared else line


def _looked_at(name: str, look: Callable[[], Line]) -> Line:
    try:
        return look()
    except OSError as error:
        return Line(name, Status.FAIL, f"cannot be read: {error.strerror}", "check the permissions of its folder")


def _state(subject: Subject) -> tuple[Line, Records]:
    line = _looked_at("state", lambda: machine.state(subject.settings.folders))
    if line.status is Status.FAIL:
        return line, Records()
    try:
        return line, subject.records()
    except AndoError as error:
        return Line.of_error("state", error), Records()


def _wallet(subject: Subject, records: Records, wallet: _Task[tuple[str, str]], held: _Task[int]) -> Line:
    try:
        source, _ = wallet.result(subject.timeout)
    except AndoError as error:
        return Line.of_error("wallet", error)
    network = subject.settings.network
    left = sum(
        channel.left for channel in records.channels if channel.state is State.OPEN and channel.network == network.name
    )
    in_channels = f", and {amount(left)} left in channels" if left else ""
    try:
        balance = held.result(subject.timeout)
    except AndoError as error:
        found = f"in {source}; what it holds is unknown: {error.message}{in_channels}"
        return Line("wallet", Status.WARN, found, "fix what failed above")
    found = f"in {source}, holds {amount(balance)} {network.token_symbol}{in_channels}"
    if balance or left:
        return Line("wallet", Status.PASS, found)
    fix = f"send {network.token_symbol} on {network.name} to the address that `ando wallet address` shows"
    return Line("wallet", Status.FAIL, found, fix)


def _virtual_key(subject: Subject) -> Line:
    settings = subject.settings
    key = subject.virtual_key()
    if key is None:
        fix = "store one with `ando key set`, or set ANDO_VIRTUAL_KEY"
        return Line("Virtual Key", _missing(settings), "none stored; only --rail key needs one", fix)
    where = key.source if key.profile is None else f"{key.source}, profile {key.profile!r}"
    if key.gateway not in (None, settings.gateway):
        return Line("Virtual Key", _missing(settings), f"in {where}, for {key.gateway}", "use another --profile")
    return Line("Virtual Key", Status.PASS, f"in {where}")


def _missing(settings: Settings) -> Status:
    """Return the status of a missing Virtual Key."""
    return Status.FAIL if settings.rail == KEY_RAIL else Status.PASS


class _Task(Generic[_T]):
    """A question that runs in its own thread; the process does not wait for it at its end."""

    def __init__(self, ask: Callable[[], _T]) -> None:
        self._ask = ask
        self._answers: list[_T] = []
        self._error: AndoError | None = None
        self._started = time.monotonic()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def _run(self) -> None:
        try:
            self._answers.append(self._ask())
        except AndoError as error:
            self._error = error

    def result(self, timeout: float) -> _T:
        """Return the answer; wait for it until ``timeout`` seconds after the question.

        Raises:
            AndoError: the question raised it, or there is no answer yet.
        """
        self._thread.join(max(0.0, self._started + timeout - time.monotonic()))
        if self._answers:
            return self._answers[0]
        raise self._error or NetworkError(
            f"no answer within {timeout:g} seconds", hint="try again with a longer --timeout", code=Code.NO_ANSWER
        )

    def result_or(self, timeout: float, otherwise: Callable[[AndoError], _T]) -> _T:
        """Return the answer, or the result of ``otherwise`` for the error."""
        try:
            return self.result(timeout)
        except AndoError as error:
            return otherwise(error)
