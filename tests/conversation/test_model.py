"""A conversation as data: what a turn adds, what undoing takes away, and its way into a file and back."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ando_cli.conversation.model import ASSISTANT, USER, Conversation, Message, Totals, from_json
from ando_cli.errors import UsageError
from ando_cli.inference.prompt import Prompt
from ando_cli.inference.usage import Usage

NOTHING = Usage()
SPOKEN = Conversation().answered("one?", "1", Usage(10, 3, 4)).answered("two?", "2", Usage(20, 5, 6))

TEXTS = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NAMES = TEXTS.filter(bool)
COUNTS = st.integers(0, 2**40)
PROMPTS = st.builds(
    Prompt,
    system=st.none() | NAMES,
    model=st.none() | NAMES,
    plan=st.none() | st.sampled_from(["Starter", "Plus"]),
    max_tokens=st.none() | st.integers(1, 9999),
    temperature=st.none() | st.floats(0, 2),
    top_p=st.none() | st.floats(0, 1),
    seed=st.none() | st.integers(),
    stop=st.lists(TEXTS, max_size=2).map(tuple),
    extra=st.dictionaries(st.sampled_from(["logit_bias", "user"]), st.integers() | TEXTS, max_size=2),
)
CONVERSATIONS = st.builds(
    Conversation,
    rail=st.sampled_from(["mpp", "key"]),
    options=PROMPTS,
    messages=st.lists(st.builds(Message, st.sampled_from([USER, ASSISTANT]), TEXTS), max_size=5).map(tuple),
    totals=st.builds(Totals, COUNTS, COUNTS, COUNTS, COUNTS),
)


def test_a_question_is_asked_with_all_that_was_said_before() -> None:
    conversation = SPOKEN.with_options(Prompt(system="count"))
    assert [(message["role"], message["content"]) for message in conversation.asking("three?")] == [
        ("system", "count"), ("user", "one?"), ("assistant", "1"), ("user", "two?"), ("assistant", "2"),
        ("user", "three?"),
    ]  # fmt: skip
    assert conversation.turns == 2, "asking says nothing yet"


def test_an_answer_adds_what_it_took() -> None:
    assert SPOKEN.totals == Totals(spent=30, prompt_tokens=8, completion_tokens=10)
    assert SPOKEN.answered("x", "y", NOTHING).totals == SPOKEN.totals


def test_undoing_takes_the_last_question_and_its_answer_but_not_what_they_cost() -> None:
    once = SPOKEN.undone()
    assert once.messages == Conversation().answered("one?", "1", NOTHING).messages
    assert once.totals == SPOKEN.totals
    assert SPOKEN.undone().undone().undone().messages == ()
    assert (SPOKEN.last_question, once.last_question, once.undone().last_question) == ("two?", "one?", None)


def test_a_lost_answer_is_counted_until_a_receipt_tells_all_that_was_spent() -> None:
    lost = Totals().after_loss().after_loss()
    assert lost.unknown == 2
    assert lost.after(Usage(None, 1, 1)).unknown == 2
    assert lost.after(Usage(70, 1, 1)) == Totals(70, 1, 1, 0)


def test_options_that_are_given_replace_those_before_and_further_members_are_added() -> None:
    before = Conversation().with_options(Prompt(model="a", system="s", stop=("x",), extra={"k": 1, "l": 2}))
    after = before.with_options(Prompt(text="not an option", model="b", extra={"k": 3}))
    assert after.options == Prompt(model="b", system="s", stop=("x",), extra={"k": 3, "l": 2})


def test_the_title_is_the_first_question_on_one_line() -> None:
    assert Conversation().answered("what\nis \x1b[31m" + "long " * 40, "", NOTHING).title.startswith("what is [31mlong")
    assert len(Conversation().answered("long " * 40, "", NOTHING).title) <= 60
    assert Conversation().title == ""


def test_halves_of_characters_are_joined_or_replaced_so_that_what_is_kept_can_be_sent_again() -> None:
    answered = Conversation().answered("q\udcff", "\ud83d\ude00 \ud83d", NOTHING)
    assert [message.content for message in answered.messages] == ["q\ufffd", "😀 \ufffd"]


@given(CONVERSATIONS)
def test_a_conversation_survives_the_way_into_a_file_and_back(conversation: Conversation) -> None:
    assert from_json(json.loads(json.dumps(conversation.to_json()))) == conversation


def test_what_is_not_set_is_not_written() -> None:
    assert set(Conversation().to_json()) == {
        "rail", "messages", "spent", "prompt_tokens", "completion_tokens", "unknown"
    }  # fmt: skip


def test_any_chat_request_can_be_gone_on_with() -> None:
    request = {
        "model": "m", "stop": "x", "stream": False,
        "messages": [{"role": "system", "content": "s"}, {"role": "user", "content": "q"}],
    }  # fmt: skip
    read = from_json(request)
    assert read.options == Prompt(model="m", system="s", stop=("x",))
    assert read.messages == (Message(USER, "q"),)


@pytest.mark.parametrize(
    "value",
    [
        None,
        [],
        {},
        {"messages": "hi"},
        {"messages": [{"role": "tool", "content": "x"}]},
        {"messages": [{"role": "user", "content": [{"type": "text"}]}]},
        {"messages": [{"role": "user", "content": "q"}, {"role": "system", "content": "late"}]},
        {"messages": [], "rail": "train"},
        {"messages": [], "model": 7},
        {"messages": [], "max_tokens": True},
        {"messages": [], "stop": [1]},
        {"messages": [], "set": {"stream": True}},
        {"messages": [], "set": ["k"]},
        {"messages": [], "spent": "-1"},
        {"messages": [], "prompt_tokens": -1},
    ],
)
def test_what_is_no_conversation_is_refused(value: Any) -> None:
    with pytest.raises(UsageError, match="not a conversation"):
        from_json(value)


@given(
    st.recursive(st.none() | st.booleans() | st.integers() | TEXTS, lambda inner: st.dictionaries(
        st.sampled_from(["messages", "role", "content", "rail", "stop", "set", "spent", "seed"]) | TEXTS, inner
    ) | st.lists(inner), max_leaves=8)
)  # fmt: skip
def test_anything_is_read_or_refused(value: Any) -> None:
    try:
        read = from_json(value)
    except UsageError:
        return
    assert from_json(read.to_json()) == read


def test_as_markdown_it_can_be_read_by_others() -> None:
    assert SPOKEN.with_options(Prompt(system="count")).to_markdown().splitlines()[::2] == [
        "# one?", "## System", "count", "## Question", "one?", "## Answer", "1", "## Question", "two?", "## Answer", "2"
    ]  # fmt: skip
