"""The commands of a conversation: ``/help`` and the others. Pure; ``actions`` runs them."""

from __future__ import annotations

import re
from difflib import get_close_matches
from textwrap import fill

from ando_cli.errors import UsageError
from ando_cli.frozen import frozen


@frozen
class Command:
    """One command. ``argument`` is how its argument is shown; ``takes`` is ``no``, ``may`` or ``must``."""

    name: str
    argument: str
    help: str
    takes: str = "no"


COMMANDS = {
    command.name: command
    for command in (
        Command("help", "", "Show these commands."),
        Command("model", "[NAME|-]", "Show the model, or use another one; - lets the gateway pick.", "may"),
        Command("plan", "[NAME|-]", "Show the plan, or use another one: Starter, Plus, Premium.", "may"),
        Command("system", "[TEXT|-]", "Show the system message, or set it; - removes it.", "may"),
        Command("rail", "[mpp|key]", "Show the rail, or use another one: mpp, key.", "may"),
        Command("usage", "", "Show what this conversation used and cost."),
        Command("session", "", "Show the channel that pays."),
        Command("topup", "AMOUNT", "Add to the channel's deposit, such as 2.50.", "must"),
        Command("save", "FILE", "Write this conversation to a file: .md for Markdown, else JSON.", "must"),
        Command("load", "FILE", "Continue a conversation from a JSON file.", "must"),
        Command("retry", "", "Ask the last question again."),
        Command("undo", "", "Remove the last question and its answer."),
        Command("edit", "", "Edit the last question in $EDITOR, and ask it again."),
        Command("clear", "", "Start a new conversation."),
        Command("exit", "", "Leave; Ctrl-D does the same."),
    )
}

KEYS_HELP = """\
Enter sends, Alt-Enter starts another line, Up recalls earlier input.
Ctrl-C cancels an answer or clears the line. // begins a text with a slash."""


@frozen
class Said:
    """A question to ask."""

    text: str


@frozen
class Called:
    """A command."""

    name: str
    argument: str = ""


def read(line: str) -> Said | Called | None:
    """Parse a typed line: a question, a command, or nothing.

    Raises:
        UsageError: the command does not exist, or its argument is wrong.
    """
    text = line.strip()
    if not text:
        return None
    if text.startswith("//"):
        return Said(text[1:])
    found = re.fullmatch(r"/([A-Za-z]*)(?:\s+(.*))?", text, re.DOTALL)
    if found is None:  # perhaps a path or a code comment
        return Said(text)
    name, argument = found[1].lower(), (found[2] or "").strip()
    name = "exit" if name == "quit" else name
    command = COMMANDS.get(name)
    if command is None:
        meant = get_close_matches(name, COMMANDS, n=1)
        hint = f"did you mean /{meant[0]}?" if meant else "/help lists the commands; // begins a text with a slash"
        raise UsageError(f"there is no command /{name[:40]}", hint=hint)
    if argument and command.takes == "no":
        raise UsageError(f"/{name} takes no argument", hint=f"write /{name} alone; // begins a text with a slash")
    if not argument and command.takes == "must":
        raise UsageError(f"/{name} needs an argument", hint=f"write /{name} {command.argument}")
    return Called(name, argument)


def help_text(width: int) -> str:
    """Return the commands and the keys, in a table of at most ``width`` columns."""
    column = max(len(f"/{command.name} {command.argument}") for command in COMMANDS.values()) + 2
    lines = []
    for command in COMMANDS.values():
        usage = f"/{command.name} {command.argument}".rstrip()
        if width < column + 30:
            lines += [usage, fill(command.help, width, initial_indent="    ", subsequent_indent="    ")]
        else:
            lines.append(fill(command.help, width, initial_indent=usage.ljust(column), subsequent_indent=" " * column))
    keys = "\n".join(fill(line, width) for line in KEYS_HELP.splitlines())
    return "\n".join([*lines, "", keys])
