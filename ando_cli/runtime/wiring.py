"""Puts the parts together for one command: wallet, store, chain, rail, client, and the sandbox where it is asked for.

Everything that is slow to load or may be missing is made when it is first needed: a request that costs nothing needs
no wallet, and a voucher on an open channel needs no chain.
"""

from __future__ import annotations

import dataclasses
import json
import os
import time
from contextlib import ExitStack, contextmanager, suppress
from functools import partial
from typing import TYPE_CHECKING, Any

from ando_cli.config.settings import KEY_RAIL, MODELS_FILE, MPP_RAIL, STORE_FILE
from ando_cli.errors import Code, ConsentRequiredError, PaymentDeclinedError, StoreError, UsageError
from ando_cli.files import make_private_folder, replace_private
from ando_cli.frozen import frozen
from ando_cli.http.client import AndoClient
from ando_cli.keys.delegates import FileDelegates, KeyringDelegates
from ando_cli.money import amount
from ando_cli.rails.bearer import BearerAuth
from ando_cli.rails.payment import PaymentAuth
from ando_cli.session.act.lifecycle import Deposit, Lifecycle
from ando_cli.session.decide.policy import Caps
from ando_cli.session.record.store import Store
from ando_cli.tempo.keys import PrivateKey

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path
    from types import ModuleType

    import httpx

    from ando_cli.config.settings import Settings
    from ando_cli.runtime.context import Invocation
    from ando_cli.session.act.lifecycle import Delegates
    from ando_cli.session.decide.budget import Budgets
    from ando_cli.tempo.protocol import Protocol
    from ando_cli.tempo.rpc import Rpc
    from ando_cli.terminal.output import Terminal

_SANDBOX_FUNDS = 100_000_000
_SANDBOX_RATION = 20_000_000
"""The sandbox's wallet is filled up to 100 when it holds less than 20: its money costs nothing."""


@frozen
class PayOptions:
    """What the flags of a paying command say. Amounts in base units, timeouts in seconds."""

    max_spend: int | None = None
    assume_yes: bool = False
    accept_payee: str | None = None
    deposit: int | None = None
    protocol: Protocol | None = None
    delegate: bool = False
    profile: str | None = None
    connect_timeout: float | None = None
    timeout: float | None = None


def open_store(settings: Settings) -> Store:
    """The store of these settings.

    Raises:
        StoreError: it cannot be used.
    """
    return Store(settings.folders.state / STORE_FILE)


def existing_store(settings: Settings) -> Store | None:
    """The store of these settings, or ``None`` where there is none yet: looking must not create one.

    Raises:
        StoreError: it cannot be used.
    """
    return open_store(settings) if (settings.folders.state / STORE_FILE).exists() else None


def remember_models(settings: Settings, names: list[str]) -> None:
    """Keep the names of the models for the shell's completion, which must not ask the gateway."""
    folder = settings.folders.state
    with suppress(OSError):
        make_private_folder(folder)
        replace_private(folder / MODELS_FILE, json.dumps({"models": names}).encode())


def import_sandbox() -> ModuleType:
    """The sandbox's server, which is an optional part.

    Raises:
        UsageError: its packages are not installed.
    """
    try:
        from ando_cli.sandbox import server
    except ModuleNotFoundError as error:
        raise UsageError(
            f"the sandbox needs the package {error.name}",
            hint="pip install 'ando-cli[sandbox]'",
            code=Code.SANDBOX_MISSING,
        ) from None
    return server


@frozen
class Parts:
    """What a command works with: the settings in force, the lifecycle, what finds a Virtual Key, and what makes a
    client for a rail."""

    settings: Settings
    lifecycle: Lifecycle
    virtual_key: Callable[[], str]
    client: Callable[[httpx.Auth], AndoClient]


@contextmanager
def connect(state: Invocation, options: PayOptions, rail: str = MPP_RAIL) -> Iterator[AndoClient]:
    """A client that pays on ``rail``, with everything behind it; closed with the block.

    Raises:
        UsageError: a setting is wrong.
        StoreError: the sandbox's files cannot be written.
        WalletError: the rail is that of a Virtual Key, and there is none.
    """
    with assemble(state, options) as parts:
        yield connect_with_key(state, parts) if rail == KEY_RAIL else connect_with_channel(state, parts, options)


def connect_with_channel(state: Invocation, parts: Parts, options: PayOptions) -> AndoClient:
    """A client that pays from the channel of each gateway."""
    return parts.client(
        PaymentAuth(
            parts.lifecycle,
            gateway_of=parts.settings.gateway_of,
            accepted_payee=options.accept_payee,
            protocol=options.protocol,
            stage=state.terminal.stage,
            warn=state.terminal.warn,
        )
    )


def connect_with_key(state: Invocation, parts: Parts, key: str | None = None) -> AndoClient:
    """A client that sends a Virtual Key: ``key``, or the one that is found.

    Raises:
        WalletError: there is none, or it is for another gateway.
    """
    found = parts.virtual_key() if key is None else key
    settings = parts.settings
    return parts.client(
        BearerAuth(
            found,
            base_url=settings.base_url,
            gateway=settings.gateway,
            store=lambda: parts.lifecycle.store,
            stage=state.terminal.stage,
            warn=state.terminal.warn,
            sleep=partial(pause, state.terminal),
        )
    )


def pause(terminal: Terminal, seconds: float) -> None:
    """Wait that many seconds, which is shown."""
    with terminal.progress():
        time.sleep(seconds)


@contextmanager
def assemble(state: Invocation, options: PayOptions) -> Iterator[Parts]:
    """The parts that a command puts to use itself; closed with the block.

    Raises:
        UsageError: a setting is wrong.
        StoreError: the sandbox's files cannot be written.
    """
    with ExitStack() as stack:
        settings = state.settings
        if settings.sandbox:
            settings, key, sandbox = stack.enter_context(_sandbox(settings))

            def find_key() -> PrivateKey:
                return key

            def find_address() -> str:
                return key.address

            def find_virtual_key() -> str:
                return str(sandbox.virtual_key)

            delegates: Delegates = FileDelegates(settings.folders.state)
        else:

            def find_key() -> PrivateKey:
                return state.open_wallet().load().key

            def find_address() -> str:
                return state.open_wallet().noted_address()

            def find_virtual_key() -> str:
                from ando_cli.keys.virtual_keys import VirtualKeys  # not on the paid path

                return VirtualKeys(state.environ, settings.profile).find(options.profile, settings.gateway).value

            delegates = KeyringDelegates()

        def make_store() -> Store:
            store = open_store(settings)
            stack.callback(store.close)
            return store

        def make_rpc() -> Rpc:
            from ando_cli.tempo.rpc import Rpc  # web3 takes its time

            return stack.enter_context(Rpc(settings.network.rpc_url, timeout=settings.connect_timeout))

        terminal = state.terminal
        max_spend = options.max_spend if options.max_spend is not None else settings.max_spend
        budgets = find_budgets(settings)
        lifecycle = Lifecycle(
            store=make_store,
            network=settings.network,
            key=find_key,
            chain=make_rpc,
            caps=Caps(settings.max_deposit, max_spend),
            consent=_consent(terminal, settings, options, max_spend or budgets),
            locks=settings.folders.state / "locks",
            deposit=options.deposit,
            address=find_address,
            delegates=delegates,
            delegate=options.delegate or settings.delegate,
            budgets=budgets,
            by_budget=lambda: _by_budget(terminal, settings, options, max_spend),
            warn=terminal.warn,
        )

        def make_client(auth: httpx.Auth) -> AndoClient:
            client = AndoClient(
                settings.base_url,
                auth,
                connect_timeout=options.connect_timeout or settings.connect_timeout,
                timeout=options.timeout or settings.timeout,
                waiting=terminal.progress,
            )
            stack.callback(client.close)
            return client

        yield Parts(settings, lifecycle, find_virtual_key, make_client)


def find_budgets(settings: Settings) -> Budgets | None:
    """The budgets that are configured; ``None`` where there are none."""
    limits = (settings.budget_day, settings.budget_month, settings.budget_total)
    if limits == (None, None, None):
        return None
    from ando_cli.session.decide.budget import Budgets

    return Budgets(*limits)


def _by_budget(terminal: Terminal, settings: Settings, options: PayOptions, max_spend: int | None) -> bool:
    """Whether nobody but a budget would allow a deposit."""
    return not (settings.sandbox or options.assume_yes or max_spend or terminal.attended)


def _consent(
    terminal: Terminal, settings: Settings, options: PayOptions, limit: int | Budgets | None
) -> Callable[[Deposit], None]:
    """Ask on a terminal; without one, a limit or a budget that the user set is the consent."""

    def ask(deposit: Deposit) -> None:
        if settings.sandbox or options.assume_yes:
            return
        what = "Open a channel" if deposit.opening else "Top up the channel"
        money = f"{amount(deposit.amount)} {deposit.symbol}"
        answer = terminal.ask(f"{what} with a deposit of {money} at {deposit.gateway}?")
        if answer is None and limit is None:
            raise ConsentRequiredError(
                f"{what.lower()} with a deposit of {money}: there is no terminal to ask on",
                hint=f"allow it with --max-spend {amount(deposit.amount)} (or ANDO_MAX_SPEND), a budget, or --yes",
            )
        if answer is False:
            raise PaymentDeclinedError("the deposit was declined", hint="nothing was signed")

    return ask


@contextmanager
def _sandbox(settings: Settings) -> Iterator[tuple[Settings, PrivateKey, Any]]:
    """A sandbox for the length of one command, a wallet in it that always has play money, and the sandbox itself."""
    folder = settings.folders.state
    key = _sandbox_key(folder / "wallet.key")
    server = import_sandbox()
    with server.Sandbox(server.SandboxConfig(path=folder / "chain.db")) as sandbox:
        balance_of = {"to": settings.network.token, "data": "0x70a08231" + key.address[2:].rjust(64, "0")}
        if int(sandbox.rpc("eth_call", balance_of, "latest"), 16) < _SANDBOX_RATION:
            sandbox.fund(key.address, _SANDBOX_FUNDS)
        network = dataclasses.replace(settings.network, rpc_url=sandbox.rpc_url)
        yield dataclasses.replace(settings, base_url=sandbox.base_url, network=network), key, sandbox


def _sandbox_key(path: Path) -> PrivateKey:
    """The sandbox wallet's key, made at first use. It guards nothing, so a plain file will do."""
    try:
        make_private_folder(path.parent)
        try:
            descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError:
            return PrivateKey.parse(path.read_text(encoding="utf-8"))
        key = PrivateKey.generate()
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(key.to_hex())
    except (OSError, ValueError) as error:
        raise StoreError(
            f"the sandbox's wallet cannot be used: {getattr(error, 'strerror', None) or 'it is damaged'}",
            hint=f"remove {path.parent}: there is no money in it",
            code=Code.SANDBOX_DAMAGED,
        ) from None
    return key
