"""Trouble on the user's own side: no wallet, no money, no keyring, no disk, a store that is damaged, a wrong RPC."""

from __future__ import annotations

import json
import resource
import sqlite3
import subprocess
from typing import TYPE_CHECKING

import pytest

from ando_cli.sandbox.faults import Fault
from ando_cli.tempo.keys import PrivateKey
from tests.support.badluck import ASK, Purse, ask, ended, paid, purse, relaying
from tests.support.badluck import Answer as RpcAnswer
from tests.support.cli_box import ANDO, Box, Done, keyring_in

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.badluck import Seen
    from tests.support.cli_box import Gateway

NOTHING = Purse(channels=0, authorised=0, deposit=0, moved=0)
WAYS_OUT = ("ando wallet create --keystore", "ANDO_PRIVATE_KEY")
BACKENDS = ["keyring.backends.null.Keyring", "keyring.backends.fail.Keyring"]

# The wallet


def test_an_empty_wallet_is_told_where_its_address_is_shown(gateway: Gateway) -> None:
    poor = PrivateKey.generate()
    done = ask(gateway, ANDO_PRIVATE_KEY=poor.to_hex())
    refusal = done.refused(4)
    assert "the wallet holds 0.00" in refusal
    assert "ando wallet address" in refusal
    assert poor.address not in refusal
    assert gateway.actions == ["unpaid"]
    assert purse(gateway) == NOTHING


def test_a_wallet_whose_money_does_not_cover_the_fee_as_well_is_empty_too(gateway: Gateway) -> None:
    poor = PrivateKey.generate()
    gateway.sandbox.fund(poor.address, 1_000_000)
    assert "kept for fees" in ask(gateway, ANDO_PRIVATE_KEY=poor.to_hex()).refused(4)
    assert paid(gateway) == []


@pytest.mark.parametrize("backend", BACKENDS)
def test_without_a_wallet_or_a_keyring_the_ways_out_are_named(warm: Gateway, backend: str) -> None:
    before = purse(warm)
    refusal = ask(warm, ANDO_PRIVATE_KEY=None, PYTHON_KEYRING_BACKEND=backend).refused(1)
    assert all(way in refusal for way in WAYS_OUT), refusal
    assert paid(warm) == []
    assert purse(warm) == before


def test_a_locked_keyring_is_called_locked(warm: Gateway) -> None:
    before = purse(warm)
    variables = keyring_in(warm.box.folder / "ring.json", "Locked")
    refusal = ask(warm, ANDO_PRIVATE_KEY=None, **variables).refused(1)
    assert "locked" in refusal
    assert all(way in refusal for way in WAYS_OUT), refusal
    assert purse(warm) == before


def test_what_costs_nothing_needs_no_wallet(warm: Gateway) -> None:
    done = warm.box.run("request", "/free", ANDO_PRIVATE_KEY=None).worked()
    assert "free" in done.stdout


@pytest.mark.parametrize("key", ["0x1234", "zz" * 32, "0x" + "0" * 64, "f" * 64, "6d" * 31 + "6", " "])
def test_a_malformed_key_is_named_and_not_shown(warm: Gateway, key: str) -> None:
    done = ask(warm, "-v", ANDO_PRIVATE_KEY=key)
    assert done.code == 1
    assert "ANDO_PRIVATE_KEY does not hold a private key" in done.stderr
    assert not key.strip() or key not in done.stderr
    assert paid(warm) == []


def test_another_wallet_has_a_channel_of_its_own(gateway: Gateway) -> None:
    gateway.warm_up()
    other = PrivateKey.generate()
    gateway.sandbox.fund(other.address, 10_000_000)
    ask(gateway, ANDO_PRIVATE_KEY=other.to_hex()).worked()
    assert gateway.actions == ["unpaid", "open"]
    assert purse(gateway).channels == 2


# The disk


def refuses_to_pay_without_a_record(gateway: Gateway, done: Done, code: str) -> None:
    assert (done.code, done.error["code"]) == (1, code)
    assert done.error["hint"]
    assert paid(gateway) == []


def test_a_file_in_the_place_of_the_state_folder_stops_before_anything_is_signed(gateway: Gateway) -> None:
    (gateway.box.home / "state").write_text("I am a file")
    refuses_to_pay_without_a_record(gateway, ask(gateway, "-j"), "store_unwritable")


@pytest.mark.parametrize("place", ["/proc", "/proc/ando", "/dev/null"])
def test_a_state_folder_that_cannot_be_written_stops_before_anything_is_signed(gateway: Gateway, place: str) -> None:
    (gateway.box.home / "state").symlink_to(place)  # where not even root can make a file
    refuses_to_pay_without_a_record(gateway, ask(gateway, "-j"), "store_unwritable")


@pytest.mark.parametrize("is_open", [False, True], ids=["to open", "to raise"])
def test_a_full_disk_stops_before_anything_is_signed(gateway: Gateway, is_open: bool) -> None:
    if is_open:
        gateway.warm_up()
        gateway.fail(Fault(on="voucher", code="mpp_voucher_bucket_refresh_required"))
    before = purse(gateway)
    process = subprocess.Popen(
        [ANDO, *ASK, "--yes", "-j"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env=gateway.box.environment,
        # A file may not grow: as on a full disk, except that pipes still work.
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0)),
    )
    done = ended(process)
    refuses_to_pay_without_a_record(gateway, done, "store_unwritable")
    assert purse(gateway) == before
    gateway.faults.clear()
    ask(gateway).worked()


DAMAGES = {
    "not a database": (b"this is not SQLite" * 500, "store_damaged"),
    "a truncated one": (b"SQLite format 3\x00" + b"\x10\x00" + b"\xff" * 50, "store_damaged"),
    "a newer one": (None, "store_newer"),
}


@pytest.mark.parametrize("damage", list(DAMAGES))
def test_a_store_that_cannot_be_read_is_left_alone_and_nothing_is_signed(gateway: Gateway, damage: str) -> None:
    content, code = DAMAGES[damage]
    store = gateway.box.home / "state" / "sessions.db"
    store.parent.mkdir(mode=0o700)
    if content is None:
        with sqlite3.connect(store) as database:
            database.execute("PRAGMA user_version = 99")
        database.close()
    else:
        store.write_bytes(content)
    kept = store.read_bytes()
    refuses_to_pay_without_a_record(gateway, ask(gateway, "-j"), code)
    assert gateway.box.run("session", "list", "-j").error["code"] == code
    assert store.read_bytes() == kept


def test_after_a_lost_store_the_channel_that_the_chain_shows_is_used(gateway: Gateway) -> None:
    gateway.warm_up()
    for path in (gateway.box.home / "state").glob("sessions.db*"):
        path.unlink()
    ask(gateway).worked()
    assert purse(gateway) == Purse(channels=1, authorised=1_000_000, deposit=5_000_000, moved=5_000_000)


def test_an_answer_that_cannot_be_written_where_it_should_be_is_not_paid_for(warm: Gateway, tmp_path: Path) -> None:
    before = purse(warm)
    ask(warm, "-o", str(tmp_path / "no" / "such" / "folder")).refused(2)
    ask(warm, "-o", str(tmp_path)).refused(2)
    assert warm.log == []
    assert purse(warm) == before


# The chain


def test_a_dead_rpc_stops_an_open_before_anything_is_signed(gateway: Gateway) -> None:
    assert "could not be reached" in ask(gateway, "--rpc-url", "http://127.0.0.1:9").refused(3)
    gateway.fail(Fault(on="rpc", drop="before", times=None))
    ask(gateway).refused(3)
    assert paid(gateway) == []
    assert purse(gateway) == NOTHING


GARBAGE = {
    "words": (200, "hello"),
    "a list": (200, "[]"),
    "nothing": (200, ""),
    "no number": (200, '{"jsonrpc":"2.0","id":0,"result":"0xzz"}'),
    "an object": (200, '{"jsonrpc":"2.0","id":0,"result":{"a":1}}'),
    "an escape": (200, '{"jsonrpc":"2.0","id":0,"error":{"code":-1,"message":"\\u001b[2J\\u202e"}}'),
    "an error page": (502, "<html>bad gateway</html>"),
}


@pytest.mark.parametrize("garbage", list(GARBAGE))
def test_an_rpc_that_talks_garbage_stops_an_open_before_anything_is_signed(gateway: Gateway, garbage: str) -> None:
    status, text = GARBAGE[garbage]

    def answer(seen: Seen) -> RpcAnswer:
        asked = json.loads(seen.body)["id"]  # what is wrong is the answer, not whose it is
        return RpcAnswer(status, body=text.replace('"id":0', f'"id":{asked}').encode())

    with relaying(gateway) as rpc:
        rpc.instead = answer
        refusal = ask(gateway, "--base-url", gateway.base_url, "--rpc-url", rpc.origin).refused(3)
    assert "\x1b" not in refusal
    assert paid(gateway) == []
    assert purse(gateway) == NOTHING


def test_an_rpc_of_another_chain_stops_an_open_before_anything_is_signed(gateway: Gateway) -> None:
    with relaying(gateway) as rpc:
        rpc.instead = lambda seen: RpcAnswer(
            body=json.dumps({"jsonrpc": "2.0", "id": json.loads(seen.body)["id"], "result": "0x1079"}).encode()
        )
        done = ask(gateway, "-j", "--base-url", gateway.base_url, "--rpc-url", f"{rpc.origin}/secret-token")
    assert (done.code, done.error["code"]) == (4, "wrong_chain")
    assert "4217" in done.error["message"]
    assert "secret-token" not in done.stdout + done.stderr
    assert paid(gateway) == []
    assert purse(gateway) == NOTHING


def test_an_open_channel_needs_no_rpc(warm: Gateway) -> None:
    warm.fail(Fault(on="rpc", drop="before", times=None))
    ask(warm).worked()
    assert warm.actions == ["unpaid", "voucher"]


def test_nothing_is_left_behind_in_a_home_that_only_looked(box: Box) -> None:
    assert box.run("session", "list").worked().json == []
    assert not (box.home / "state").exists()
