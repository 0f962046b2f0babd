"""``ando doctor``: what it finds, what it sends, and that what it shows can be pasted."""

from __future__ import annotations

import json
import socket
import sqlite3
from typing import TYPE_CHECKING, Any

import pytest

from ando_cli.sandbox import faucet
from ando_cli.sandbox.server import Sandbox, SandboxConfig
from ando_cli.tempo.keys import PrivateKey
from ando_cli.tempo.network import NETWORKS

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from conftest import Ando, Done

NETWORK = NETWORKS["tempo-moderato"]
KEY = PrivateKey.parse("6d" * 32)
NOWHERE = "http://127.0.0.1:1/v1"
CHECKS = [
    "versions", "configuration", "state", "keyring", "gateway", "paid route", "RPC", "chain", "clock", "wallet",
    "Virtual Key",
]  # fmt: skip


@pytest.fixture(scope="module")
def _running(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    config = SandboxConfig(
        path=tmp_path_factory.mktemp("doctor") / "chain.db",
        chain_id=NETWORK.chain_id,
        token=NETWORK.token,
        escrow=NETWORK.escrows[0],
    )
    faucet.fund(config, KEY.address, 7_000_000)
    with Sandbox(config) as sandbox:
        yield sandbox


@pytest.fixture
def sandbox(_running: Sandbox) -> Sandbox:
    """A gateway and a chain of the network tempo-moderato, with nothing in their log."""
    _running._running.gateway.log.clear()
    _running.faults.clear()
    return _running


@pytest.fixture
def world(sandbox: Sandbox) -> dict[str, str]:
    """The environment of a user who can pay."""
    return {
        "ANDO_BASE_URL": sandbox.base_url,
        "ANDO_RPC_URL": sandbox.rpc_url,
        "ANDO_NETWORK": NETWORK.name,
        "ANDO_PRIVATE_KEY": KEY.to_hex(),
        "PYTHON_KEYRING_BACKEND": "keyring.backends.fail.Keyring",
    }


def lines(done: Done) -> dict[str, dict[str, Any]]:
    shown = json.loads(done.out)
    assert shown["ok"] is (done.code == 0)
    assert shown["ok"] is all(check["status"] != "fail" for check in shown["checks"])
    assert all(check["fix"] for check in shown["checks"] if check["status"] != "pass")
    return {check.pop("name"): check for check in shown["checks"]}


def test_where_all_is_well_it_says_so_and_changes_nothing(
    ando: Ando, home: Path, sandbox: Sandbox, world: dict[str, str]
) -> None:
    done = ando("doctor", **world).worked()
    found = lines(done)
    assert list(found) == CHECKS
    assert {name for name, line in found.items() if line["status"] != "pass"} == {"keyring"}
    assert found["wallet"]["found"] == "in ANDO_PRIVATE_KEY, holds 7.00 pathUSD"
    assert found["chain"]["found"] == "42431, which is tempo-moderato"
    assert found["paid route"]["found"] == "asks for 1.00 pathUSD on tempo-moderato, session protocol v1"
    assert not home.exists()
    asked = [(entry.method, entry.path, entry.action) for entry in sandbox._running.gateway.log]
    assert [(method, path) for method, path, _ in asked] == [
        ("GET", "/v1/models"),
        ("POST", "/v1/mpp/chat/completions"),
    ]
    assert asked[1][2] == "unpaid"


def test_the_sandbox_is_examined_too(ando: Ando) -> None:
    found = lines(ando("--sandbox", "doctor").worked())
    assert found["wallet"]["found"] == "in the sandbox, holds 100.00 testUSD"


def test_nothing_that_it_shows_is_private(ando: Ando, home: Path, world: dict[str, str], tmp_path: Path) -> None:
    home.mkdir()
    (home / "config.toml").write_text("timeout = 9\n")
    (home / "config.toml").chmod(0o644)
    world |= {"HOME": str(tmp_path), "ANDO_RPC_URL": world["ANDO_RPC_URL"] + "/0badc0de", "USER": "alice-of-tests"}
    for variables in (world, world | {"ANDO_HOME": ""}):
        for arguments in (["doctor", "-vvv"], ["doctor", "-t"]):
            done = ando(*arguments, **variables, ANDO_NO_AUTO_JSON="1")
            shown = done.out + done.err
            for secret in (KEY.to_hex(), KEY.address, KEY.address[2:], "0badc0de", str(tmp_path), "alice-of-tests"):
                assert secret.removeprefix("0x") not in shown
            assert "http://127.0.0.1" in shown
    assert "chmod 600 $ANDO_HOME/config.toml" in ando("doctor", "-t", **world).out


def test_what_cannot_be_reached_fails_and_the_rest_is_looked_at_all_the_same(ando: Ando, world: dict[str, str]) -> None:
    done = ando("doctor", "--timeout", "5", **world | {"ANDO_BASE_URL": NOWHERE, "ANDO_RPC_URL": NOWHERE})
    assert done.code == 1
    found = lines(done)
    assert {name for name, line in found.items() if line["status"] == "fail"} == {"gateway", "RPC"}
    assert found["clock"]["status"] == "warn"
    assert "unknown" in found["wallet"]["found"]


def test_what_does_not_answer_is_not_waited_for(ando: Ando, world: dict[str, str]) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        url = f"http://127.0.0.1:{silent.getsockname()[1]}"
        done = ando("doctor", "--timeout", "0.2", **world | {"ANDO_BASE_URL": url})
    assert lines(done)["gateway"]["status"] == "fail"


def test_another_chain_than_the_networks_fails(ando: Ando, world: dict[str, str]) -> None:
    found = lines(ando("doctor", **world | {"ANDO_NETWORK": "tempo"}))
    assert (found["chain"]["status"], found["chain"]["fix"][:15]) == ("fail", "check --rpc-url")
    assert found["chain"]["found"].endswith("serves chain 42431, and tempo is 4217")
    assert found["paid route"]["status"] == "fail"


def test_a_payee_that_changed_fails(ando: Ando, home: Path, world: dict[str, str], sandbox: Sandbox) -> None:
    ando("chat", "hi", "--yes", **world).worked()
    state = home / "state"
    with sqlite3.connect(state / "sessions.db") as db:
        db.execute("UPDATE pins SET payee = ?", (KEY.address,))
    found = lines(ando("doctor", **world))
    assert "a payee other" in found["paid route"]["found"]
    assert found["wallet"]["found"].endswith("left in channels")


def test_a_wallet_without_money_fails_and_a_missing_one_too(ando: Ando, world: dict[str, str]) -> None:
    poor = lines(ando("doctor", **world | {"ANDO_PRIVATE_KEY": PrivateKey.generate().to_hex()}))["wallet"]
    assert (poor["status"], poor["fix"][:12]) == ("fail", "send pathUSD")
    assert lines(ando("doctor", **world | {"ANDO_PRIVATE_KEY": ""}))["wallet"]["status"] == "fail"


def test_who_pays_with_a_key_needs_no_wallet(ando: Ando, world: dict[str, str]) -> None:
    done = ando(
        "doctor", "--timeout", "5", **world | {"ANDO_PRIVATE_KEY": "", "ANDO_RPC_URL": NOWHERE, "ANDO_RAIL": "key"}
    )
    found = lines(done)
    assert (found["wallet"]["status"], found["RPC"]["status"]) == ("warn", "warn")
    assert (done.code, found["Virtual Key"]["status"]) == (1, "fail")
    key = "sk-ando-0123456789abcdefghij"
    done = ando("doctor", "--timeout", "5", **world | {"ANDO_RAIL": "key", "ANDO_VIRTUAL_KEY": key}).worked()
    assert lines(done)["Virtual Key"] == {"status": "pass", "found": "in ANDO_VIRTUAL_KEY", "fix": None}
    assert key not in done.out + done.err


def test_a_gateway_that_is_none_is_told_from_one_that_is_down(
    ando: Ando, world: dict[str, str], sandbox: Sandbox
) -> None:
    found = lines(ando("doctor", **world | {"ANDO_BASE_URL": sandbox.base_url + "/wrong"}))
    assert (found["gateway"]["status"], found["gateway"]["fix"]) == ("warn", "check base_url")
    assert found["paid route"]["status"] == "fail"


def test_the_state_folder_is_looked_at(ando: Ando, home: Path, world: dict[str, str]) -> None:
    state = home / "state"
    state.mkdir(parents=True)
    state.chmod(0o755)
    line = lines(ando("doctor", **world))["state"]
    assert (line["status"], line["fix"]) == ("warn", "chmod 700 $ANDO_HOME/state")
    state.chmod(0o700)
    (state / "sessions.db").write_bytes(b"no database" * 500)
    line = lines(ando("doctor", **world))["state"]
    assert (line["status"], line["found"]) == ("fail", "the session store is damaged")
    (state / "sessions.db").unlink()
    with sqlite3.connect(state / "sessions.db") as db:
        db.execute("PRAGMA user_version = 99")
    assert "newer ando" in lines(ando("doctor", **world))["state"]["found"]


def test_settings_that_do_not_load_are_a_line(ando: Ando, world: dict[str, str]) -> None:
    done = ando("doctor", **world | {"ANDO_MAX_SPEND": "lots"})
    assert done.code == 1
    assert list(lines(done)) == ["versions", "configuration"]
    assert "ANDO_MAX_SPEND" in lines(done)["configuration"]["found"]


def test_a_person_is_shown_a_table_with_what_to_do(ando: Ando, world: dict[str, str]) -> None:
    shown = ando("doctor", **world, ANDO_NO_AUTO_JSON="1", COLUMNS="40").worked().out.splitlines()
    assert max(map(len, shown)) <= 40
    assert any(line.startswith("warn ") for line in shown)
    assert any("try: " in line for line in shown)
