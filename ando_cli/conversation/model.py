"""A conversation as data: its messages, options and cost. Pure; no I/O.

A conversation changes by whole exchanges: a question joins it once it is answered. A turn that fails or is cancelled
does not change it.
"""

from __future__ import annotations

from dataclasses import field, fields, replace
from typing import TYPE_CHECKING, Any

from ando_cli.config.settings import MPP_RAIL, RAILS
from ando_cli.errors import UsageError
from ando_cli.frozen import frozen
from ando_cli.inference.prompt import OPTION_OF, Prompt
from ando_cli.money import amount, parse_amount
from ando_cli.redact import clean

if TYPE_CHECKING:
    from collections.abc import Mapping

    from ando_cli.inference.usage import Usage

USER, ASSISTANT, SYSTEM = "user", "assistant", "system"
_TITLE_LENGTH = 60
_SHAPES: dict[str, tuple[type, ...]] = {
    "model": (str,), "plan": (str,), "system": (str,), "max_tokens": (int,), "temperature": (int, float),
    "top_p": (int, float), "seed": (int,),
}  # fmt: skip
"""The options that hold one value, and the value's type in JSON."""


@frozen
class Message:
    """A message by ``USER`` or ``ASSISTANT``."""

    role: str
    content: str


@frozen
class Totals:
    """What a conversation used and cost so far, including undone turns: ``spent`` in base units, and tokens.

    ``unknown`` counts the turns whose cost is not reported yet.
    """

    spent: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    unknown: int = 0

    def after(self, usage: Usage) -> Totals:
        """Return the totals with one more answer. Its receipt also covers earlier unknown costs."""
        return Totals(
            self.spent + (usage.spent or 0),
            self.prompt_tokens + (usage.prompt_tokens or 0),
            self.completion_tokens + (usage.completion_tokens or 0),
            self.unknown if usage.spent is None else 0,
        )

    def after_loss(self) -> Totals:
        """Return the totals with a turn that may have been charged but has no answer."""
        return replace(self, unknown=self.unknown + 1)


@frozen
class Conversation:
    """The messages, and how to ask the next question.

    Attributes:
        rail: the way to pay.
        options: the system message, the model, the plan and the sampling options; no prompt.
    """

    rail: str = MPP_RAIL
    options: Prompt = field(default_factory=Prompt)
    messages: tuple[Message, ...] = ()
    totals: Totals = Totals()

    @property
    def title(self) -> str:
        """Its first words, on one line."""
        first = next((message.content for message in self.messages if message.role == USER), "")
        return clean(first, _TITLE_LENGTH)

    @property
    def turns(self) -> int:
        """The number of questions that were answered."""
        return sum(message.role == USER for message in self.messages)

    @property
    def last_question(self) -> str | None:
        """The last question that was answered."""
        return next((message.content for message in reversed(self.messages) if message.role == USER), None)

    def asking(self, question: str) -> list[dict[str, Any]]:
        """Return the messages of a request that asks ``question``, in the routes' format."""
        said = [(SYSTEM, self.options.system)] if self.options.system else []
        said += [(message.role, message.content) for message in self.messages]
        return [{"role": role, "content": content} for role, content in (*said, (USER, question))]

    def answered(self, question: str, answer: str, usage: Usage) -> Conversation:
        """Return the conversation with one more exchange."""
        exchange = (Message(USER, _whole(question)), Message(ASSISTANT, _whole(answer)))
        return replace(self, messages=(*self.messages, *exchange), totals=self.totals.after(usage))

    def undone(self) -> Conversation:
        """Return the conversation without the last question and its answer. Its cost stays counted."""
        asked = [index for index, message in enumerate(self.messages) if message.role == USER]
        return replace(self, messages=self.messages[: asked[-1]] if asked else ())

    def cleared(self) -> Conversation:
        """Return an empty conversation with the same options."""
        return replace(self, messages=(), totals=Totals())

    def with_options(self, given: Prompt) -> Conversation:
        """Return the conversation with the options of ``given`` in place of its own."""
        named = {member.name: getattr(given, member.name) for member in fields(given) if member.name != "text"}
        changed = {name: value for name, value in named.items() if value not in (None, (), {})}
        extra = self.options.extra | given.extra
        return replace(self, options=replace(self.options, **changed | {"extra": extra}))

    def to_json(self) -> dict[str, Any]:
        """Return the conversation as a JSON object, which ``from_json`` reads."""
        options, totals = self.options, self.totals
        named = {name: getattr(options, name) for name in _SHAPES}
        named |= {"stop": list(options.stop), "set": dict(options.extra)}
        return {
            "rail": self.rail,
            **{name: value for name, value in named.items() if value not in (None, [], {})},
            "messages": [{"role": message.role, "content": message.content} for message in self.messages],
            "spent": amount(totals.spent),
            "prompt_tokens": totals.prompt_tokens,
            "completion_tokens": totals.completion_tokens,
            "unknown": totals.unknown,
        }

    def to_markdown(self) -> str:
        """Return the conversation as Markdown, for people to read."""
        parts = [f"# {self.title or 'Nothing said yet'}"]
        if self.options.system:
            parts += ["## System", self.options.system.strip()]
        names = {USER: "Question", ASSISTANT: "Answer"}
        for message in self.messages:
            parts += [f"## {names[message.role]}", message.content.strip()]
        return "\n\n".join(parts) + "\n"


def from_json(value: object) -> Conversation:
    """Read a conversation from a JSON object: one of ours, or any chat request with messages.

    Raises:
        UsageError: it is not a conversation.
    """
    if not isinstance(value, dict):
        raise _no_conversation("it is not a JSON object")
    said = value.get("messages")
    if not isinstance(said, list):
        raise _no_conversation("it has no messages")
    messages = [_message(each) for each in said]
    system = _option(value, "system")
    if messages and messages[0].role == SYSTEM:
        system, messages = messages[0].content, messages[1:]
    if any(message.role == SYSTEM for message in messages):
        raise _no_conversation("a system message is not the first message")
    rail = value.get("rail", MPP_RAIL)
    if rail not in RAILS:
        raise _no_conversation("its rail is unknown")
    named = {name: _option(value, name) for name in _SHAPES if name != "system"}
    return Conversation(
        rail=rail,
        options=Prompt(system=system, stop=_stop(value.get("stop")), extra=_extra(value.get("set")), **named),
        messages=tuple(messages),
        totals=Totals(
            _spent(value.get("spent")),
            _count(value.get("prompt_tokens")),
            _count(value.get("completion_tokens")),
            _count(value.get("unknown")),
        ),
    )


def _message(value: object) -> Message:
    role = value.get("role") if isinstance(value, dict) else None
    content = value.get("content") if isinstance(value, dict) else None
    if role not in (USER, ASSISTANT, SYSTEM) or not isinstance(content, str):
        raise _no_conversation("a message is not the text of a user, an assistant or the system")
    return Message(role, _whole(content))


def _option(value: Mapping[str, Any], name: str) -> Any:
    found = value.get(name)
    if found is None or (isinstance(found, _SHAPES[name]) and not isinstance(found, bool)):
        return found
    raise _no_conversation(f"its {name} cannot be read")


def _stop(value: object) -> tuple[str, ...]:
    texts = [value] if isinstance(value, str) else [] if value is None else value
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        raise _no_conversation("its stop cannot be read")
    return tuple(texts)


def _extra(value: object) -> dict[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, dict) or not OPTION_OF.keys().isdisjoint(value):
        raise _no_conversation("its set cannot be read")
    return value


def _spent(value: object) -> int:
    if value is None or value == amount(0):
        return 0
    try:
        return parse_amount(str(value))
    except UsageError:
        raise _no_conversation("what it spent cannot be read") from None


def _count(value: object) -> int:
    if value is None:
        return 0
    if not isinstance(value, int) or isinstance(value, bool) or value < 0:
        raise _no_conversation("its counts cannot be read")
    return value


def _whole(text: str) -> str:
    """Return ``text`` fit to be sent and saved: half characters, which JSON can hold, are joined or replaced."""
    return text.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def _no_conversation(why: str) -> UsageError:
    return UsageError(f"this is not a conversation: {why}", hint='use a JSON object with "messages"')
