"""A sandbox in a process of its own, which can be killed."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
from typing import TYPE_CHECKING, Any

import httpx

from ando_cli.sandbox.gateway.cashier import RESERVATION_SECONDS

if TYPE_CHECKING:
    from pathlib import Path

PROGRAM = """
import sys
from pathlib import Path
from ando_cli.sandbox.gateway import cashier
from ando_cli.sandbox.server import SandboxConfig, Settings, run_forever
cashier.RESERVATION_SECONDS = float(sys.argv[3])
config = SandboxConfig(path=Path(sys.argv[1]), settings=Settings(model_seconds=float(sys.argv[2])))
run_forever(config, lambda base_url, rpc_url, virtual_key: print(base_url, rpc_url, flush=True))
"""


class SandboxProcess:
    """Looks like a ``Sandbox`` to the payer of these tests. What a killed one reserved it keeps for ``reserved``."""

    def __init__(self, path: Path, model_seconds: float = 0.0, reserved: float = RESERVATION_SECONDS) -> None:
        self.process = subprocess.Popen(
            [sys.executable, "-c", PROGRAM, str(path), str(model_seconds), str(reserved)],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def ready(self) -> SandboxProcess:
        """Wait until requests can be sent."""
        assert self.process.stdout is not None
        self.base_url, self.rpc_url = self.process.stdout.readline().split()
        self.origin = self.base_url.removesuffix("/v1")
        self.payee = self.state()["network"]["payee"]
        return self

    def state(self) -> Any:
        return httpx.get(f"{self.origin}/sandbox/state").json()

    def rpc(self, method: str, *params: Any) -> Any:
        answer = httpx.post(self.rpc_url, json={"id": 1, "method": method, "params": list(params)}).json()
        assert "error" not in answer, json.dumps(answer)
        return answer["result"]

    def fund(self, account: str, amount: int) -> None:
        self.rpc("sandbox_fund", account, hex(amount))

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def interrupt(self, number: int = signal.SIGINT) -> tuple[int, str]:
        """Ask it to stop; returns its exit code and what it wrote to stderr."""
        self.process.send_signal(number)
        _, errors = self.process.communicate(timeout=10)
        return self.process.returncode, errors

    def __enter__(self) -> SandboxProcess:
        return self.ready()

    def __exit__(self, *_: object) -> None:
        self.kill()
