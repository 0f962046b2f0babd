"""Time, proxies, certificates and plain http, as a user of the installed command meets them."""

from __future__ import annotations

import gzip
import time
from typing import TYPE_CHECKING

import pytest

from ando_cli.sandbox.faults import Fault
from tests.support.badluck import ASK, BODY, ask, outcome, paid, peak_memory, purse
from tests.support.hostile import DRIPPING, OK, drips, says, self_signed, server

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cli_box import Box, Done, Gateway

MIB = 1024 * 1024
KEY = {"ANDO_VIRTUAL_KEY": "ando-test-key-0123456789abcdef"}
SOON = 15.0
"""Seconds in which a command that is to wait for a second at most has ended, on a busy machine."""


def timed(box: Box, *arguments: str, **variables: str | None) -> tuple[Done, float]:
    started = time.monotonic()
    done = box.run(*arguments, **variables)
    return done, time.monotonic() - started


# Time


@pytest.mark.parametrize("way", DRIPPING)
@pytest.mark.parametrize("limit", ["--timeout", "--max-time"])
def test_a_gateway_that_drips_is_waited_for_as_long_as_the_user_says(box: Box, way: str, limit: str) -> None:
    with server(DRIPPING[way]) as (port, _):
        done, took = timed(box, "request", "/x", "-j", limit, "0.5", ANDO_BASE_URL=f"http://127.0.0.1:{port}/v1")
    assert (done.code, done.error["code"]) == (3, "no_answer")
    assert took < SOON


def test_max_time_can_be_configured(box: Box) -> None:
    box.configure("max_time = 0.5\n")
    with server(DRIPPING["headers"]) as (port, _):
        done, took = timed(box, "request", "/x", ANDO_BASE_URL=f"http://127.0.0.1:{port}/v1")
        assert (done.code, took < SOON) == (3, True)
        assert "ANDO_MAX_TIME" in box.run("request", "/x", ANDO_MAX_TIME="soon").refused(2)


def events(*first: str) -> bytes:
    data = "".join(f'data: {{"choices":[{{"delta":{{"content":"{word}"}}}}]}}\n\n' for word in first)
    return OK + b"Content-Type: text/event-stream\r\n\r\n" + data.encode()


@pytest.mark.parametrize("again", [b": still here\n\n", b"\n", b"event: ping\n"])
@pytest.mark.parametrize("first", [(), ("hello",)])
def test_what_is_no_word_keeps_no_stream_alive(box: Box, again: bytes, first: tuple[str, ...]) -> None:
    with server(drips(events(*first), again)) as (port, _):
        base = f"http://127.0.0.1:{port}/v1"
        ask = ("chat", "hi", "--rail", "key", "-m", "x", "--timeout", "0.7")
        done, took = timed(box, *ask, ANDO_BASE_URL=base, **KEY)
    assert done.code == 3, done
    assert done.stdout.strip() == "".join(first)
    assert took < SOON


def test_a_stream_whose_words_come_in_time_may_take_longer_than_the_timeout(box: Box) -> None:
    words = [f'data: {{"choices":[{{"delta":{{"content":"{n} "}}}}]}}\n\n'.encode() for n in range(15)]
    with server(drips(events("go "), [*words, b"data: [DONE]\n\n"])) as (port, _):
        base = f"http://127.0.0.1:{port}/v1"
        ask = ("chat", "hi", "--rail", "key", "-m", "x", "--timeout", "1")
        done, took = timed(box, *ask, ANDO_BASE_URL=base, **KEY)
    assert done.worked().stdout.split() == ["go", *map(str, range(15))]
    assert took > 1.5


def test_a_chain_that_drips_keeps_no_lock_and_no_user_waiting(gateway: Gateway) -> None:
    with server(DRIPPING["body"]) as (port, _):
        done, took = timed(gateway.box, *ASK, "--yes", "--max-time", "1", ANDO_RPC_URL=f"http://127.0.0.1:{port}")
    assert done.code == 3, done
    assert took < SOON
    assert purse(gateway).channels == 0
    ask(gateway).worked()


# Size


def test_an_answer_that_costs_nothing_is_read_with_a_bound(box: Box) -> None:
    bomb = gzip.compress(b" " * (1024 * MIB), 9)
    answer = says(OK, b"Content-Encoding: gzip\r\nContent-Length: ", str(len(bomb)).encode(), b"\r\n\r\n", bomb)
    small = says(OK, b"Content-Length: 2\r\n\r\nhi")
    with server(small) as (port, _):
        _, usual = peak_memory(box, "request", "/x", environment={"ANDO_BASE_URL": f"http://127.0.0.1:{port}/v1"})
    with server(answer) as (port, _):
        base = {"ANDO_BASE_URL": f"http://127.0.0.1:{port}/v1"}
        done, peak = peak_memory(box, "request", "--json", BODY, "/mpp/chat/completions", environment=base)
    assert (done.code, done.out) == (1, b"")
    assert "longer than 64 MiB" in done.stderr
    assert peak - usual < 200 * MIB


# Too many requests


@pytest.mark.parametrize("status", [429, 503])
@pytest.mark.parametrize("action", ["unpaid", "voucher"])
def test_a_busy_gateway_is_asked_again_when_it_says(warm: Gateway, action: str, status: int) -> None:
    before = purse(warm)
    warm.fail(Fault(on=action, status=status, headers={"Retry-After": "1"}))
    done = ask(warm).worked()
    assert f"busy ({status}): trying again in 1 s" in done.stderr
    assert len(paid(warm)) == (2 if action == "voucher" else 1)
    assert (purse(warm).channels, outcome(warm.box)) == (before.channels, "answered")


def test_a_gateway_that_asks_for_more_than_a_minute_is_not_waited_for(warm: Gateway) -> None:
    warm.fail(Fault(on="unpaid", status=429, headers={"Retry-After": "61"}))
    done, took = timed(warm.box, *ASK, "--yes", "-j")
    assert (done.code, done.error["retry_after"]) == (1, 61)
    assert took < SOON
    warm.fail(Fault(on="unpaid", status=429, headers={"Retry-After": "5"}))
    done, took = timed(warm.box, *ASK, "--yes", "-j", "--max-time", "3")
    assert (done.code, done.error["retry_after"]) == (1, 5)
    assert took < SOON


# Proxies and certificates


def test_the_way_to_this_machine_goes_through_no_proxy(gateway: Gateway) -> None:
    nowhere = "http://127.0.0.1:1"
    proxies = dict.fromkeys(("HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY"), nowhere)
    ask(gateway, **proxies).worked()
    gateway.box.run("--sandbox", "chat", "hi", **proxies, ANDO_NETWORK=None, ANDO_BASE_URL=None).worked()


@pytest.mark.parametrize("answer", ["407 Proxy Authentication Required", "403 Forbidden"])
def test_a_proxy_that_refuses_is_named(box: Box, answer: str) -> None:
    with server(says(f"HTTP/1.1 {answer}\r\nContent-Length: 0\r\n\r\n".encode())) as (port, _):
        proxy = f"http://user:hunter2@127.0.0.1:{port}"
        shown = box.run("chat", "hi", "--base-url", "https://gw.example/v1", HTTPS_PROXY=proxy).refused(3)
        assert f"the proxy 127.0.0.1:{port} answered {answer}" in shown
        assert "hunter2" not in shown


def test_a_socks_proxy_without_its_package_is_refused_before_anything_else(box: Box) -> None:
    shown = box.run("chat", "hi", "--base-url", "https://gw.example/v1", ALL_PROXY="socks5://127.0.0.1:1").refused(2)
    assert "socksio" in shown


def test_a_certificate_that_nobody_vouches_for_is_called_that_unless_the_user_does(box: Box, tmp_path: Path) -> None:
    context, file = self_signed(tmp_path)
    with server(says(OK, b"Content-Length: 2\r\n\r\nhi"), context) as (port, seen):
        url = f"https://127.0.0.1:{port}/x"
        shown = box.run("request", url).refused(3)
        assert "certificate of 127.0.0.1 is not to be trusted" in shown
        assert "SSL_CERT_FILE" in shown
        assert seen == []
        assert box.run("request", url, SSL_CERT_FILE=str(file)).worked().stdout == "hi"


@pytest.mark.parametrize("options", [[], ["--dry-run"], ["--rail", "key", "-m", "x"]])
def test_no_prompt_goes_over_plain_http_to_another_machine(box: Box, options: list[str]) -> None:
    with server(says(OK)) as (port, seen):
        proxy = f"http://127.0.0.1:{port}"
        done = box.run("chat", "secret", "-j", "--base-url", "http://gw.example/v1", *options, http_proxy=proxy, **KEY)
    assert (done.code, done.error["code"]) == (4, "insecure_transport")
    assert seen == []


# Settings that are none


def test_a_limit_that_is_misspelt_in_the_environment_is_an_error(warm: Gateway) -> None:
    shown = ask(warm, ANDO_BUDGET_DAILY="0.01").refused(2)
    assert "ANDO_BUDGET_DAILY" in shown
    assert "did you mean ANDO_BUDGET_DAY?" in shown
    assert warm.log == []


def test_another_unknown_variable_is_reported_once(warm: Gateway) -> None:
    done = ask(warm, ANDO_TIMEUOT="5").worked()
    assert done.stderr.count("ANDO_TIMEUOT (did you mean ANDO_TIMEOUT?)") == 1
    assert "ANDO_" not in ask(warm, ANDO_NO_AUTO_JSON="1").worked().stderr
