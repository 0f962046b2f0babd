from __future__ import annotations

import socket
import subprocess
import sys
import threading
import time
import traceback
from typing import TYPE_CHECKING, Any

import pytest
from eth_abi import encode
from eth_utils import keccak

from ando_cli.errors import ExitCode, NetworkError, PaymentError, RpcError, RpcRefusedError, UsageError
from ando_cli.http.deadline import Deadline
from ando_cli.tempo import endpoint
from ando_cli.tempo.channel import ChannelState
from ando_cli.tempo.fees import GAS, Operation, max_fee
from ando_cli.tempo.protocol import Protocol
from ando_cli.tempo.rpc import MAX_FEE, Rpc
from tests.support.hostile import DRIPPING, says, self_signed, server
from tests.support.tempo_node import SECRET_PATH, Node, Refusal, refused, word

if TYPE_CHECKING:
    from http.server import BaseHTTPRequestHandler
    from pathlib import Path

ESCROW = "0x33b901018174ddabe4841042ab76ba85d4e24f25"
TOKEN = "0x20c0000000000000000000000000000000000001"
PAYER, PAYEE, SIGNER = ("0x" + f"{i}a" * 20 for i in (1, 2, 3))
CHANNEL = "0x" + "c4" * 32
CHANNEL_TYPES = ["bool", "uint64", "address", "address", "address", "address", "uint128", "uint128"]

PRECOMPILE = "0x4d50500000000000000000000000000000000000"


def numbers(*values: int) -> str:
    return "0x" + "".join(f"{value:064x}" for value in values)


def channel_words(**changes: Any) -> str:
    values = {
        "finalized": False,
        "requested": 1_900_000_000,
        "payer": PAYER,
        "payee": PAYEE,
        "token": TOKEN,
        "signer": SIGNER,
        "deposit": 5_000_000,
        "settled": 1_000_000,
        **changes,
    }
    return "0x" + encode(CHANNEL_TYPES, list(values.values())).hex()


# What a chain says


def test_the_chain_id_is_read(node: Node) -> None:
    with Rpc(node.url) as rpc:
        assert rpc.chain_id() == 4217


def test_the_time_is_read_from_a_block_that_is_not_ethereums(node: Node) -> None:
    with Rpc(node.url) as rpc:
        assert rpc.latest_timestamp() == 0x6B01EEB9


def test_a_balance_is_asked_from_the_token(node: Node) -> None:
    node.results["eth_call"] = word(12_345_678)
    with Rpc(node.url) as rpc:
        assert rpc.balance(TOKEN, PAYER) == 12_345_678
    call, block = node.asked[0]["params"]
    assert call["to"].lower() == TOKEN
    assert call["data"] == "0x70a08231" + "00" * 12 + PAYER[2:]
    assert block == "latest"


def test_a_channel_is_read_from_the_escrow(node: Node) -> None:
    node.results["eth_call"] = channel_words()
    with Rpc(node.url) as rpc:
        assert rpc.channel(ESCROW, CHANNEL) == ChannelState(
            finalized=False,
            close_requested_at=1_900_000_000,
            payer=PAYER,
            payee=PAYEE,
            token=TOKEN,
            authorized_signer=SIGNER,
            deposit=5_000_000,
            settled=1_000_000,
        )
    call = node.asked[0]["params"][0]
    assert call["to"].lower() == ESCROW
    assert call["data"] == "0x831c2b82" + CHANNEL[2:]


def test_a_closed_channel_is_still_a_channel(node: Node) -> None:
    node.results["eth_call"] = channel_words(finalized=True, deposit=0, settled=0)
    with Rpc(node.url) as rpc:
        state = rpc.channel(ESCROW, CHANNEL)
    assert state is not None
    assert state.finalized


def test_a_channel_that_was_never_opened_is_none(node: Node) -> None:
    node.results["eth_call"] = "0x" + "00" * 256
    with Rpc(node.url) as rpc:
        assert rpc.channel(ESCROW, CHANNEL) is None


def test_addresses_may_be_given_in_either_case(node: Node) -> None:
    with Rpc(node.url) as rpc:
        assert rpc.balance("0x" + TOKEN[2:].upper(), "0x" + PAYER[2:].upper()) == 0


def test_a_malformed_argument_is_the_callers_mistake_and_is_not_sent(node: Node) -> None:
    with Rpc(node.url) as rpc:
        with pytest.raises(ValueError, match="32-byte"):
            rpc.channel(ESCROW, "0x12")
        with pytest.raises(ValueError, match="address"):
            rpc.balance(TOKEN, "somebody")
    assert node.asked == []


def test_fees_have_headroom_over_the_gas_price_and_gas_for_the_whole_batch(node: Node) -> None:
    with Rpc(node.url) as rpc:
        fees = rpc.fees(Operation.OPEN)
    assert fees.gas_limit == 2_000_000
    assert fees.max_fee_per_gas == 40_000_000_000
    assert fees.max_priority_fee_per_gas == 1


def test_a_chain_without_a_gas_price_is_free(node: Node) -> None:
    node.results["eth_gasPrice"] = "0x0"
    with Rpc(node.url) as rpc:
        assert max_fee(rpc.fees(Operation.OPEN)) == 0


def test_the_highest_price_is_the_one_that_costs_one_token(node: Node) -> None:
    highest = MAX_FEE * 10**12 // GAS[Operation.OPEN] // 2
    node.results["eth_gasPrice"] = hex(highest)
    with Rpc(node.url) as rpc:
        assert max_fee(rpc.fees(Operation.OPEN)) == MAX_FEE
        node.results["eth_gasPrice"] = hex(highest + 1)
        with pytest.raises(PaymentError, match=r"1\.00") as caught:
            rpc.fees(Operation.OPEN)
    assert caught.value.code == "fee_too_high"
    assert caught.value.exit_code is ExitCode.PAYMENT


def test_an_absurd_gas_price_is_refused(node: Node) -> None:
    node.results["eth_gasPrice"] = "0x" + "f" * 100_000
    with Rpc(node.url) as rpc, pytest.raises(PaymentError):
        rpc.fees(Operation.OPEN)


def test_credentials_of_the_url_are_sent_to_its_host(node: Node) -> None:
    with Rpc(node.with_credentials()) as rpc:
        assert rpc.chain_id() == 4217
    assert node.headers[0]["authorization"].startswith("Basic ")


# What a chain says of v2


def test_a_v2_channel_is_three_numbers_and_says_nothing_of_its_parties(node: Node) -> None:
    node.results["eth_call"] = numbers(1_000_000, 5_000_000, 1_900_000_000)
    with Rpc(node.url) as rpc:
        assert rpc.channel(PRECOMPILE, CHANNEL, Protocol.V2) == ChannelState(
            finalized=False,
            close_requested_at=1_900_000_000,
            payer=None,
            payee=None,
            token=None,
            authorized_signer=None,
            deposit=5_000_000,
            settled=1_000_000,
        )
    call = node.asked[0]["params"][0]
    assert call["to"].lower() == PRECOMPILE
    assert call["data"] == "0x" + keccak(text="getChannelState(bytes32)")[:4].hex() + CHANNEL[2:]


def test_a_v2_channel_that_the_precompile_knows_nothing_of_is_none_and_not_closed(node: Node) -> None:
    node.results["eth_call"] = numbers(0, 0, 0)
    with Rpc(node.url) as rpc:
        assert rpc.channel(PRECOMPILE, CHANNEL, Protocol.V2) is None


@pytest.mark.parametrize("words", [(1, 0, 0), (0, 0, 1), (7, 0, 1_900_000_000)])
def test_a_v2_channel_that_was_there_and_holds_nothing_is_closed(node: Node, words: tuple[int, int, int]) -> None:
    node.results["eth_call"] = numbers(*words)
    with Rpc(node.url) as rpc:
        state = rpc.channel(PRECOMPILE, CHANNEL, Protocol.V2)
    assert state is not None
    assert state.finalized


@pytest.mark.parametrize(
    "words", [(2, 1, 0), (0, 2**96, 0), (2**96, 2**96 - 1, 0), (0, 1, 2**32)], ids=["overdrawn", "u96", "u96", "u32"]
)
def test_a_v2_channel_whose_numbers_cannot_be_is_refused(node: Node, words: tuple[int, int, int]) -> None:
    node.results["eth_call"] = numbers(*words)
    with Rpc(node.url) as rpc, refused("rpc_bad_answer"):
        rpc.channel(PRECOMPILE, CHANNEL, Protocol.V2)


@pytest.mark.parametrize("length", [0, 1, 64, 95, 97, 256])
def test_a_v2_channel_of_the_wrong_length_is_refused_and_not_taken_for_none(node: Node, length: int) -> None:
    node.results["eth_call"] = "0x" + "00" * length
    with Rpc(node.url) as rpc, refused("rpc_bad_answer"):
        rpc.channel(PRECOMPILE, CHANNEL, Protocol.V2)


@pytest.mark.parametrize("protocol", list(Protocol))
def test_the_grace_period_is_asked_from_the_escrow(node: Node, protocol: Protocol) -> None:
    node.results["eth_call"] = word(900)
    with Rpc(node.url) as rpc:
        assert rpc.close_grace_period(ESCROW, protocol) == 900
    call = node.asked[0]["params"][0]
    assert call["to"].lower() == ESCROW
    assert call["data"] == "0x" + keccak(text="CLOSE_GRACE_PERIOD()")[:4].hex()


@pytest.mark.parametrize("seconds", [400 * 24 * 3600, 2**63, 2**256 - 1])
def test_a_grace_period_that_outlasts_a_year_is_a_wrong_answer(node: Node, seconds: int) -> None:
    node.results["eth_call"] = word(seconds)
    with Rpc(node.url) as rpc, refused("rpc_bad_answer", "grace period"):
        rpc.close_grace_period(ESCROW, Protocol.V1)


# What goes wrong


def test_nobody_listens() -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        port = unused.getsockname()[1]
    with (
        Rpc(f"http://alice:hunter2@127.0.0.1:{port}{SECRET_PATH}") as rpc,
        refused("rpc_unreachable", "127.0.0.1 could not be reached"),
    ):
        rpc.chain_id()


def test_a_server_that_never_answers_is_left_after_the_timeout_and_not_asked_again(node: Node) -> None:
    over = threading.Event()
    node.reply = lambda handler: over.wait(10) and None
    started = time.monotonic()
    with Rpc(node.with_credentials(), timeout=0.2) as rpc, refused("rpc_timeout", "did not answer in time"):
        rpc.chain_id()
    over.set()
    assert time.monotonic() - started < 3
    assert len(node.asked) == 1


def test_a_server_that_answers_byte_by_byte_is_left_after_the_timeout(node: Node) -> None:
    def drip(handler: BaseHTTPRequestHandler) -> None:
        handler.send_response(200)
        handler.send_header("content-length", "1000")
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(b" ")
            time.sleep(0.05)

    node.reply = drip
    started = time.monotonic()
    with Rpc(node.with_credentials(), timeout=0.3) as rpc, refused("rpc_timeout"):
        rpc.chain_id()
    assert time.monotonic() - started < 2


@pytest.mark.parametrize("status", [400, 401, 403, 404, 500, 502, 503])
def test_an_http_error_is_told_by_its_number_and_not_tried_again(node: Node, status: int) -> None:
    node.answer_with(b"<h1>key-5f3a is over its limit</h1>", status)
    with Rpc(node.with_credentials()) as rpc, refused("rpc_http_error", f"HTTP {status}"):
        rpc.chain_id()
    assert len(node.asked) == 1


def test_a_redirect_is_not_followed(node: Node) -> None:
    node.answer_with(b"", 307, location=node.url + "/elsewhere")
    with Rpc(node.with_credentials()) as rpc, refused("rpc_http_error", "HTTP 307"):
        rpc.chain_id()
    assert len(node.asked) == 1


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"<html>maintenance</html>",
        b"\xff\xfe\x00",
        b"null",
        b"[]",
        b'"0x1"',
        b"{}",
        b'{"jsonrpc":"2.0","id":0}',
        b'{"jsonrpc":"2.0","id":0,"result":',
        b'{"jsonrpc":"1.0","id":0,"result":"0x1"}',
        b'{"jsonrpc":"2.0","id":0,"result":' + b"9" * 10_000 + b"}",
    ],
    ids=lambda body: body[:40].decode("ascii", "replace"),
)
def test_what_is_no_json_rpc_answer_is_told(node: Node, body: bytes) -> None:
    node.answer_with(body)
    with Rpc(node.with_credentials()) as rpc, refused("rpc_bad_answer"):
        rpc.chain_id()


def test_an_answer_nested_without_an_end_does_not_end_the_process(node: Node) -> None:
    # In a process of its own: the test modules load eth_account bare, and with it a recursion limit far too high.
    node.answer_with(b"[" * 1_000_000)
    program = f"""
import sys
import ando_cli.tempo.transaction
from ando_cli.errors import NetworkError
from ando_cli.tempo.rpc import Rpc
try:
    Rpc({node.url!r}).chain_id()
except NetworkError as error:
    print(error.code, sys.getrecursionlimit())
"""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True, timeout=60)
    assert done.stdout.split() == ["rpc_bad_answer", "1000"]


def test_an_answer_without_an_end_is_not_read_to_its_end(node: Node) -> None:
    node.answer_with(b" " * 20_000_000)
    with Rpc(node.url) as rpc, refused("rpc_bad_answer", "far too long"):
        rpc.chain_id()


def test_a_connection_that_breaks_off_is_told(node: Node) -> None:
    node.answer_with(b'{"jsonrpc"', content_length="1000", connection="close")
    reply = node.reply
    assert reply is not None

    def break_off(handler: BaseHTTPRequestHandler) -> None:
        reply(handler)
        handler.close_connection = True

    node.reply = break_off
    with Rpc(node.with_credentials()) as rpc, refused("rpc_unreachable"):
        rpc.chain_id()


@pytest.mark.parametrize("how", ["429", "429 with Retry-After", "-32005"])
def test_too_many_requests_are_tried_again(node: Node, monkeypatch: pytest.MonkeyPatch, how: str) -> None:
    slept: list[float] = []
    monkeypatch.setattr(endpoint.time, "sleep", slept.append)

    def busy(handler: BaseHTTPRequestHandler) -> None:
        if how == "-32005":
            node.answer_json(id=node.asked[-1]["id"], error={"code": -32005, "message": "limit exceeded"})
        else:
            node.answer_with(b"", 429, **({"Retry-After": "2"} if "Retry" in how else {}))
        assert node.reply is not None
        node.reply(handler)
        node.reply = busy if len(node.asked) < 3 else None

    node.reply = busy
    with Rpc(node.url) as rpc:
        assert rpc.chain_id() == 4217
    assert len(node.asked) == 4
    assert [pause for pause in slept if pause > 0.1] == ([2, 2, 2] if "Retry" in how else [0.25, 0.5, 1.0])


def test_too_many_requests_are_not_tried_again_past_the_deadline(node: Node) -> None:
    node.answer_with(b"", 429, Retry_After="3")
    started = time.monotonic()
    with Rpc(node.url, timeout=2) as rpc, pytest.raises(RpcError) as caught:
        rpc.chain_id()
    assert time.monotonic() - started < 1
    assert (len(node.asked), caught.value.retryable, caught.value.retry_after) == (1, True, 3)
    node.asked.clear()
    node.answer_json(error={"code": -32005, "message": "limit exceeded"})
    with Rpc(node.url, timeout=1) as rpc, refused("rpc_error", "limit exceeded"):
        rpc.chain_id()
    assert len(node.asked) == 3, "after 0.25 and 0.5 seconds"


@pytest.mark.parametrize("way", DRIPPING)
def test_a_server_that_drips_is_waited_for_no_longer_than_the_timeout(way: str) -> None:
    with server(DRIPPING[way]) as (port, _):
        for timeout, deadline in ((0.5, Deadline()), (30, Deadline(0.5))):
            deadline.restart()
            started = time.monotonic()
            rpc = Rpc(f"http://127.0.0.1:{port}", timeout=timeout, deadline=deadline)
            with rpc, pytest.raises(NetworkError):
                rpc.chain_id()
            assert time.monotonic() - started < 4


def test_an_rpc_on_this_machine_is_reached_without_the_proxy(node: Node, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")
    with Rpc(node.url) as rpc:
        assert rpc.chain_id() == 4217


@pytest.mark.parametrize(("url", "answer"), [("https", "407 No"), ("http", "407 No"), ("https", "403 No")])
def test_a_proxy_that_refuses_is_named(monkeypatch: pytest.MonkeyPatch, url: str, answer: str) -> None:
    with server(says(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n".encode())) as (port, _):
        monkeypatch.setenv("ALL_PROXY", f"http://user:hunter2@127.0.0.1:{port}")
        with Rpc(f"{url}://rpc.example/key-5f3a") as rpc, refused("proxy_failed", f"proxy 127.0.0.1:{port} answered"):
            rpc.chain_id()


def test_a_certificate_that_nobody_vouches_for_is_called_that(tmp_path: Path) -> None:
    context, _ = self_signed(tmp_path)
    refusal = refused("certificate_untrusted", "certificate of 127.0.0.1")
    with server(says(b""), context) as (port, _), Rpc(f"https://127.0.0.1:{port}") as rpc, refusal:
        rpc.chain_id()


def test_a_json_rpc_error_is_quoted_clean_and_short(node: Node) -> None:
    node.answer_json(error={"code": -32000, "message": "\x1b[31mtoo many requests\u202e " + "x" * 5000})
    with Rpc(node.with_credentials()) as rpc, refused("rpc_error", "too many requests"):
        rpc.chain_id()
    assert len(node.asked) == 1


def test_a_json_rpc_error_that_quotes_the_url_is_not_quoted(node: Node) -> None:
    node.answer_json(error={"code": -32000, "message": "unknown project key-5f3a"})
    with Rpc(node.with_credentials()) as rpc, refused("rpc_error", r"refused to tell the chain id$"):
        rpc.chain_id()


@pytest.mark.parametrize(
    "error", [None, "no", 7, [], {}, {"code": -1}, {"code": "x", "message": "m"}, {"code": -1, "message": {"a": 1}}]
)
def test_a_malformed_json_rpc_error_is_still_one_error(node: Node, error: object) -> None:
    node.answer_json(error=error)
    with Rpc(node.url) as rpc, pytest.raises(NetworkError):
        rpc.chain_id()


WRONG_NUMBERS = [None, True, -1, 1.5, "", "0x", "0xzz", "-0x1", "many", [], ["0x1"], {}, hex(2**64)]


@pytest.mark.parametrize("result", WRONG_NUMBERS, ids=repr)
def test_a_chain_id_of_the_wrong_type_is_refused(node: Node, result: object) -> None:
    node.results["eth_chainId"] = result
    with Rpc(node.url) as rpc, refused("rpc_bad_answer"):
        rpc.chain_id()


@pytest.mark.parametrize("result", WRONG_NUMBERS[:-1], ids=repr)
def test_a_gas_price_of_the_wrong_type_is_refused(node: Node, result: object) -> None:
    node.results["eth_gasPrice"] = result
    with Rpc(node.url) as rpc, refused("rpc_bad_answer"):
        rpc.fees(Operation.OPEN)


@pytest.mark.parametrize("result", ["0x1", [], {}, *({"timestamp": value} for value in WRONG_NUMBERS)], ids=repr)
def test_a_block_without_a_time_is_refused(node: Node, result: object) -> None:
    node.results["eth_getBlockByNumber"] = result
    with Rpc(node.url) as rpc, refused("rpc_bad_answer"):
        rpc.latest_timestamp()


def test_a_chain_without_a_block_has_no_time(node: Node) -> None:
    node.results["eth_getBlockByNumber"] = None
    with Rpc(node.url) as rpc, refused("rpc_error"):
        rpc.latest_timestamp()


@pytest.mark.parametrize("result", [None, True, 1, [], {}, "hello", "0x0", word(1)[:-1], word(1)[:-2], word(1) + "00"])
def test_a_balance_of_the_wrong_shape_is_refused(node: Node, result: object) -> None:
    node.results["eth_call"] = result
    with Rpc(node.url) as rpc, refused("rpc_bad_answer"):
        rpc.balance(TOKEN, PAYER)


def test_a_contract_that_is_not_there_is_told(node: Node) -> None:
    node.results["eth_call"] = "0x"
    with Rpc(node.url) as rpc, refused("rpc_bad_answer", "no such contract"):
        rpc.channel(ESCROW, CHANNEL)


@pytest.mark.parametrize("length", [1, 32, 224, 255])
def test_a_channel_that_is_cut_short_is_refused_and_not_taken_for_none(node: Node, length: int) -> None:
    node.results["eth_call"] = "0x" + "00" * length
    with Rpc(node.url) as rpc, refused("rpc_bad_answer", "wrong length"):
        rpc.channel(ESCROW, CHANNEL)


@pytest.mark.parametrize(
    ("place", "value"), [(0, 2), (1, 2**64), (2, 1 << 160), (5, 2**256 - 1), (6, 2**128), (7, 2**128)]
)
def test_a_channel_with_a_field_out_of_range_is_refused(node: Node, place: int, value: int) -> None:
    words = channel_words()[2:]
    node.results["eth_call"] = "0x" + words[: place * 64] + f"{value:064x}" + words[(place + 1) * 64 :]
    with Rpc(node.url) as rpc, refused("rpc_bad_answer"):
        rpc.channel(ESCROW, CHANNEL)


@pytest.mark.parametrize("data", ["0x", "0x08c379a0", "0x4e487b71" + "00" * 31 + "11", "0xdeadbeef", "nonsense", None])
def test_a_call_that_reverts_is_told(node: Node, data: str | None) -> None:
    node.answer_json(error={"code": 3, "message": "execution reverted: \x1b[2J", "data": data})
    with Rpc(node.with_credentials()) as rpc, pytest.raises(NetworkError) as caught:
        rpc.channel(ESCROW, CHANNEL)
    assert caught.value.message.isprintable()


def test_a_call_that_reverts_without_more_is_told_as_such(node: Node) -> None:
    node.answer_json(error={"code": 3, "message": "execution reverted", "data": "0x"})
    with Rpc(node.url) as rpc, refused("rpc_reverted", "the contract refused"):
        rpc.channel(ESCROW, CHANNEL)


def test_an_answer_cannot_send_us_to_another_url(node: Node) -> None:
    types = ["address", "string[]", "bytes", "bytes4", "bytes"]
    lookup = encode(types, [ESCROW, [node.url + "/{sender}/{data}"], b"\x01", b"\x02" * 4, b""])
    node.answer_json(error={"code": 3, "message": "execution reverted", "data": "0x556f1830" + lookup.hex()})
    with Rpc(node.url) as rpc, refused("rpc_reverted"):
        rpc.channel(ESCROW, CHANNEL)
    assert len(node.asked) == 1


@pytest.mark.parametrize("url", ["", "127.0.0.1:8545", "ftp://alice:hunter2@host", "http://", "http://h:x"])
def test_what_is_no_url_is_a_mistake_in_the_configuration(url: str) -> None:
    with pytest.raises(UsageError, match="no usable RPC URL") as caught:
        Rpc(url)
    assert "hunter2" not in "".join(traceback.format_exception(caught.value))


def test_an_rpc_does_not_show_its_url(node: Node) -> None:
    with Rpc(node.with_credentials()) as rpc:
        assert "hunter2" not in repr(rpc)
        assert "key-5f3a" not in repr(rpc)


@pytest.mark.parametrize(("code", "again"), [(-32005, True), (-32000, False), (-32601, False)])
def test_a_refusal_keeps_what_the_server_said_and_is_tried_again_where_it_is_busy(
    node: Node, code: int, again: bool
) -> None:
    def refuse(*_: object) -> None:
        raise Refusal("too many", code)

    node.results["eth_chainId"] = refuse
    with Rpc(node.url) as rpc, pytest.raises(RpcRefusedError) as caught:
        rpc.chain_id()
    error = caught.value
    assert (error.rpc_code, error.rpc_message, error.retryable) == (code, "too many", again)


def test_a_refusal_that_quotes_a_secret_is_not_kept(node: Node) -> None:
    def refuse(*_: object) -> None:
        raise Refusal("key-5f3a is blocked")

    node.results["eth_chainId"] = refuse
    with Rpc(node.with_credentials()) as rpc, pytest.raises(RpcRefusedError) as caught:
        rpc.chain_id()
    assert caught.value.rpc_message is None


@pytest.mark.parametrize(("status", "again"), [(429, True), (503, True), (400, False), (500, False)])
def test_a_server_that_is_busy_can_be_asked_again(node: Node, status: int, again: bool) -> None:
    node.answer_with(b"no", status)
    with Rpc(node.url) as rpc, pytest.raises(RpcError) as caught:
        rpc.chain_id()
    assert (caught.value.code, caught.value.retryable) == ("rpc_http_error", again)


def test_the_answer_to_another_question_is_not_believed(node: Node) -> None:
    node.answer_json(result=word(1), id=7)
    with Rpc(node.url) as rpc, pytest.raises(NetworkError, match="another question"):
        rpc.balance(TOKEN, PAYER)


def test_two_processes_do_not_number_their_questions_alike(node: Node) -> None:
    for _ in range(2):
        with Rpc(node.url) as rpc:
            rpc.chain_id()
    first, second = (question["id"] for question in node.asked)
    assert first != second
