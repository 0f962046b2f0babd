"""``ando session`` and ``ando sandbox run``, the installed command, from outside."""

from __future__ import annotations

import base64
import json
import re
import signal
from typing import TYPE_CHECKING

import httpx

from ando_cli.sandbox.config import CHAIN_ID, ESCROW, TOKEN
from tests.support.cli_box import KEY, MILLION

if TYPE_CHECKING:
    from tests.support.cli_box import Box, Gateway


def test_open_deposits_what_it_is_told_and_sends_the_smallest_request(gateway: Gateway, box: Box) -> None:
    done = box.run("session", "open", "--deposit", "3", "--yes").worked()
    assert "one token" in done.stderr
    assert re.fullmatch(r"0x[0-9a-f]{8}…[0-9a-f]{4}  deposit 3\.00, left 2\.9\d+\n", done.stdout)
    assert gateway.actions[-1] == "open"
    again = box.run("session", "open").worked()
    assert "a channel is open already; nothing was sent" in again.stderr
    assert gateway.actions.count("open") == 1
    shown = box.run("session", "open", "-j").worked().json
    assert shown["opened"] is False
    assert shown["session"]["deposit"] == "3.00"


def test_open_within_the_limits_only(gateway: Gateway, box: Box) -> None:
    assert "amount" in box.run("session", "open", "--deposit", "much").refused(2)
    assert gateway.log == []
    for arguments, named in [
        (["--deposit", "2"], "--yes"),
        (["--deposit", "0.5", "--yes"], "--deposit 1.00 or more"),
        (["--deposit", "1000", "--yes"], "1000"),
        (["--deposit", "2", "--max-spend", "1"], "--max-spend"),
    ]:
        done = box.run("session", "open", *arguments)
        assert (done.code, done.out) == (4, b""), arguments
        assert named in done.stderr, arguments
    assert "deposit of 5.00" in box.run("session", "open", "--dry-run").worked().stdout
    assert set(gateway.actions) == {"unpaid"}
    assert gateway.balance == 100 * MILLION


def test_list_is_json_when_piped_and_a_table_on_a_terminal(gateway: Gateway, box: Box) -> None:
    assert box.run("session", "list").worked().json == []
    assert not (box.home / "state").exists(), "looking makes nothing"
    assert "no channels yet" in box.terminal("session", "list").end().worked().stderr
    gateway.warm_up()
    [short] = box.run("session", "list").worked().json
    amounts = ["deposit", "authorised", "spent", "left", "captured", "captured_at_most"]
    assert list(short) == ["id", "gateway", "network", *amounts, "state", "created_at"]
    assert (short["deposit"], short["authorised"], short["state"]) == ("5.00", "1.00", "open")
    [full] = box.run("session", "list", "--full").worked().json
    assert re.fullmatch("0x[0-9a-f]{64}", full["id"])
    assert short["id"] == f"{full['id'][:10]}…{full['id'][-4:]}"
    table = re.sub(r"\x1b\[\d*m", "", box.terminal("session", "list").end().worked().stderr)
    for shown in ("authorised", "5.00", "open", "local"):
        assert shown in table
    assert all(len(line) <= 80 for line in table.splitlines())
    assert json.loads(box.terminal("session", "list", "-j").end().worked().stderr)[0]["state"] == "open"


def test_the_sandbox_serves_until_it_is_interrupted(box: Box) -> None:
    served = box.start("sandbox", "run", "--port", "0", "-j", "--fund", KEY.address)
    assert served.stdout is not None
    try:
        urls = json.loads(served.stdout.readline())
        assert httpx.get(f"{urls['base_url']}/free", trust_env=False).text.startswith("This resource")
        bearer = {"authorization": f"Bearer {urls['virtual_key']}"}
        assert httpx.get(f"{urls['base_url']}/models", headers=bearer, trust_env=False).json()["data"]
        box.configure(
            f'[networks.local]\nchain_id = {CHAIN_ID}\nrpc_url = "{urls["rpc_url"]}"\n'
            f'token = "{TOKEN}"\nescrows = ["{ESCROW}"]\n'
        )
        there = ("--network", "local", "--base-url", urls["base_url"])
        done = box.run(*there, "chat", "hi", "--yes", ANDO_PRIVATE_KEY=KEY.to_hex()).worked()
        assert done.stdout.startswith("This is a canned answer")
        port = urls["base_url"].split(":")[2].removesuffix("/v1")
        assert "cannot listen" in box.run("sandbox", "run", "--port", port, "--file", "other.db").refused(1)
    finally:
        served.send_signal(signal.SIGINT)
        out, err = served.communicate(timeout=20)
    assert served.returncode == 0
    assert out == b""
    assert err == b"Ctrl-C stops it. Answers are canned, signatures are real, money is not.\n"


def test_a_sandbox_has_the_chain_id_and_the_gas_price_that_it_is_given(box: Box) -> None:
    served = box.start("sandbox", "run", "--port", "0", "-j", "--chain-id", "42431", "--gas-price", "12")
    assert served.stdout is not None
    try:
        urls = json.loads(served.stdout.readline())
        found = []
        for method in ("eth_chainId", "eth_gasPrice"):
            asked = {"id": 1, "method": method, "params": []}
            found.append(int(httpx.post(urls["rpc_url"], json=asked, trust_env=False).json()["result"], 16))
        assert found == [42431, 12 * 10**9]
        refused = httpx.post(f"{urls['base_url']}/mpp/chat/completions", trust_env=False)
        request = re.search(r'request="([^"]+)"', refused.headers["WWW-Authenticate"])
        assert request is not None
        decoded = json.loads(base64.urlsafe_b64decode(request[1] + "=" * (-len(request[1]) % 4)))
        assert decoded["methodDetails"]["chainId"] == 42431
    finally:
        served.send_signal(signal.SIGINT)
        served.communicate(timeout=20)
    # A file holds one chain: the usual sandbox is not in the way, nor is this one in its.
    assert [path.name for path in (box.home / "state" / "sandbox").glob("served*.db")] == ["served-42431.db"]


def test_a_sandbox_that_cannot_run_says_why(box: Box) -> None:
    for arguments, named, code in [
        (["--host", "0.0.0.0"], "loopback", 2),
        (["--port", "70000"], "--port", 2),
        (["--fund", "nobody"], "sandbox", 2),
        (["--escrow", ESCROW], "--outside-rpc", 2),
        (["--outside-rpc", "http://127.0.0.1:1"], "--escrow", 2),
        (["--chain-id", "0"], "--chain-id", 2),
        (["--gas-price", "-1"], "--gas-price", 2),
        (["--file", "/proc/none/x.db"], "cannot write", 1),
    ]:
        assert named in box.run("sandbox", "run", "--port", "0", *arguments).refused(code), arguments
    assert "private key" in box.run("sandbox", "run", ANDO_SANDBOX_PAYEE_KEY="zz").refused(2)
