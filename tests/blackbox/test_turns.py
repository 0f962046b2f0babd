"""The turns of a conversation: what goes over the wire, and what is left when one is given up."""

from __future__ import annotations

import io
import os
import socket
import subprocess
import sys
import time
from contextlib import contextmanager
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from ando_cli.conversation.model import Conversation
from ando_cli.conversation.talk import Talk
from ando_cli.errors import AndoError, PaymentError
from ando_cli.inference.prompt import Prompt
from ando_cli.runtime.context import Invocation
from ando_cli.runtime.wiring import PayOptions, assemble
from ando_cli.sandbox.faults import Fault
from ando_cli.terminal.output import Terminal

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.support.cli_box import Gateway

ON_CHANNEL = Conversation(options=Prompt(max_tokens=8))
WITH_KEY = Conversation("key", Prompt(model="Qwen/Qwen3-8B-AWQ", max_tokens=8))


class Impatient(Terminal):
    """A terminal at which Ctrl-C is pressed when the waiting for somebody has begun as often as ``patience`` says."""

    patience = 1_000_000

    @contextmanager
    def progress(self) -> Iterator[None]:
        self.patience -= 1
        if self.patience < 0:
            self.patience = 1_000_000
            raise KeyboardInterrupt
        yield


@pytest.fixture
def connections(monkeypatch: pytest.MonkeyPatch) -> list[Any]:
    """The connections that this process has made."""
    made: list[Any] = []
    connect = socket.create_connection

    def noted(*arguments: Any, **named: Any) -> socket.socket:
        made.append(arguments[0])
        return connect(*arguments, **named)

    monkeypatch.setattr(socket, "create_connection", noted)
    return made


@pytest.fixture
def talk(warm: Gateway) -> Iterator[Talk]:
    """Somebody who talks to a gateway where a channel is open, with a Virtual Key too."""
    environ = {**warm.box.environment, "ANDO_VIRTUAL_KEY": warm.sandbox.virtual_key}
    terminal = Impatient(io.StringIO(), io.StringIO(), io.StringIO(), environ)
    options = PayOptions(assume_yes=True)
    state = Invocation(terminal, environ)
    with assemble(state, options) as parts:
        yield Talk(state, parts, options)


def ask(talk: Talk, conversation: Conversation, question: str = "hello") -> Conversation:
    turn = talk.turn(conversation, question)
    turn.run(lambda _: None)
    return conversation.answered(question, turn.text, turn.usage)


def test_a_turn_is_two_round_trips_from_a_channel_and_one_with_a_key_on_one_connection_each(
    warm: Gateway, talk: Talk, connections: list[Any]
) -> None:
    conversation = ON_CHANNEL
    for turn in range(3):
        conversation = ask(talk, conversation)
        assert warm.actions == ["unpaid", "voucher"] * (turn + 1)
    assert len(connections) == 1
    warm.forget_log()
    conversation = replace(WITH_KEY, messages=conversation.messages)
    for turn in range(3):
        conversation = ask(talk, conversation)
        assert warm.actions == ["chat"] * (turn + 1)
    ask(talk, ON_CHANNEL)
    assert len(connections) == 2
    assert conversation.turns == 6


def test_topping_up_takes_the_channel_that_pays(warm: Gateway, talk: Talk) -> None:
    ask(talk, ON_CHANNEL)
    before = talk.channel
    after = talk.top_up(1_000_000)
    assert before is not None
    assert (after.channel_id, after.deposit) == (before.channel_id, before.deposit + 1_000_000)
    assert talk.look_for_channel() == after
    with pytest.raises(PaymentError, match="max_deposit"):
        talk.top_up(6_000_000)


@pytest.mark.parametrize("conversation", [ON_CHANNEL, WITH_KEY], ids=["channel", "key"])
def test_an_answer_comes_in_pieces_where_the_route_can_do_that(talk: Talk, conversation: Conversation) -> None:
    pieces: list[str] = []
    turn = talk.turn(conversation, "hello")
    turn.run(pieces.append)
    assert "".join(pieces) == turn.text
    assert (len(pieces) > 3) is (conversation is WITH_KEY)
    assert turn.usage.completion_tokens == 8
    assert (turn.paid is not None) is (conversation is ON_CHANNEL)


@pytest.mark.parametrize(
    ("conversation", "patience", "charged", "outcomes"),
    [
        (ON_CHANNEL, 0, False, []),
        (ON_CHANNEL, 1, True, ["unknown"]),
        (WITH_KEY, 0, True, ["unknown"]),
        (WITH_KEY, 1, True, ["unknown"]),
        (WITH_KEY, 4, True, ["unknown"]),
    ],
)
def test_a_turn_that_is_given_up_is_on_record_as_far_as_it_came_and_the_next_one_works(
    warm: Gateway, talk: Talk, conversation: Conversation, patience: int, charged: bool, outcomes: list[str]
) -> None:
    known = len(warm.box.records()["ledger"])
    talk.terminal.patience = patience  # type: ignore[attr-defined]
    turn = talk.turn(conversation, "hello")
    with pytest.raises(KeyboardInterrupt):
        turn.run(lambda _: None)
    assert turn.may_be_charged is charged
    rows = warm.box.records()["ledger"][known:]
    assert [next(value for value in row if value in ("unknown", "failed", "answered")) for row in rows] == outcomes
    assert warm.box.records()["claims"] == []
    assert ask(talk, conversation).turns == 1


@pytest.mark.parametrize(
    ("conversation", "fault", "charged"),
    [
        (ON_CHANNEL, Fault(on="voucher", code="mpp_commit_failed"), True),
        (ON_CHANNEL, Fault(on="voucher", code="mpp_payer_not_allowed"), False),
        (ON_CHANNEL, Fault(on="unpaid", status=500), False),
        (WITH_KEY, Fault(on="chat", status=401), False),
        (WITH_KEY, Fault(on="chat", stream={"break_after": 3}), True),
        (WITH_KEY, Fault(on="chat", stream={"error_after": 3}), False),
    ],
)
def test_a_turn_that_fails_says_whether_it_may_be_charged(
    warm: Gateway, talk: Talk, conversation: Conversation, fault: Fault, charged: bool
) -> None:
    warm.fail(fault)
    turn = talk.turn(conversation, "hello")
    with pytest.raises(AndoError):
        turn.run(lambda _: None)
    assert turn.may_be_charged is charged
    assert ask(talk, conversation).turns == 1


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux tells cheaply of a zombie")
def test_the_claim_of_a_killed_process_that_nobody_has_waited_for_holds_nobody_up(warm: Gateway) -> None:
    (channel,) = warm.box.records()["channels"]
    claim = (
        "import os, sys; from pathlib import Path; from ando_cli.session.record.store import Store; "
        "from ando_cli.session.traffic import Claim, Hold; "
        "Store(Path(sys.argv[1])).claim(None, Claim(sys.argv[2], 1, sent=True, hold=Hold.EVERYTHING)); "
        "os.kill(os.getpid(), 9)"
    )
    store = warm.box.home / "state" / "sessions.db"
    process = subprocess.Popen([sys.executable, "-c", claim, str(store), str(channel[1])])
    os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOWAIT)
    before = time.monotonic()
    warm.box.run("chat", "hi", "--max-tokens", "8", stdin=b"").worked()
    assert time.monotonic() - before < 30
    process.wait()
