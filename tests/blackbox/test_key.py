"""The installed command with a Virtual Key: storing one, asking with it, and never showing it."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from ando_cli.sandbox.faults import Fault
from ando_cli.sandbox.server import Sandbox, SandboxConfig
from tests.support.cli_box import Box, Gateway, keyring_in

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

MODEL = "Qwen/Qwen3-8B-AWQ"


class Holder:
    """A box with a keyring, and a gateway that knows its key."""

    def __init__(self, sandbox: Sandbox, folder: Path) -> None:
        self.sandbox = sandbox
        self.box = Box(folder)
        self.ring = folder / "ring.json"
        self.box.environment |= {**keyring_in(self.ring), "ANDO_BASE_URL": sandbox.base_url}
        self.key = sandbox.virtual_key

    @property
    def actions(self) -> list[str]:
        return [entry.action for entry in self.sandbox.gateway.log]


@pytest.fixture(scope="module")
def sandbox(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Sandbox]:
    with Sandbox(SandboxConfig(path=tmp_path_factory.mktemp("key") / "chain.db")) as running:
        yield running


@pytest.fixture
def holder(sandbox: Sandbox, tmp_path: Path) -> Holder:
    sandbox.faults.clear()
    sandbox.gateway.log.clear()
    return Holder(sandbox, tmp_path)


@pytest.fixture
def keyed(holder: Holder) -> Holder:
    """One whose key is in the environment."""
    holder.box.environment |= {"ANDO_VIRTUAL_KEY": holder.key, "ANDO_MODEL": MODEL}
    return holder


def test_a_key_is_checked_stored_used_listed_and_removed(holder: Holder) -> None:
    box, key = holder.box, holder.key
    stored = box.run("key", "set", "--profile", "work", stdin=key + "\n").worked()
    assert (stored.stdout, holder.actions) == ("", ["models"])
    assert f"…{key[-4:]}" in stored.stderr
    assert key in holder.ring.read_text()
    asked = box.run("chat", "--rail", "key", "--profile", "work", "-m", MODEL, "-v", "hi").worked()
    assert asked.stdout.startswith("This is a canned answer")
    listed = box.run("key", "list").worked().json
    assert listed == [
        {"profile": "work", "preview": f"{key[:3]}…{key[-4:]}", "gateway": box.environment["ANDO_BASE_URL"][:-3],
         "source": "keyring"}
    ]  # fmt: skip
    assert box.run("key", "show", "-j", ANDO_PROFILE="work").worked().json == listed[0]
    assert "elsewhere" not in box.run("key", "remove", "--profile", "work").refused(2)
    removed = box.run("key", "remove", "--profile", "work", "--yes").worked()
    assert key not in holder.ring.read_text()
    for done in (stored, asked, removed):
        assert key not in done.stdout + done.stderr
    assert "there is no Virtual Key" in box.run("chat", "--rail", "key", "-m", MODEL, "hi").refused(1)


def test_a_key_that_the_gateway_does_not_know_is_not_stored(holder: Holder) -> None:
    assert "does not accept" in holder.box.run("key", "set", stdin="sk-wrong-0123456789").refused(1)
    assert not holder.ring.exists()
    assert "private key" in holder.box.run("key", "set", stdin="0x" + "ab" * 32).refused(2)
    assert holder.actions == ["models"]


def test_a_stored_key_is_not_sent_to_another_gateway(holder: Holder) -> None:
    box = holder.box
    box.run("key", "set", stdin=holder.key).worked()
    refused = box.run("models", "--base-url", "http://127.0.0.1:9/v1").refused(1)
    assert "is for http://127.0.0.1:" in refused


def test_the_key_is_typed_without_being_shown(holder: Holder) -> None:
    terminal = holder.box.terminal("key", "set")
    terminal.until("Virtual Key (not shown): ")
    terminal.type(holder.key + "\n")
    done = terminal.end()
    assert done.code == 0
    assert holder.key.encode() not in done.out + done.err
    assert holder.key in holder.ring.read_text()


def test_without_a_key_the_list_of_models_explains_itself(holder: Holder) -> None:
    assert "pays per use" in holder.box.run("models").refused(1)


def test_the_models_in_a_pipe_and_searched(keyed: Holder) -> None:
    listed = keyed.box.run("models").worked().json
    assert {"id": MODEL, "owned_by": "ando-sandbox", "created": 1750000000} in listed
    assert [model["id"] for model in keyed.box.run("models", "--search", "QWEN").worked().json] == [MODEL]
    kept = keyed.box.home / "state" / "models.json"
    assert json.loads(kept.read_text()) == {"models": [model["id"] for model in listed]}
    assert kept.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize("command", ["respond", "think", "complete"])
def test_each_route_is_asked_and_its_words_printed(keyed: Holder, command: str) -> None:
    done = keyed.box.run(command, "-u", "--set", "user=me", "why?", stdin="piped").worked()
    assert done.stdout.startswith("This is a canned answer")
    assert "paid with a Virtual Key" in done.stderr
    raw = keyed.box.run(command, "-j", "why?").worked().json
    assert raw["model"] == MODEL


def test_reasoning_goes_to_stderr_where_it_is_asked_for(keyed: Holder) -> None:
    done = keyed.box.run("think", "--reasoning", "why?").worked()
    assert "train of thought" in done.stderr
    assert "train of thought" not in done.stdout


def test_a_stream_is_the_same_answer_as_without(keyed: Holder, tmp_path: Path) -> None:
    box = keyed.box
    streamed = box.run("chat", "--rail", "key", "hi").worked()
    assert box.run("chat", "--rail", "key", "--no-stream", "hi").worked().out == streamed.out
    box.run("chat", "--rail", "key", "-o", "answer.txt", "hi").worked()
    assert (tmp_path / "answer.txt").read_bytes() == streamed.out
    whole = box.run("chat", "--rail", "key", "-j", "hi").worked().json
    assert whole["choices"][0]["message"]["content"] + "\n" == streamed.stdout


def test_a_stream_that_breaks_off_leaves_what_came_and_says_so(keyed: Holder) -> None:
    keyed.sandbox.faults.push(Fault(on="chat", stream={"break_after": 3}))
    done = keyed.box.run("chat", "--rail", "key", "hi")
    assert done.code == 3
    assert done.stdout.startswith("This is")
    assert done.stdout.endswith("\n")
    assert "broke off in the middle" in done.stderr


def test_half_a_surrogate_pair_in_an_answer_is_no_reason_to_lose_it(keyed: Holder) -> None:
    answer = '{"choices":[{"message":{"content":"a\\ud800b"}}]}'
    shown = {"--no-stream": "a?b\n", "-t": None, "-u": "a?b\n"}
    for option, words in shown.items():
        keyed.sandbox.faults.push(Fault(on="chat", status=200, body_text=answer))
        done = keyed.box.run("chat", "--rail", "key", option, "hi").worked()
        assert words in (None, done.stdout)
        assert "a?b" in done.stdout
    keyed.sandbox.faults.push(Fault(on="models", status=200, body_text='{"data":[{"id":"m\\ud800"}]}'))
    assert "m?" in keyed.box.run("models", "-t").worked().stdout


def test_a_body_that_is_handed_in_goes_out_byte_for_byte(keyed: Holder) -> None:
    body = f'{{ "model":"{MODEL}", "messages":[{{"role":"user","content":"hi"}}],"max_tokens":8, "stream":true }}'
    done = keyed.box.run("chat", "--rail", "key", stdin=body).worked()
    assert done.stdout.startswith("This is a canned")
    assert "stream" in keyed.box.run("chat", "--rail", "key", "-o", "x", stdin=body).refused(2)
    bad = body.replace('"max_tokens"', '"plan":"Starter","max_tokens"')
    assert "paid route" in keyed.box.run("chat", "--rail", "key", stdin=bad).refused(2)
    assert keyed.actions == ["chat"]


@pytest.mark.parametrize(
    "arguments",
    [
        ("chat", "--rail", "key", "--max-spend", "1", "hi"),
        ("chat", "--rail", "key", "--plan", "Plus", "hi"),
        ("chat", "--rail", "key", "--dry-run", "hi"),
        ("chat", "--rail", "mpp", "--profile", "work", "hi"),
        ("chat", "--rail", "purse", "hi"),
        ("request", "--rail", "key", "/mpp/chat/completions"),
        ("request", "--rail", "key", "http://127.0.0.1:9/v1/models"),
        ("request", "--rail", "key", "-H", "Authorization: Payment x", "/models"),
    ],
)
def test_what_belongs_to_the_other_rail_is_refused_before_anything_is_sent(
    keyed: Holder, arguments: tuple[str, ...]
) -> None:
    keyed.box.run(*arguments).refused(2)
    assert keyed.actions == []


def test_the_configured_rail_is_used_and_the_option_goes_before_it(keyed: Holder) -> None:
    keyed.box.configure('rail = "key"\n')
    keyed.box.run("chat", "hi").worked()
    assert keyed.actions == ["chat"]
    keyed.box.run("request", "--rail", "key", "/models").worked()
    assert "no usable wallet" not in keyed.box.run("chat", "--rail", "mpp", "--dry-run", "hi", ANDO_MODEL=None).stderr
    assert keyed.actions == ["chat", "models", "unpaid"]


def test_errors_about_the_key_have_their_exit_codes(keyed: Holder) -> None:
    def fail(status: int, *arguments: str) -> int:
        keyed.sandbox.faults.push(Fault(on="bearer", status=status, headers={"Retry-After": "900"}))
        return keyed.box.run("chat", "--rail", "key", *arguments, "hi").code

    assert [fail(402), fail(401), fail(429)] == [4, 1, 1]


def test_the_sandbox_brings_its_own_key(box: Box) -> None:
    done = box.run("--sandbox", "chat", "--rail", "key", "-m", MODEL, "-vvv", "hi").worked()
    assert done.stdout.startswith("This is a canned answer")
    assert "manages its own" in box.run("--sandbox", "key", "list").refused(2)


def test_a_gateway_with_a_wallet_too_never_sees_both(gateway: Gateway) -> None:
    box = gateway.box
    variables = {"ANDO_VIRTUAL_KEY": gateway.sandbox.virtual_key, "ANDO_MODEL": MODEL}
    box.run("chat", "--rail", "key", "hi", **variables).worked()
    box.run("chat", "--rail", "mpp", "--max-spend", "5", "hi", **variables).worked()
    schemes = [(entry.action, entry.schemes) for entry in gateway.sandbox.gateway.log]
    assert schemes == [("chat", ("Bearer",)), ("unpaid", ()), ("open", ("Payment",))]
