"""``ando chat``, the installed command, from outside."""

from __future__ import annotations

import json
import sys
from decimal import Decimal
from typing import TYPE_CHECKING, Any

import pytest

from ando_cli.sandbox.faults import Fault
from ando_cli.tempo.keys import PrivateKey
from tests.support.cli_box import KEY, MILLION, sha256

if TYPE_CHECKING:
    from tests.support.cli_box import Box, Gateway

CANNED = "This is a canned answer from the ando sandbox"
BODY = b' {"messages": [{"role":"user", "content":"hi \\u00e9"}],\n "max_tokens":8, "plan":"Plus"}\n'


def built(gateway: Gateway) -> list[str]:
    """The hashes of the bodies that were sent; one request's tries all carry the same."""
    return [entry.body_sha256 for entry in gateway.log]


def body_of(content: str, **more: Any) -> bytes:
    """What the command builds from a prompt."""
    body: dict[str, Any] = {"plan": "Starter", "model_optimization": True}
    body |= {key: more.pop(key) for key in ("plan", "model_optimization", "model") if key in more}
    messages = [{"role": "system", "content": more.pop("system")}] if "system" in more else []
    body["messages"] = [*messages, {"role": "user", "content": content}]
    body |= {"max_tokens": more.pop("max_tokens", 1024), "stream": False, **more}
    return json.dumps(body, ensure_ascii=False, separators=(",", ":")).encode()


def test_the_first_question_opens_a_channel_and_the_next_one_uses_it(gateway: Gateway, box: Box) -> None:
    first = box.run("chat", "--max-spend", "2", "-u", "what", "is it?").worked()
    assert first.stdout.startswith(CANNED)
    assert "spent: 0.00029 token" in first.stderr
    assert "deposited: 2.00" in first.stderr
    assert "of 2.00" in first.stderr
    second = box.run("chat", "-u", "and now?").worked()
    assert gateway.actions == ["unpaid", "open", "unpaid", "voucher"]
    assert "deposited" not in second.stderr
    assert built(gateway)[:2] == [sha256(body_of("what is it?"))] * 2
    [channel] = box.records()["channels"]
    assert "2000000" in channel


def test_a_warm_question_says_nothing_on_stderr_and_loads_nothing_slow(warm: Gateway) -> None:
    script = """
import sys
sys.argv = ["ando", "chat", "--max-tokens", "64", "--temperature", "0.5", "-o", "answer.txt", "hi"]
from ando_cli.__main__ import main
try:
    main()
except SystemExit as end:
    assert not end.code, end.code
slow = {"web3", "eth_account", "pytempo", "pydantic", "rich", "keyring"} & set(sys.modules)
assert not slow, slow
"""
    warm.box.file("warm.py", script)
    warm.box.shell(f"{sys.executable} warm.py").worked()
    assert (warm.box.folder / "answer.txt").read_text().startswith(CANNED)
    assert warm.box.run("chat", "hi").worked().stderr == ""


def test_every_option_shapes_the_body_that_is_sent(warm: Gateway) -> None:
    warm.box.run(
        *("chat", "-s", "be brief", "-m", "Qwen/Qwen3-8B-AWQ", "--plan", "Plus", "--max-tokens", "32"),
        *("--temperature", "0", "--top-p", "0.5", "--seed", "-7", "--stop", "END", "--stop", "\n", "hé", "ho"),
    ).worked()
    expected = body_of(
        "hé ho",
        plan="Plus",
        model_optimization=False,
        model="Qwen/Qwen3-8B-AWQ",
        system="be brief",
        max_tokens=32,
        temperature=0.0,
        top_p=0.5,
        seed=-7,
        stop=["END", "\n"],
    )
    assert built(warm) == [sha256(expected)] * 2
    assert warm.actions == ["unpaid", "voucher"]


def test_piped_text_goes_before_the_prompt(warm: Gateway) -> None:
    warm.box.run("chat", "summarise", stdin="a report\nof two lines\n").worked()
    warm.box.run("chat", stdin='{"no": "body"} but text').refused()
    warm.box.run("chat", "what is this?", stdin='{"a": 1}').worked()
    warm.box.run("chat", stdin="only piped\n").worked()
    texts = ["a report\nof two lines\n\nsummarise", '{"a": 1}\n\nwhat is this?', "only piped"]
    assert built(warm) == [sha256(body_of(text)) for text in texts for _ in range(2)]


def test_a_body_is_sent_byte_for_byte(warm: Gateway) -> None:
    path = warm.box.file("body.json", BODY)
    warm.box.run("chat", stdin=BODY).worked()
    warm.box.run("chat", "--body", f"@{path}").worked()
    warm.box.run("chat", "--body", "-", stdin=BODY).worked()
    assert built(warm) == [sha256(BODY)] * 6
    assert warm.actions == ["unpaid", "voucher"] * 3


def test_with_j_the_gateways_json_is_printed_unchanged_and_with_o_written(warm: Gateway) -> None:
    done = warm.box.run("chat", "-j", "hi").worked()
    assert done.json["choices"][0]["message"]["content"].startswith(CANNED)
    assert done.out == json.dumps(done.json).encode() + b"\n"
    saved = warm.box.run("-j", "chat", "hi", "-o", "answer.json").worked()
    assert saved.out == b""
    assert "written to answer.json" in saved.stderr
    assert json.loads((warm.box.folder / "answer.json").read_bytes())["object"] == "chat.completion"
    assert warm.box.run("chat", "hi", "-o", "answer.txt", "-q", "-u").worked().stderr == ""
    assert (warm.box.folder / "answer.txt").read_text().startswith(CANNED)


def test_the_line_that_the_issue_asks_for_works(box: Box) -> None:
    request = '{"messages":[{"role":"user","content":"hi"}],"max_tokens":8}'
    pick = "import json, sys; print(json.load(sys.stdin)['choices'][0]['message']['content'])"
    line = f"echo '{request}' | ando --sandbox chat -j | {sys.executable} -c \"{pick}\""
    assert box.shell(line).worked().stdout == "This is a canned answer from the\n"
    assert box.shell(line).worked().stderr == ""
    [session] = box.run("--sandbox", "session", "list").worked().json
    assert (session["gateway"], session["network"], session["state"]) == ("sandbox", "sandbox", "open")
    assert session["spent"] == "0.00026", "the second call reused the channel of the first"
    assert box.run("session", "list").worked().json == [], "its state is apart from the real one"


def test_a_dry_run_shows_the_price_and_signs_nothing(gateway: Gateway, box: Box) -> None:
    cold = box.run("chat", "--dry-run", "hi").worked()
    for shown in ("ando-sandbox", "1.00", "none yet", "deposit of 5.00", "at most:    1.00"):
        assert shown in cold.stdout
    assert "nothing was signed" in cold.stderr
    assert gateway.actions == ["unpaid"]
    assert not any(box.records().values())
    gateway.warm_up()
    before = box.records()
    warm = box.run("chat", "--dry-run", "-j", "hi").worked().json
    assert (warm["action"], warm["raise"], warm["deposit"], warm["amount"]) == ("voucher", "0.00", "0.00", "1.00")
    assert 1 < Decimal(warm["at_most"]) <= 2, "what is left of the first raise, and one more"
    capped = box.run("chat", "--dry-run", "-j", "--max-spend", "0.5", "hi").worked().json
    assert Decimal(capped["at_most"]) == Decimal(warm["at_most"]) - 1, "--max-spend leaves no room for a raise"
    assert warm["realm"] == "ando-sandbox"
    assert gateway.actions == ["unpaid"] * 2
    assert box.records() == before
    assert KEY.address not in cold.stdout + json.dumps(warm)


def test_a_dry_run_knows_every_limit_that_paying_knows(gateway: Gateway, box: Box) -> None:
    def quote(*options: str, **environ: str | None) -> Any:
        return box.run("chat", "--dry-run", "-j", *options, "hi", **environ)

    assert quote("--max-spend", "2").worked().json["deposit"] == "2.00"
    assert quote("--max-spend", "0.5").code == 4
    with (box.home / "config.toml").open("a") as config:
        config.write('[budget]\nday = "3"\n')
    assert quote().worked().json["deposit"] == "3.00", "nobody but the budget allows it"
    assert quote("--yes").worked().json["deposit"] == "5.00"
    assert box.run("chat", "--max-spend", "2", "hi").worked()
    assert quote("--max-spend", "2").worked().json["action"] == "voucher"


def test_a_dry_run_deposits_no_more_than_the_wallet_holds(gateway: Gateway, box: Box) -> None:
    poor = PrivateKey.generate()
    empty = box.run("chat", "--dry-run", "hi", ANDO_PRIVATE_KEY=poor.to_hex())
    assert "the wallet holds 0.00" in empty.refused(4)
    gateway.sandbox.fund(poor.address, 1_500_000)
    held = box.run("chat", "--dry-run", "-j", "hi", ANDO_PRIVATE_KEY=poor.to_hex()).worked().json
    assert "1.00" < held["deposit"] <= "1.50"


REFUSED = [
    (["chat"], b"", "empty"),
    (["chat", "  "], b"\n", "empty"),
    (["chat", "hi", "--plan", "Gold"], b"", "plan"),
    (["chat", "hi", "--plan", "starter"], b"", "plan"),
    (["chat", "hi", "-m", " "], b"", "model"),
    (["chat", "hi", "--max-tokens", "0"], b"", "max_tokens"),
    (["chat", "hi", "--max-tokens", "many"], b"", "--max-tokens"),
    (["chat", "hi", "--temperature", "2.1"], b"", "--temperature"),
    (["chat", "hi", "--temperature", "nan"], b"", "--temperature"),
    (["chat", "hi", "--top-p", "-0.1"], b"", "--top-p"),
    (["chat", "hi", "--max-spend", "0"], b"", "--max-spend"),
    (["chat", "hi", "--max-spend", "1e3"], b"", "--max-spend"),
    (["chat", "hi", "--timeout", "0"], b"", "--timeout"),
    (["chat", "hi", "--connect-timeout", "inf"], b"", "--connect-timeout"),
    (["chat", "hi", "--accept-payee", "0x!"], b"", "--accept-payee"),
    (["chat", "hi", "-o", "/"], b"", "cannot write"),
    (["chat", "hi", "-o", "no/such/folder"], b"", "cannot write"),
    (["chat", "hi", "--sandbox", "--base-url", "http://127.0.0.1:1"], b"", "--sandbox"),
    (["chat"], b"\xff\xfe\x00", "UTF-8"),
    (["chat", "--body", "body.json"], b"", "--body"),
    (["chat", "--body", "@absent.json"], b"", "absent.json"),
    (["chat", "--body", "-", "hi"], b"{}", "--body"),
    (["chat", "--max-tokens", "3"], b'{"messages":[{"role":"user","content":"hi"}]}', "options would have no effect"),
    (["chat", "--body", "-"], b"not json", "not valid JSON"),
    (["chat", "--body", "-"], b"[" * 100_000, "not valid JSON"),
    (["chat", "--body", "-"], b"[]", "messages"),
    (["chat", "--body", "-"], b'{"messages":[]}', "messages"),
    (["chat"], b'{"messages":[{"role":"user","content":"hi"}', "not valid JSON"),
    (["chat"], b'{"messages":[{}],"stream":true}', "stream"),
    (["chat"], b'{"messages":[{}],"plan":"Gold"}', "plan"),
    (["chat"], b'{"messages":[{}],"model":"x"}', "model_optimization"),
    (["chat"], b'{"messages":[{}],"model_optimization":false}', "model"),
    (["chat"], b'{"messages":[{}],"max_tokens":-1}', "max_tokens"),
    (["chat"], b'{"messages":[{}],"max_tokens":true}', "max_tokens"),
]


@pytest.mark.parametrize("part", range(4))
def test_what_cannot_work_is_refused_before_anything_is_sent(warm: Gateway, part: int) -> None:
    for arguments, stdin, named in REFUSED[part::4]:
        assert named in warm.box.run(*arguments, stdin=stdin).refused(2), arguments
    assert warm.log == []


def test_a_body_without_a_limit_is_sent_as_it_is_with_a_warning(warm: Gateway) -> None:
    body = b'{"messages":[{"role":"user","content":"hi"}]}'
    assert warm.box.run("chat", stdin=body).worked().stderr.startswith("warning: the body sets no max_tokens")
    assert built(warm) == [sha256(body)] * 2
    limited = b'{"messages":[{"role":"user","content":"hi"}],"max_completion_tokens":8}'
    assert warm.box.run("chat", stdin=limited).worked().stderr == ""


def test_an_answer_without_text_was_paid_for_so_it_is_shown_as_it_came(warm: Gateway) -> None:
    warm.fail(Fault(on="voucher", body_text='{"choices":[]}', status=200))
    done = warm.box.run("chat", "hi")
    assert (done.code, done.out) == (1, b'{"choices":[]}')
    assert "no text" in done.stderr


def test_half_a_surrogate_pair_in_a_paid_answer_is_no_reason_to_lose_it(warm: Gateway) -> None:
    warm.fail(Fault(on="voucher", body_text='{"choices":[{"message":{"content":"a\\ud800b"}}]}', status=200))
    assert warm.box.run("chat", "hi").worked().stdout == "a?b\n"


def test_a_cap_below_the_price_stops_before_anything_is_signed(gateway: Gateway, box: Box) -> None:
    assert "--max-spend" in box.run("chat", "hi", "--max-spend", "0.5").refused(4)
    assert gateway.actions == ["unpaid"]
    assert gateway.balance == 100 * MILLION
