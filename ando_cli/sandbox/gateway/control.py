"""Serve the routes for tests and tools: JSON-RPC of the chain, faults, settings, log and state."""

from __future__ import annotations

import asyncio
import dataclasses
import json
from collections.abc import Awaitable, Callable, Mapping
from typing import TYPE_CHECKING, Any

from aiohttp import web

from ando_cli.sandbox.chain.ledger import FEE_COLLECTOR
from ando_cli.sandbox.chain.node import RpcError
from ando_cli.sandbox.faults import Fault, nodes
from ando_cli.sandbox.gateway.replies import drop

if TYPE_CHECKING:
    from ando_cli.sandbox.gateway.accounts import Accounts
    from ando_cli.sandbox.gateway.backend import Backend
    from ando_cli.sandbox.gateway.challenges import Network
    from ando_cli.sandbox.gateway.gateway import Gateway
    from ando_cli.sandbox.gateway.protocol import SessionProtocol
    from ando_cli.sandbox.openai.virtual_key import VirtualKey

RPC_PATH = "/rpc"
PARSE_ERROR = -32700
INVALID_REQUEST = -32600

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


class Control:
    """Serve the routes under ``/rpc`` and ``/sandbox/``."""

    def __init__(
        self,
        gateway: Gateway,
        network: Network,
        backend: Backend,
        accounts: Accounts,
        protocols: Mapping[str, SessionProtocol],
        virtual_key: VirtualKey,
    ) -> None:
        self._gateway = gateway
        self._network = network
        self._backend = backend
        self._accounts = accounts
        self._protocols = protocols
        self._virtual_key = virtual_key

    def routes(self) -> list[web.RouteDef]:
        """Return all routes, each with its handler."""
        return [
            web.post(RPC_PATH, self._rpc),
            web.post("/sandbox/faults", self._add_faults),
            web.delete("/sandbox/faults", self._clear_faults),
            web.get("/sandbox/log", self._log),
            web.get("/sandbox/state", self._state),
            web.post("/sandbox/settings", self._change_settings),
        ]

    async def state(self) -> dict[str, Any]:
        """Report the accounting and on-chain channel of every session, what the Virtual Key spent, and balances.

        Amounts are decimal strings of base units.
        """
        sessions = []
        for session in self._accounts.sessions():
            channel = await self._protocols[session.protocol].channel_of(session)
            shown = dataclasses.asdict(session) | dataclasses.asdict(channel)
            shown["descriptor"] = json.loads(session.descriptor) if session.descriptor else None
            del shown["signature"]
            sessions.append({name: str(value) if name in _AMOUNTS else value for name, value in shown.items()})
        accounts = {
            "payee": self._network.payee,
            "escrow": self._network.escrow,
            "reserve": self._network.reserve,
            "fees": FEE_COLLECTOR,
        }
        return {
            "network": dataclasses.asdict(self._network),
            "sessions": sessions,
            "virtual_key": {"spent": str(self._virtual_key.spent)},
            "balances": {name: await self._balance(account) for name, account in accounts.items()},
        }

    async def _balance(self, account: str) -> str:
        data = "0x70a08231" + account[2:].rjust(64, "0")
        return str(int(await self._backend.rpc("eth_call", [{"to": self._network.token, "data": data}, "latest"]), 16))

    async def _rpc(self, request: web.Request) -> web.StreamResponse:
        try:
            calls = await request.json()
        except ValueError:
            calls = None
        listed = calls if isinstance(calls, list) and calls else [calls]
        methods = [str(call.get("method")) for call in listed if isinstance(call, dict)]
        fault = self._gateway.faults.take("rpc", methods) or Fault()
        await asyncio.sleep(fault.delay)
        if fault.drop == "before":
            return drop(request)
        if fault.replaces_answer and "error" not in fault.rpc:
            return web.Response(status=fault.status or 500, text=fault.body_text or "", headers=fault.headers)
        answers = [await self._answer(call, fault.rpc) for call in listed] if calls is not None else []
        if fault.drop is not None:
            return drop(request)
        if calls is None:
            return web.json_response(_rpc_error(None, PARSE_ERROR, "parse error"))
        content = answers if listed is calls else answers[0]
        return web.json_response(content, status=fault.status or 200, headers=fault.headers)

    async def _answer(self, call: object, fault: Mapping[str, Any]) -> dict[str, Any]:
        if not isinstance(call, dict) or not isinstance(call.get("method"), str):
            return _rpc_error(None, INVALID_REQUEST, "invalid request")
        method, params = call["method"], call.get("params", [])
        if not isinstance(params, list):
            return _rpc_error(call.get("id"), INVALID_REQUEST, "params must be a list")
        if not nodes.concerns(fault, (method,)):
            fault = {}
        if "error" in fault:
            return {"jsonrpc": "2.0", "id": call.get("id"), "error": fault["error"]}
        try:
            backend = self._backend
            if "lag" in fault or "head" in fault:
                backend = backend.behind(fault.get("lag", 0), fault.get("head"))
            result = fault["result"] if "result" in fault else await backend.rpc(method, params)
            result = nodes.falsify(fault, method, params, result)
        except RpcError as error:
            return _rpc_error(call.get("id"), error.code, error.message, error.data)
        return {"jsonrpc": "2.0", "id": call.get("id"), "result": result}

    async def _add_faults(self, request: web.Request) -> web.StreamResponse:
        try:
            value = await request.json()
            faults = [Fault.from_json(item) for item in (value if isinstance(value, list) else [value])]
        except (ValueError, TypeError) as error:
            return _rejected(error)
        self._gateway.faults.push(*faults)
        return web.json_response({"added": len(faults)})

    async def _clear_faults(self, request: web.Request) -> web.StreamResponse:
        self._gateway.faults.clear()
        return web.json_response({})

    async def _log(self, request: web.Request) -> web.StreamResponse:
        return web.json_response([dataclasses.asdict(entry) for entry in self._gateway.log])

    async def _state(self, request: web.Request) -> web.StreamResponse:
        return web.json_response(await self.state())

    async def _change_settings(self, request: web.Request) -> web.StreamResponse:
        try:
            self._gateway.settings = self._gateway.settings.changed(await request.json())
        except (ValueError, TypeError, AttributeError) as error:
            return _rejected(error)
        return web.json_response(dataclasses.asdict(self._gateway.settings))


_AMOUNTS = frozenset(("accepted", "spent", "reserved", "deposit", "settled"))


def _rejected(error: Exception) -> web.Response:
    return web.json_response({"error": str(error)}, status=400)


def _rpc_error(call_id: object, code: int, message: str, data: str | None = None) -> dict[str, Any]:
    error: dict[str, Any] = {"code": code, "message": message}
    if data is not None:
        error["data"] = data
    return {"jsonrpc": "2.0", "id": call_id, "error": error}
