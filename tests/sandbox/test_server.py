"""Starting, stopping, and what a sandbox keeps to itself."""

from __future__ import annotations

import signal
import socket
import stat
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

import httpx
import pytest

from ando_cli.sandbox import config, faucet
from ando_cli.sandbox.server import Sandbox, SandboxConfig
from ando_cli.tempo.network import SANDBOX
from tests.support.sandbox_payer import BODY, MILLION, Payer
from tests.support.sandbox_process import SandboxProcess


def test_the_client_knows_this_network() -> None:
    assert (SANDBOX.chain_id, SANDBOX.token, SANDBOX.escrows) == (config.CHAIN_ID, config.TOKEN, (config.ESCROW,))


def test_starting_loads_no_slow_packages() -> None:
    slow = {"eth_account", "web3", "pytempo", "pydantic", "eth_utils", "rlp", "eth_abi", "httpx", "rich", "typer"}
    program = f"import sys, ando_cli.sandbox.server; print(*({slow} & set(sys.modules)))"
    result = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)
    assert result.stdout.split() == []


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.1", "example.com", ""])
def test_it_listens_on_loopback_only(tmp_path: Path, host: str) -> None:
    with pytest.raises(ValueError, match="loopback"):
        SandboxConfig(path=tmp_path / "sandbox.sqlite", host=host)


@pytest.mark.parametrize("host", ["127.0.0.1", "::1", "localhost", "127.8.9.1"])
def test_any_loopback_address_will_do(tmp_path: Path, host: str) -> None:
    try:
        with Sandbox(SandboxConfig(path=tmp_path / "sandbox.sqlite", host=host)) as sandbox:
            assert httpx.get(f"{sandbox.base_url}/health").status_code == 200
    except OSError:
        assert host == "::1", "there may be no IPv6 here"


def test_the_file_is_private(tmp_path: Path) -> None:
    path = tmp_path / "folder" / "sandbox.sqlite"
    with Sandbox(SandboxConfig(path=path)) as sandbox:
        sandbox.fund("0x" + "11" * 20, 1)
        assert stat.S_IMODE(path.parent.stat().st_mode) == 0o700
        assert {stat.S_IMODE(file.stat().st_mode) for file in path.parent.iterdir()} == {0o600}


def test_it_starts_and_stops_promptly(tmp_path: Path) -> None:
    start = time.monotonic()
    with Sandbox(SandboxConfig(path=tmp_path / "sandbox.sqlite")) as sandbox:
        port = int(sandbox.base_url.split(":")[2].split("/")[0])
    assert time.monotonic() - start < 10
    with pytest.raises(ConnectionRefusedError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
    assert not [thread for thread in threading.enumerate() if thread.name == "ando-sandbox"]


def test_a_request_in_flight_does_not_hold_it_up(tmp_path: Path) -> None:
    from ando_cli.sandbox.faults import Fault

    with Sandbox(SandboxConfig(path=tmp_path / "sandbox.sqlite")) as sandbox:
        sandbox.faults.push(Fault(on="free", delay=60))
        waiting = threading.Thread(target=lambda: _quietly(f"{sandbox.base_url}/free"))
        waiting.start()
        time.sleep(0.3)
        start = time.monotonic()
    assert time.monotonic() - start < 10
    waiting.join(5)
    assert not waiting.is_alive()


def _quietly(url: str) -> None:
    with pytest.raises(httpx.TransportError):
        httpx.get(url, timeout=30)


def test_a_port_that_is_taken_is_an_error(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with (
            pytest.raises(OSError, match="address already in use"),
            Sandbox(SandboxConfig(path=tmp_path / "sandbox.sqlite", port=port)),
        ):
            pass


def test_a_file_of_another_chain_is_an_error(tmp_path: Path) -> None:
    path = tmp_path / "sandbox.sqlite"
    with Sandbox(SandboxConfig(path=path)):
        pass
    with pytest.raises(ValueError, match="another id"), Sandbox(SandboxConfig(path=path, chain_id=5)):
        pass


@pytest.mark.parametrize("content", [b"this is no database" * 100, b"SQLite format 3\0" + b"\xff" * 2000])
def test_a_file_of_something_else_is_an_error(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "sandbox.sqlite"
    path.write_bytes(content)
    with pytest.raises(ValueError, match="cannot be used"), Sandbox(SandboxConfig(path=path)):
        pass
    assert path.read_bytes() == content


def test_a_folder_that_is_a_file_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    with pytest.raises(OSError), Sandbox(SandboxConfig(path=tmp_path / "file" / "sandbox.sqlite")):  # noqa: PT011
        pass


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_it_cleanly(tmp_path: Path, number: int) -> None:
    sandbox = SandboxProcess(tmp_path / "sandbox.sqlite").ready()
    assert httpx.get(f"{sandbox.base_url}/health").status_code == 200
    assert sandbox.interrupt(number) == (0, "")


def test_it_says_nothing_by_itself(tmp_path: Path, capfd: Any) -> None:
    with Sandbox(SandboxConfig(path=tmp_path / "sandbox.sqlite")) as sandbox:
        payer = Payer(sandbox)
        sandbox.fund(payer.address, 100 * MILLION)
        payer.opened()
        httpx.get(f"{sandbox.base_url}/nothing")
        with socket.create_connection(("127.0.0.1", int(sandbox.rpc_url.split(":")[2].split("/")[0]))) as raw:
            raw.sendall(b"\x16\x03\x01 not http\r\n\r\n")
            raw.recv(1000)
    assert capfd.readouterr() == ("", "")


def test_the_access_log_is_one_line_without_secrets(tmp_path: Path) -> None:
    lines: list[str] = []
    with Sandbox(SandboxConfig(path=tmp_path / "sandbox.sqlite", access_log=lines.append)) as sandbox:
        payer = Payer(sandbox)
        sandbox.fund(payer.address, 100 * MILLION)
        payer.pay(payer.open_payload(), body=BODY, key="a-key")
    assert lines == ["POST /v1/mpp/chat/completions unpaid 402", "POST /v1/mpp/chat/completions open 200"]


def test_the_key_is_not_shown() -> None:
    assert "4242" not in repr(SandboxConfig(path=Path("x"), payee_key="0x" + "42" * 32))


def test_the_faucet_works_before_the_start(tmp_path: Path) -> None:
    settings = SandboxConfig(path=tmp_path / "sandbox.sqlite")
    faucet.fund(settings, "0x" + "11" * 20, 5)
    with pytest.raises(ValueError, match="invalid"):
        faucet.fund(settings, "0x11", 5)
    with Sandbox(settings) as sandbox:
        assert Payer(sandbox).balance("0x" + "11" * 20) == 5


def test_a_sandbox_that_is_not_running_says_so(tmp_path: Path) -> None:
    with pytest.raises(RuntimeError, match="not running"):
        Sandbox(SandboxConfig(path=tmp_path / "sandbox.sqlite")).fund("0x" + "11" * 20, 5)
