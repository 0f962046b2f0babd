"""Start and stop a sandbox: in a thread beside a command, or on its own until it is interrupted."""

from __future__ import annotations

import asyncio
import secrets
import signal
import threading
from typing import TYPE_CHECKING, Any

from aiohttp import web

from ando_cli.sandbox.chain.node import Chain
from ando_cli.sandbox.chain.voucher import V1, V2
from ando_cli.sandbox.config import SandboxConfig
from ando_cli.sandbox.database import Database
from ando_cli.sandbox.gateway.accounts import Accounts
from ando_cli.sandbox.gateway.backend import Backend, HttpBackend, LocalBackend
from ando_cli.sandbox.gateway.cashier import Cashier
from ando_cli.sandbox.gateway.challenges import Network
from ando_cli.sandbox.gateway.control import RPC_PATH, Control
from ando_cli.sandbox.gateway.failures import answer_failures, identify
from ando_cli.sandbox.gateway.gateway import Gateway
from ando_cli.sandbox.gateway.protocol_v1 import ProtocolV1
from ando_cli.sandbox.gateway.protocol_v2 import ProtocolV2
from ando_cli.sandbox.gateway.snapshots import Snapshots
from ando_cli.sandbox.openai.bearer import BearerRoutes
from ando_cli.sandbox.openai.virtual_key import VirtualKey
from ando_cli.sandbox.primitives import address, address_of, from_hex
from ando_cli.sandbox.settings import Settings

if TYPE_CHECKING:
    from collections.abc import Callable
    from types import TracebackType

    from ando_cli.sandbox.faults import Faults

__all__ = ["Sandbox", "SandboxConfig", "Settings", "run_forever"]

MAX_BODY = 32 * 1024 * 1024
MAX_HEADER = 64 * 1024
PAYEE_ALLOWANCE = 1_000 * 10**6
SHUTDOWN_SECONDS = 0.5


class Sandbox:
    """Serve a gateway and its chain from a thread of their own while the ``with`` block runs.

    Attributes:
        base_url: the gateway, like ``http://127.0.0.1:8600/v1``.
        rpc_url: the chain's JSON-RPC endpoint: the outside one, or ``/rpc`` on the same port.
    """

    def __init__(self, config: SandboxConfig) -> None:
        self.config = config
        self.base_url = ""
        self.rpc_url = config.rpc_url or ""
        self._thread = threading.Thread(target=self._run, name="ando-sandbox", daemon=True)
        self._ready = threading.Event()
        self._failure: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stop: asyncio.Event | None = None
        self._service: _Service | None = None

    def __enter__(self) -> Sandbox:
        """Start serving.

        Raises:
            OSError: The port is in use, or the file cannot be created.
            ValueError: The file belongs to another chain.
        """
        self._thread.start()
        self._ready.wait()
        if self._failure is not None:
            self._thread.join()
            raise self._failure
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        """Stop serving; requests in flight are cut off."""
        if self._loop is not None and self._stop is not None:
            self._loop.call_soon_threadsafe(self._stop.set)
        self._thread.join()

    @property
    def gateway(self) -> Gateway:
        """Return the gateway, with its faults, its log and its settings."""
        return self._running.gateway

    @property
    def faults(self) -> Faults:
        """Return the queue of faults."""
        return self.gateway.faults

    @property
    def payee(self) -> str:
        """Return the account that the gateway is paid to."""
        return self._running.network.payee

    @property
    def virtual_key(self) -> str:
        """Return the Virtual Key of the account-owned routes: it spends play money, and is no secret."""
        return self._running.virtual_key.key

    def fund(self, account: str, amount: int) -> None:
        """Give an account test money, in base units. Works on the built-in chain only.

        Raises:
            ValueError: The sandbox uses an outside chain.
        """
        self._call_chain("sandbox_fund", account, hex(amount))

    def rpc(self, method: str, *params: Any) -> Any:
        """Call the built-in chain directly."""
        return self._call_chain(method, *params)

    def _call_chain(self, method: str, *params: Any) -> Any:
        chain = self._running.chain
        if chain is None:
            raise ValueError("the sandbox uses an outside chain")
        return chain.rpc(method, list(params))

    @property
    def _running(self) -> _Service:
        if self._service is None:
            raise RuntimeError("the sandbox is not running")
        return self._service

    def _run(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # __enter__ raises it again, in the thread that waits there
            self._failure = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        service = _Service(self.config)
        try:
            self.base_url, rpc_url = await service.start()
            self.rpc_url = self.config.rpc_url or rpc_url
            self._service = service
            self._ready.set()
            await self._stop.wait()
        finally:
            await service.stop()


def run_forever(config: SandboxConfig, on_ready: Callable[[str, str, str], None] | None = None) -> None:
    """Serve until SIGINT or SIGTERM arrives.

    Args:
        config: the configuration of the sandbox.
        on_ready: called with the base URL, the RPC URL and the Virtual Key as soon as requests can be sent.
    """
    asyncio.run(_serve_forever(config, on_ready))


async def _serve_forever(config: SandboxConfig, on_ready: Callable[[str, str, str], None] | None) -> None:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    service = _Service(config)
    try:
        base_url, rpc_url = await service.start()
        if on_ready is not None:
            on_ready(base_url, config.rpc_url or rpc_url, service.virtual_key.key)
        await stop.wait()
    finally:
        await service.stop()


class _Service:
    """Put the parts of a sandbox together. Create, start and stop it inside one event loop."""

    def __init__(self, config: SandboxConfig) -> None:
        self._config = config
        self._database = Database(config.path)
        key = self._payee_key()
        self.network = Network(config.chain_id, address(config.token), address(config.escrow), address_of(key))
        self.chain: Chain | None = None
        self._backend: Backend
        if config.rpc_url is None:
            self.chain = Chain(self._database, chain_id=config.chain_id, token=config.token, escrow=config.escrow)
            self._backend = LocalBackend(self.chain)
            self._endow_payee(self.chain)
            if config.gas_price is not None:
                self.chain.rpc("sandbox_setGasPrice", [config.gas_price])
        else:
            self._backend = HttpBackend(config.rpc_url)
        accounts = Accounts(self._database)
        self.virtual_key = VirtualKey(self._key_text(), self._database)
        v2 = ProtocolV2(self.network, self._backend)
        protocols = {V1: ProtocolV1(self.network, self._backend), V2: v2}
        self.gateway = Gateway(
            network=self.network,
            secret=from_hex(self._database.remember("hmac_secret", "0x" + secrets.token_hex(32))),
            cashier=Cashier(self.network, key, self._backend, accounts, protocols),
            snapshots=Snapshots(v2, accounts),
            bearer=BearerRoutes(self.virtual_key),
            settings=config.settings,
            access_log=config.access_log,
        )
        self._control = Control(self.gateway, self.network, self._backend, accounts, protocols, self.virtual_key)
        self._runner = web.AppRunner(
            self._application(),
            access_log=None,
            handle_signals=False,
            shutdown_timeout=SHUTDOWN_SECONDS,
            max_line_size=MAX_HEADER,
            max_field_size=MAX_HEADER,
        )

    async def start(self) -> tuple[str, str]:
        """Listen; return the base URL and the RPC URL."""
        await self._runner.setup()
        site = web.TCPSite(self._runner, self._config.host, self._config.port)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        origin = f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
        return f"{origin}/v1", origin + RPC_PATH

    async def stop(self) -> None:
        """Stop listening and close everything."""
        await self._runner.cleanup()
        await self._backend.close()
        self._database.close()

    def _application(self) -> web.Application:
        failures = answer_failures(self._config.access_log)
        application = web.Application(client_max_size=MAX_BODY, middlewares=[failures])
        application.on_response_prepare.append(identify)
        application.add_routes(self._control.routes())
        application.router.add_route("*", "/{path:.*}", self.gateway.serve)
        return application

    def _payee_key(self) -> bytes:
        if self._config.payee_key is not None:
            return from_hex(self._config.payee_key, 32)
        return from_hex(self._database.remember("payee_key", "0x" + secrets.token_hex(32)), 32)

    def _key_text(self) -> str:
        if self._config.virtual_key is not None:
            return self._config.virtual_key
        return self._database.remember("virtual_key", f"ando-sandbox-{secrets.token_hex(24)}")

    def _endow_payee(self, chain: Chain) -> None:
        """Give the gateway money once, for the fees of closing channels and sponsoring transactions."""
        nobody_yet = secrets.token_hex(8)
        if self._database.remember(f"endowed:{self.network.payee}", nobody_yet) == nobody_yet:
            chain.rpc("sandbox_fund", [self.network.payee, hex(PAYEE_ALLOWANCE)])
