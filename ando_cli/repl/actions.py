"""What the commands of a conversation do."""

from __future__ import annotations

import json
import tempfile
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ando_cli.config.settings import KEY_RAIL, MPP_RAIL, RAILS
from ando_cli.conversation.model import from_json
from ando_cli.errors import UsageError
from ando_cli.files import TooLargeError, parse_json, read_bounded, replace_private
from ando_cli.inference.prompt import PLANS
from ando_cli.money import amount, parse_amount
from ando_cli.redact import clean, short
from ando_cli.repl import slash, status
from ando_cli.runtime.models import known_models
from ando_cli.terminal.editor import edit

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from ando_cli.config.settings import Settings
    from ando_cli.conversation.model import Message
    from ando_cli.repl.keyboard import Word
    from ando_cli.repl.loop import Repl

LARGEST_FILE = 16 * 1024 * 1024
"""The most bytes of a file to load."""

_MOST_OFFERS = 100
_NONE = "-"


def offers(text: str, settings: Settings) -> Iterable[Word]:
    """Return the completions of a command that is being typed."""
    if not text.startswith("/") or text.startswith("//") or "\n" in text:
        return []
    name, space, argument = text[1:].partition(" ")
    if not space:
        commands = [(f"/{command.name}", command.help) for command in slash.COMMANDS.values()]
        return [word for word in commands if word[0].startswith(text)]
    choices: Iterable[str] = {"plan": PLANS, "rail": RAILS}.get(name, ())
    if name == "model":
        choices = [clean(name, 100) for name in known_models(settings.folders)]
    elif name in ("save", "load"):
        choices = _files(argument)
    return [(choice, "") for choice in choices if choice.lower().startswith(argument.lower())][:_MOST_OFFERS]


def _files(begun: str) -> Iterable[str]:
    """Return the paths that ``begun`` can become; none with a space, which would complete as a separate word."""
    folder, slash_, name = begun.rpartition("/")
    with suppress(OSError, UsageError):
        for path in sorted(_path(folder + slash_ or ".").iterdir()):
            if path.name.startswith(name) and (name or not path.name.startswith(".")) and " " not in path.name:
                yield f"{folder}{slash_}{clean(path.name, 200)}{'/' if path.is_dir() else ''}"


def _help(repl: Repl, _: str) -> None:
    repl.screen.say(slash.help_text(repl.screen.look.width))


def _model(repl: Repl, argument: str) -> None:
    if argument:
        _set(repl, model=None if argument == _NONE else argument)
    model = repl.conversation.options.model
    nothing = "none yet: /model NAME" if repl.conversation.rail == KEY_RAIL else "the gateway picks one"
    repl.screen.say(f"model: {clean(model, 100) if model else nothing}")


def _plan(repl: Repl, argument: str) -> None:
    if repl.conversation.rail == KEY_RAIL:
        raise UsageError("only the paid route has plans", hint="/rail mpp pays from the channel")
    if argument:
        named = next((plan for plan in PLANS if plan.lower() == argument.lower()), None)
        if named is None and argument != _NONE:
            raise UsageError("the plan is unknown", hint=f"choose one of {', '.join(PLANS)}")
        _set(repl, plan=named)
    plan = repl.conversation.options.plan
    repl.screen.say(f"plan: {plan or f'{PLANS[0]}, the default'}")


def _system(repl: Repl, argument: str) -> None:
    if argument:
        _set(repl, system=None if argument == _NONE else argument)
    repl.screen.say(f"system: {repl.conversation.options.system or 'none'}")


def _set(repl: Repl, **options: Any) -> None:
    conversation = repl.conversation
    repl.change(replace(conversation, options=replace(conversation.options, **options)))


def _rail(repl: Repl, argument: str) -> None:
    if argument:
        if argument not in RAILS:
            raise UsageError("the rail is unknown", hint="write /rail mpp or /rail key")
        repl.talk.client(argument)  # without a key, fail now rather than at the next question
        repl.change(replace(repl.conversation, rail=argument))
    ways = {MPP_RAIL: "paid from the channel", KEY_RAIL: "paid with a Virtual Key"}
    repl.screen.say(f"rail: {repl.conversation.rail}, {ways[repl.conversation.rail]}")
    if repl.conversation.rail == KEY_RAIL and not repl.conversation.options.model:
        repl.screen.say("a Virtual Key needs a model: /model NAME")


def _usage(repl: Repl, _: str) -> None:
    channel = repl.channel() if repl.conversation.rail == MPP_RAIL else None
    repl.screen.say(status.usage_text(repl.conversation, channel, repl.settings.network.token_symbol))


def _session(repl: Repl, _: str) -> None:
    channel = repl.talk.look_for_channel()
    if repl.conversation.rail == KEY_RAIL:
        repl.screen.say("a Virtual Key pays, not a channel")
    elif channel is None:
        repl.screen.say("no channel yet: the first question opens one")
    else:
        repl.screen.say(status.session_text(channel, repl.settings.network.token_symbol, short(channel.channel_id)))


def _topup(repl: Repl, argument: str) -> None:
    if repl.conversation.rail == KEY_RAIL:
        raise UsageError("a Virtual Key pays, not a channel", hint="/rail mpp pays from the channel")
    by = parse_amount(argument, "the amount")
    try:
        with repl.screen.turn():
            channel = repl.talk.top_up(by)
    except KeyboardInterrupt:
        repl.screen.say("cancelled: a top-up that was sent still happens; the next question finds it")
        return
    repl.screen.say(f"deposit {amount(channel.deposit)}, left {amount(channel.left)}")


def _save(repl: Repl, argument: str) -> None:
    path = _path(argument)
    conversation = repl.conversation
    if path.suffix.lower() in (".md", ".markdown"):
        data = conversation.to_markdown()
    else:
        data = json.dumps(conversation.to_json(), ensure_ascii=False, indent=1) + "\n"
    if path.exists() and not repl.screen.ask(f"{path} exists already. Overwrite it?"):
        repl.screen.say("nothing was written")
        return
    try:
        replace_private(path, data.encode(errors="replace"))
    except OSError as error:
        raise UsageError(f"cannot write {path}: {error.strerror}", hint="give another file") from None
    repl.screen.say(f"written to {path}")


def _load(repl: Repl, argument: str) -> None:
    path = _path(argument)
    try:
        conversation = from_json(parse_json(read_bounded(path, LARGEST_FILE)))
    except TooLargeError:
        what = f"{path} is larger than {LARGEST_FILE // 1024 // 1024} MiB"
        raise UsageError(what, hint="give another file") from None
    except OSError as error:
        raise UsageError(f"cannot read {path}: {error.strerror}", hint="check the file's name") from None
    except ValueError:
        raise UsageError(f"{path} is not JSON", hint="load a JSON file that /save wrote") from None
    # The user decides how to pay, not a file.
    repl.begin(replace(conversation, rail=repl.conversation.rail))
    turns = conversation.turns
    repl.screen.say(f"continuing after {turns} turn{'' if turns == 1 else 's'}: {conversation.title}")


def _path(argument: str) -> Path:
    quoted = len(argument) > 1 and argument[0] == argument[-1] and argument[0] in "\"'"
    try:
        return Path(argument[1:-1] if quoted else argument).expanduser()
    except RuntimeError:
        raise UsageError("there is no such home folder", hint="write the whole path") from None


def _retry(repl: Repl, _: str) -> None:
    question, after = _again(repl)
    repl.ask(question, after)


def _undo(repl: Repl, _: str) -> None:
    if repl.unanswered is not None:
        repl.unanswered = None
        repl.screen.say("removed the question without an answer; nothing else changed")
        return
    question = _last(repl)
    repl.change(repl.conversation.undone())
    repl.screen.say(f"removed: {clean(question, 60)}")


def _edit(repl: Repl, _: str) -> None:
    before, said = _again(repl)
    with tempfile.TemporaryDirectory(prefix="ando-") as folder:
        path = Path(folder) / "question.md"
        path.write_text(before, encoding="utf-8", errors="replace")
        edit(path, repl.screen.environ)
        after = path.read_text(encoding="utf-8", errors="replace").strip()
    if after in ("", before.strip()):
        repl.screen.say("nothing was changed or asked")
        return
    repl.screen.say("\n".join(f"> {line}" for line in after.splitlines()))
    repl.ask(after, said)


def _clear(repl: Repl, _: str) -> None:
    repl.begin(repl.conversation.cleared())
    repl.screen.say("started a new conversation")


def _again(repl: Repl) -> tuple[str, tuple[Message, ...]]:
    """Return the last question, and the conversation before it."""
    if repl.unanswered is not None:
        return repl.unanswered.question, repl.unanswered.after
    return _last(repl), repl.conversation.undone().messages


def _last(repl: Repl) -> str:
    question = repl.conversation.last_question
    if question is None:
        raise UsageError("nothing was asked yet", hint="/help lists the commands")
    return question


ACTIONS: dict[str, Callable[[Repl, str], None]] = {
    "help": _help,
    "model": _model,
    "plan": _plan,
    "system": _system,
    "rail": _rail,
    "usage": _usage,
    "session": _session,
    "topup": _topup,
    "save": _save,
    "load": _load,
    "retry": _retry,
    "undo": _undo,
    "edit": _edit,
    "clear": _clear,
}
"""What each command does; the loop handles leaving."""
