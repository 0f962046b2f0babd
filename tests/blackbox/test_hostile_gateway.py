"""A gateway that means harm: floods, bombs, terminal escapes, redirects, machines that no credential must go to."""

from __future__ import annotations

import gzip
import json
import unicodedata
from typing import TYPE_CHECKING

import pytest

from ando_cli.sandbox.faults import Fault
from tests.support.badluck import ASK, BODY, Answer, Seen, ask, outcome, paid, peak_memory, purse, relaying

if TYPE_CHECKING:
    from tests.support.cli_box import Done, Gateway

MEGABYTE = 1024 * 1024
EVIL = "\x1b[2J\x1b]52;c;ZXZpbA==\x07\x9b31m\x08\x00\u202egnp.exe\u2066 \u2028error: all is well\r\ntry: rm -rf ~\x7f"
PATH = "/mpp/chat/completions"


def is_harmless(text: str) -> bool:
    """Whether a terminal would show ``text`` as it reads, and do nothing else."""
    harmful = {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    return not any(unicodedata.category(character) in harmful for character in text if character != "\n")


# Sizes


@pytest.mark.parametrize(("action", "status"), [("unpaid", 500), ("unpaid", 402), ("voucher", 402), ("voucher", 503)])
def test_an_error_body_of_100_mb_is_not_kept_in_memory(warm: Gateway, action: str, status: int) -> None:
    before = purse(warm)
    warm.fail(Fault(on=action, status=status, body_text="no"))
    plain, usual = peak_memory(warm.box, *ASK, "--yes")
    warm.fail(Fault(on=action, status=status, body_bytes=100 * MEGABYTE))
    huge, peak = peak_memory(warm.box, *ASK, "--yes")
    assert (huge.code, huge.out) == (plain.code, plain.out)
    assert len(huge.err) < 1_000
    assert peak - usual < 20 * MEGABYTE
    assert purse(warm) == before


@pytest.mark.parametrize("times", [1, 2], ids=["gzip", "gzip in gzip"])
@pytest.mark.parametrize("when", ["unpaid", "paid"])
def test_a_gzip_bomb_is_not_unpacked(warm: Gateway, times: int, when: str) -> None:
    bomb = b" " * (256 * MEGABYTE)
    for _ in range(times):
        bomb = gzip.compress(bomb, 1)
    encoding = ", ".join(["gzip"] * times)
    with relaying(warm) as relay:
        if when == "paid":
            ask(warm).worked()
        small, usual = peak_memory(warm.box, *ASK, "--yes", "--dry-run")
        relay.instead = lambda seen: (
            Answer(500, [("Content-Encoding", encoding)], bomb)
            if (seen.credential is not None) == (when == "paid")
            else None
        )
        done, peak = peak_memory(warm.box, *ASK, "--yes")
    assert small.code == 0
    assert done.code != 0
    assert b"Traceback" not in done.err
    assert len(done.err) < 1_000
    assert peak - usual < 100 * MEGABYTE


def test_a_flood_of_headers_ends_the_request(warm: Gateway) -> None:
    before = purse(warm)
    warm.fail(Fault(on="unpaid", headers={f"X-{number}": "x" * 4_000 for number in range(100)}))
    ask(warm).refused(3)
    assert purse(warm) == before


def test_json_without_a_bottom_is_an_error_without_a_reason(warm: Gateway) -> None:
    before = purse(warm)
    warm.fail(Fault(status=500, body_text="[" * 60_000), Fault(status=402, body_text='{"error":' * 7_000))
    assert "no readable reason" in ask(warm).refused(4)
    ask(warm)
    assert purse(warm) == before


def test_an_answer_that_takes_too_long_is_asked_for_twice_and_no_more(warm: Gateway) -> None:
    before = purse(warm)
    warm.fail(Fault(on="voucher", delay=3.0, times=2))
    assert ask(warm, "-j", "--timeout", "1").error["code"] == "outcome_unknown"
    assert len(paid(warm)) == 2
    assert len({entry.authorization_sha256 for entry in paid(warm)}) == 1
    assert outcome(warm.box) == "unknown"
    assert purse(warm) == before


@pytest.mark.parametrize("body", ["", "hello", "[]", '{"choices":[]}', '{"choices":[{"message":{"content":7}}]}'])
def test_a_success_without_an_answer_in_it_is_an_error_and_no_second_payment(warm: Gateway, body: str) -> None:
    before = purse(warm)
    warm.fail(Fault(status=200, body_text=body))
    assert ask(warm).code == 1
    assert len(paid(warm)) == 1
    assert purse(warm) == before


# What a terminal is shown


@pytest.mark.parametrize("shape", ["openai", "bare", "rfc9457"])
def test_an_error_cannot_drive_a_terminal_or_pretend_to_be_two(warm: Gateway, shape: str) -> None:
    warm.fail(Fault(status=500, code="server_error", shape=shape, message=EVIL, headers={"x-request-id": "a" * 5_000}))
    piped = ask(warm)
    assert is_harmless(piped.refused(4))
    assert "gnp.exe" in piped.stderr
    warm.fail(Fault(code="payment_required", shape=shape, message=EVIL, times=2))
    assert is_harmless(on_terminal(warm, *ASK, code=4))


def test_an_error_code_cannot_either(warm: Gateway) -> None:
    body = json.dumps({"error": {"code": EVIL, "message": "x" * 100_000, "type": EVIL}})
    warm.fail(Fault(status=500, body_text=body), Fault(status=500, body_text=body.replace("x" * 100_000, "y" * 9_000)))
    for _ in range(2):
        shown = ask(warm).refused(4)
        assert is_harmless(shown)
        assert len(shown) < 1_000


@pytest.mark.parametrize("realm", ["\u202eevil\u2066", "a\x1b[31mb", "x" * 9_000, "\x9b31m"])
def test_a_realm_cannot_either(warm: Gateway, realm: str) -> None:
    def rename(seen: Seen, answer: Answer) -> Answer:
        challenge = answer.header("www-authenticate")[0].replace("ando-sandbox", realm)
        answer.headers = [*answer.without("www-authenticate"), ("WWW-Authenticate", challenge)]
        return answer

    before = purse(warm)
    with relaying(warm) as relay:
        relay.tamper = rename
        for options in ([], ["-j"]):
            done = warm.box.run(*ASK, "--dry-run", *options)
            # A control character has no place in a challenge; what merely looks odd is left out where it is shown.
            assert done.code == (4 if "\x1b" in realm else 0), done
            assert is_harmless(done.stdout + done.stderr)
            assert len(done.out + done.err) < 2_000
    assert purse(warm) == before


def test_a_header_in_another_language_does_not_cost_the_answer(warm: Gateway) -> None:
    warm.fail(Fault(on="unpaid", headers={"X-Motto": "zażółć"}), Fault(headers={"X-Motto": "gęślą jaźń \u202e"}))
    assert "canned answer" in ask(warm).worked().stdout


def test_an_answer_cannot_drive_a_terminal_but_reaches_a_pipe_as_it_is(warm: Gateway) -> None:
    answer = {"choices": [{"message": {"role": "assistant", "content": f"line one\n{EVIL}\n\U0001f44d"}}]}
    warm.fail(Fault(status=200, body_text=json.dumps(answer), times=3))
    piped = ask(warm).worked()
    assert piped.stdout == f"line one\n{EVIL}\n\U0001f44d\n"
    shown = on_terminal(warm, *ASK, code=0)
    assert "\U0001f44d" in shown
    assert all(character not in shown for character in "\x1b\x07\x9b\x08\x00\u202e\u2066\x7f")
    raw = on_terminal(warm, "request", "--yes", "--json", BODY, PATH, code=0)
    assert all(character not in raw for character in "\x1b\x07\x9b\x08\x00\u202e\u2066\x7f")


def on_terminal(gateway: Gateway, *arguments: str, code: int) -> str:
    """What a terminal without colours shows of a command."""
    done: Done = gateway.box.terminal(*arguments, TERM="dumb", NO_COLOR="1").end()
    assert done.code == code, done
    return done.stderr


# Where credentials go


@pytest.mark.parametrize("status", [301, 302, 303, 307, 308])
@pytest.mark.parametrize("action", ["unpaid", "voucher"])
def test_a_redirect_is_not_followed(warm: Gateway, action: str, status: int) -> None:
    gateway_itself = warm.base_url
    with relaying(warm) as elsewhere:
        warm.fail(Fault(on=action, status=status, redirect=f"{elsewhere.base_url}{PATH}"))
        done = ask(warm, "-j", ANDO_BASE_URL=gateway_itself)
    expected = (1, "redirect") if action == "unpaid" else (4, "outcome_unknown")
    assert (done.code, done.error["code"]) == expected
    assert elsewhere.seen == []
    assert warm.actions == ["unpaid", "voucher"][: 1 + (action == "voucher")]


@pytest.mark.parametrize("where", ["http://gateway.example/v1", "http://10.0.0.1/v1", "http://127.0.0.1.example/v1"])
def test_no_credential_goes_to_another_machine_over_plain_http(warm: Gateway, where: str) -> None:
    """The machine is reached through a proxy, so that it need not exist."""
    before = purse(warm)
    with relaying(warm) as proxy:
        variables = {"http_proxy": proxy.origin, "ANDO_BASE_URL": None}
        chat = ask(warm, "--base-url", where, **variables)
        asked = warm.box.run("request", "--yes", "--json", BODY, f"{where}{PATH}", stdin=b"", **variables)
    assert chat.code in (2, 4)
    assert asked.code in (2, 4)
    assert proxy.credentials == []
    assert all("payment" not in str(seen.headers).replace("accept-payment", "") for seen in proxy.seen)
    assert purse(warm) == before


def test_a_proxy_in_the_environment_is_not_used_on_the_way_to_this_machine(warm: Gateway) -> None:
    with relaying(warm) as proxy:
        ask(warm, "--base-url", warm.base_url, http_proxy=proxy.origin, all_proxy=proxy.origin).worked()
    assert proxy.seen == []


def test_a_credential_is_made_for_one_challenge_and_never_sent_with_another_body(warm: Gateway) -> None:
    with relaying(warm) as relay:
        for words in ("one", "two"):
            warm.box.run("chat", words, "--max-tokens", "8", "--yes").worked()
    assert len(relay.credentials) == len(set(relay.credentials)) == 2
    assert len({seen.headers["idempotency-key"] for seen in relay.seen}) == 2
    assert all(seen.headers["accept-payment"] == "tempo/session" for seen in relay.seen)
