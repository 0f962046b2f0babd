"""``ando request``, the installed command, from outside."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from ando_cli.sandbox.faults import Fault
from tests.support.cli_box import sha256

if TYPE_CHECKING:
    from tests.support.cli_box import Box, Gateway

PAID = "/mpp/chat/completions"
BODY = '{ "messages":[{"role":"user","content":"hi"}], "max_tokens":8 }'
FREE = "This resource of the ando sandbox is free.\n"


def test_a_free_resource_is_fetched_without_a_wallet_or_a_store(gateway: Gateway, box: Box) -> None:
    for url in ("/free", "/v1/free", f"{gateway.base_url}/free"):
        assert box.run("request", url, ANDO_PRIVATE_KEY=None).worked().stdout == FREE
    assert gateway.actions == ["free"] * 3
    assert box.records() == {}
    assert not (box.home / "state").exists()


def test_a_paid_resource_is_paid_for_and_its_body_goes_out_byte_for_byte(warm: Gateway) -> None:
    path = warm.box.file("body.json", BODY)
    warm.box.run("request", PAID, "--json", BODY).worked()
    warm.box.run("request", PAID, "--json", f"@{path}").worked()
    warm.box.run("request", PAID, "--json", "@-", stdin=BODY).worked()
    warm.box.run("request", f"{warm.base_url}{PAID}", "-d", "@-", "-H", "Content-Type: application/json", stdin=BODY)
    done = warm.box.run("request", "-X", "post", PAID, "--data", BODY).worked()
    assert done.json["usage"]["completion_tokens"] == 8
    assert [entry.action for entry in warm.log] == ["unpaid", "voucher"] * 5
    assert {entry.body_sha256 for entry in warm.log} == {sha256(BODY.encode())}


def test_headers_are_shown_on_request_and_the_receipt_is_not(warm: Gateway) -> None:
    shown = warm.box.run("request", PAID, "--json", BODY, "-i").worked().stdout
    head, _, body = shown.partition("\n\n")
    assert head.startswith("HTTP/1.1 200 OK\n")
    assert "\npayment-receipt: [redacted]\n" in head
    assert json.loads(body)["object"] == "chat.completion"
    done = warm.box.run("request", "/free", "-D", "head.txt", "-o", "body.txt").worked()
    assert done.out == b""
    assert (warm.box.folder / "head.txt").read_text().startswith("HTTP/1.1 200 OK\n")
    assert (warm.box.folder / "body.txt").read_text() == FREE
    assert done.stderr == "written to head.txt\nwritten to body.txt\n"
    for silence in ("-s", "-q"):
        assert warm.box.run("request", "/free", "-o", "body.txt", silence).worked().stderr == ""


def test_head_prints_the_headers_and_is_refused_on_the_paid_route(warm: Gateway) -> None:
    assert warm.box.run("request", "-I", "/free").worked().stdout.startswith("HTTP/1.1 200 OK\n")
    warm.forget_log()
    for arguments in (["-I", PAID], ["-X", "head", PAID], ["-I", "/v1/mpp/chat/completions"], ["-I", "/MPP/x"]):
        assert "HEAD" in warm.box.run("request", *arguments).refused(2)
    assert warm.log == []


def test_the_two_rails_never_touch(warm: Gateway) -> None:
    for scheme in ("Bearer secret-key", "bearer  secret-key"):
        shown = warm.box.run("request", PAID, "-d", BODY, "-H", f"authorization:{scheme}").refused(2)
        assert "Virtual Key" in shown
        assert "secret-key" not in shown
    for url in ("/models", "/free", f"{warm.base_url}/chat/completions"):
        shown = warm.box.run("request", url, "-H", "Authorization: Payment secret-token").refused(2)
        assert "payment credential" in shown
        assert "secret-token" not in shown
    assert warm.log == []


def test_an_answer_that_is_no_success_is_printed_and_sets_the_exit_code(warm: Gateway) -> None:
    missing = warm.box.run("request", "/nothing-here")
    assert missing.code == 1
    assert missing.json["error"]["code"] == "not_found"
    assert missing.stderr.startswith("error: the server answered 404")
    assert warm.box.run("request", "/nothing-here", "-j").error["code"] == "not_found"
    warm.fail(Fault(on="free", status=503, body_text="down\x1b[31m", headers={"X-Request-Id": "abc-1"}))
    down = warm.box.run("request", "/free")
    assert (down.code, down.out) == (1, b"down\x1b[31m")
    assert "\x1b" not in down.stderr
    assert "(request abc-1)" in down.stderr
    warm.fail(Fault(on="free", redirect="https://example.com/"))
    moved = warm.box.run("request", "/free")
    assert moved.code == 1
    assert "redirect" in moved.stderr


def test_verbose_says_what_happens_and_nothing_secret(warm: Gateway) -> None:
    quiet = warm.box.run("request", PAID, "--json", BODY, "-H", "X-Token: hush").worked()
    assert quiet.stderr == ""
    done = warm.box.run("request", "-v", PAID, "--json", BODY, "-v", "-H", "X-Token: hush").worked()
    assert "POST " in done.stderr
    assert "answered 200" in done.stderr
    assert "content-type: application/json" in done.stderr
    for secret in ("hush", "Payment ", "signature", "0x"):
        assert secret not in done.stderr


def test_a_dry_run_and_offline_sign_nothing(gateway: Gateway, box: Box) -> None:
    assert "deposit of 5.00" in box.run("request", PAID, "--json", BODY, "--dry-run").worked().stdout
    assert "no payment" in box.run("request", "/free", "--dry-run").worked().stdout
    assert gateway.actions == ["unpaid", "free"]
    gateway.forget_log()
    offline = box.run("request", PAID, "--json", BODY, "-H", "X-Mine: 1", "-H", "Cookie: c=1", "--offline").worked()
    head, _, body = offline.stdout.partition("\n\n")
    assert head.splitlines() == [
        f"POST {gateway.base_url}{PAID}",
        "X-Mine: 1",
        "Cookie: [redacted]",
        "Content-Type: application/json",
        "Accept: application/json",
    ]
    assert body == BODY
    assert "nothing was sent" in offline.stderr
    assert box.run("request", "/free", "--offline", "-j").worked().json == {
        "offline": True, "method": "GET", "url": f"{gateway.base_url}/free", "headers": {}, "body": "",
    }  # fmt: skip
    assert "cannot read nowhere" in box.run("request", PAID, "--json", "@nowhere", "--offline").refused(2)
    assert gateway.log == []
    assert not any(box.records().values())


REFUSED = [
    ([], "URL"),
    (["not-a-url"], "URL"),
    (["ftp://example.com/x"], "URL"),
    (["https://user:secret@example.com/"], "password"),
    (["http://[broken/"], "URL"),
    (["/free", "-H", "no colon"], "header"),
    (["/free", "-H", ": no name"], "header"),
    (["/free", "-H", "two words: x"], "header"),
    (["/free", "-H", "X: a\r\nY: b"], "header"),
    (["/free", "-H", "X: \u2603"], "header"),
    (["/free", "-X", "GE T"], "method"),
    (["/free", "-X", ""], "method"),
    (["/free", "-I", "-d", "x"], "--head"),
    (["/free", "--json", "{}", "-d", "x"], "--data"),
    (["/free", "--json", "{"], "--json"),
    (["/free", "--json", "@absent"], "absent"),
    (["/free", "-d", "@."], "cannot read"),
    (["/free", "-o", "no/folder/x"], "cannot write"),
    (["/free", "-D", "/"], "cannot write"),
    (["/free", "-m", "-1"], "--timeout"),
    (["/free", "-m", "soon"], "--timeout"),
    (["/free", "--connect-timeout", "nan"], "--connect-timeout"),
    (["/free", "extra"], "extra"),
]


def test_what_cannot_work_is_refused_before_anything_is_sent(warm: Gateway) -> None:
    for arguments, named in REFUSED:
        shown = warm.box.run("request", *arguments).refused(2)
        assert named in shown, (arguments, shown)
        assert "secret" not in shown
    assert warm.log == []


def test_a_slow_answer_is_given_up_after_the_timeout(warm: Gateway) -> None:
    warm.fail(Fault(on="free", delay=5))
    assert "in time" in warm.box.run("request", "/free", "-m", "0.3").refused(3)
