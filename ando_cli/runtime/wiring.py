"""Wires the parts of one command: wallet, store, chain, rail, client, and the sandbox if requested.

Whatever is slow to load or may be missing is created when first needed: a free request needs no wallet, and a voucher
on an open channel needs no chain.
"""

from __future__ import annotations

import time
from contextlib import ExitStack, closing, contextmanager
from functools import partial
from typing import TYPE_CHECKING, Protocol

from ando_cli.config.settings import KEY_RAIL, MPP_RAIL, STORE_FILE
from ando_cli.frozen import frozen
from ando_cli.http import proxies
from ando_cli.http.client import AndoClient
from ando_cli.http.deadline import Deadline
from ando_cli.keys.delegates import FileDelegates, KeyringDelegates
from ando_cli.rails.bearer import BearerAuth
from ando_cli.rails.payment import PaymentAuth
from ando_cli.runtime.consent import by_budget, consent_of, find_budgets
from ando_cli.session.act.chain import ChainView
from ando_cli.session.act.keys import Keys
from ando_cli.session.act.locks import once
from ando_cli.session.act.session import Limits, Session, User
from ando_cli.session.decide.policy import Caps
from ando_cli.session.record.store import Store
from ando_cli.urls import may_carry_credentials

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    import httpx

    from ando_cli.config.settings import Settings
    from ando_cli.runtime.context import Invocation
    from ando_cli.session.act.keys import Delegates
    from ando_cli.tempo.keys import PrivateKey
    from ando_cli.tempo.protocol import Protocol as SessionProtocol
    from ando_cli.tempo.rpc import Rpc
    from ando_cli.terminal.output import Terminal


@frozen
class PayOptions:
    """The flags of a paying command. Amounts in base units, timeouts in seconds."""

    max_spend: int | None = None
    assume_yes: bool = False
    accept_payee: str | None = None
    deposit: int | None = None
    protocol: SessionProtocol | None = None
    delegate: bool = False
    profile: str | None = None
    connect_timeout: float | None = None
    timeout: float | None = None
    max_time: float | None = None


def open_store(settings: Settings) -> Store:
    """Open the store of these settings.

    Raises:
        StoreError: it cannot be used.
    """
    return Store(settings.folders.state / STORE_FILE)


@contextmanager
def existing_store(settings: Settings) -> Iterator[Store | None]:
    """Open the store of these settings; ``None`` if there is none yet: looking must not create one.

    The store is closed at the end of the block.

    Raises:
        StoreError: it cannot be used.
    """
    if not (settings.folders.state / STORE_FILE).exists():
        yield None
        return
    with closing(open_store(settings)) as store:
        yield store


class MakeClient(Protocol):
    """Makes a client that pays with ``auth``; ``bearer`` if that is a Virtual Key."""

    def __call__(self, auth: httpx.Auth, *, bearer: bool = False) -> AndoClient:
        """Return the client; closing the parts closes it."""


@frozen
class Parts:
    """What a command works with: the settings in force, the session, a finder of Virtual Keys, a maker of clients.

    ``deadline`` bounds the time of everything that is asked of the network.
    """

    settings: Settings
    session: Session
    virtual_key: Callable[[], str]
    client: MakeClient
    deadline: Deadline


@contextmanager
def connect(state: Invocation, options: PayOptions, rail: str = MPP_RAIL) -> Iterator[AndoClient]:
    """Open a client that pays on ``rail``, with all its parts; the end of the block closes them.

    Raises:
        UsageError: a setting is wrong.
        StoreError: the sandbox's files cannot be written.
        WalletError: the rail needs a Virtual Key, and there is none.
    """
    with assemble(state, options) as parts:
        yield connect_with_key(state, parts) if rail == KEY_RAIL else connect_with_channel(state, parts, options)


def connect_with_channel(state: Invocation, parts: Parts, options: PayOptions) -> AndoClient:
    """Return a client that pays from the channel of each gateway."""
    return parts.client(
        PaymentAuth(
            parts.session,
            gateway_of=parts.settings.gateway_of,
            accepted_payee=options.accept_payee,
            protocol=options.protocol,
            stage=state.terminal.stage,
            warn=state.terminal.warn,
        )
    )


def connect_with_key(state: Invocation, parts: Parts, key: str | None = None) -> AndoClient:
    """Return a client that sends a Virtual Key: ``key``, or the one in use.

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
            store=lambda: parts.session.store,
            stage=state.terminal.stage,
            warn=state.terminal.warn,
            sleep=partial(pause, state.terminal),
        ),
        bearer=True,
    )


def pause(terminal: Terminal, seconds: float) -> None:
    """Wait that many seconds, and show the wait."""
    with terminal.progress():
        time.sleep(seconds)


@contextmanager
def assemble(state: Invocation, options: PayOptions) -> Iterator[Parts]:
    """Assemble the parts of a command; the end of the block closes them.

    Raises:
        UsageError: a setting is wrong.
        StoreError: the sandbox's files cannot be written.
    """
    with ExitStack() as stack:
        settings, secrets = _find_secrets(state, options, stack)
        # A proxy that cannot be used is said before anybody is asked anything.
        proxies.choose(settings.base_url)
        proxies.choose(settings.network.rpc_url)
        deadline = Deadline(options.max_time or settings.max_time)

        def make_store() -> Store:
            store = open_store(settings)
            stack.callback(store.close)
            return store

        def make_rpc() -> Rpc:
            return stack.enter_context(_make_rpc(terminal, settings, deadline))

        terminal = state.terminal
        max_spend = options.max_spend if options.max_spend is not None else settings.max_spend
        budgets = find_budgets(settings)
        session = Session(
            open_store=once(make_store),
            locks=settings.folders.state / "locks",
            keys=Keys(
                secrets.key,
                address=secrets.address,
                delegates=secrets.delegates,
                delegate=options.delegate or settings.delegate,
            ),
            chain=ChainView(make_rpc, settings.network),
            limits=Limits(
                Caps(settings.max_deposit, max_spend),
                budgets,
                by_budget=lambda: by_budget(terminal, settings, options, max_spend),
                deposit=options.deposit,
            ),
            user=User(consent_of(terminal, settings, options, max_spend or budgets), terminal.warn),
            deadline=deadline,
        )

        def make_client(auth: httpx.Auth, *, bearer: bool = False) -> AndoClient:
            client = AndoClient(
                settings.base_url,
                auth,
                bearer=bearer,
                connect_timeout=options.connect_timeout or settings.connect_timeout,
                timeout=options.timeout or settings.timeout,
                deadline=deadline,
                waiting=terminal.progress,
            )
            stack.callback(client.close)
            return client

        yield Parts(settings, session, secrets.virtual_key, make_client, deadline)


def _make_rpc(terminal: Terminal, settings: Settings, deadline: Deadline) -> Rpc:
    from ando_cli.tempo.rpc import Rpc  # web3 takes its time

    url = settings.network.rpc_url
    if not may_carry_credentials(url):
        terminal.warn("the chain is asked over plain http: anybody on the way can change what it says")
    return Rpc(url, timeout=settings.connect_timeout, deadline=deadline)


@frozen
class _Secrets:
    """The sources of a command's secrets, each read when first needed."""

    key: Callable[[], PrivateKey]
    address: Callable[[], str]
    virtual_key: Callable[[], str]
    delegates: Delegates


def _find_secrets(state: Invocation, options: PayOptions, stack: ExitStack) -> tuple[Settings, _Secrets]:
    """Return the settings in force, or those of a running sandbox if requested, with their secrets."""
    settings = state.settings
    if settings.sandbox:
        from ando_cli.runtime.play import running_sandbox  # not on the paid path

        settings, key, sandbox = stack.enter_context(running_sandbox(settings))
        delegates = FileDelegates(settings.folders.state)
        return settings, _Secrets(lambda: key, lambda: key.address, lambda: str(sandbox.virtual_key), delegates)

    def find_virtual_key() -> str:
        from ando_cli.keys.virtual_keys import VirtualKeys  # not on the paid path

        return VirtualKeys(state.environ, settings.profile).find(options.profile, settings.gateway).value

    return settings, _Secrets(
        lambda: state.open_wallet().load().key,
        lambda: state.open_wallet().noted_address(),
        find_virtual_key,
        KeyringDelegates(),
    )
