"""Whether a command line that a text shows exists: its command, its options, and a value for each that takes one."""

from __future__ import annotations

import re
import shlex
from typing import Any


def commands_of(tree: dict[str, Any]) -> dict[str, dict[str, Any]]:
    """Every command below ``tree["command"]`` by its full name."""
    found: dict[str, dict[str, Any]] = {}
    waiting = [tree["command"]]
    while waiting:
        command = waiting.pop()
        found[command["name"]] = command
        waiting += command.get("commands", [])
    return found


def calls(line: str) -> list[list[str]]:
    """The calls of ``ando`` in a line of shell, as words, without what they are piped to or written into."""
    plain = re.sub(r'"\$\((.*?)\)"', r"; \1 ;", line.replace("\\\n", " ").replace("\n", " "))
    lexer = shlex.shlex(plain, posix=True, punctuation_chars="|&;()<>")
    lexer.whitespace_split = True
    found: list[list[str]] = []
    current: list[str] | None = None
    begins, skips = True, False
    for word in lexer:
        if set(word) <= set("|&;()"):
            begins, current = True, None
        elif set(word) <= set("<>"):
            skips = True
        elif skips:
            skips = False
        elif begins and re.match(r"[A-Z_]+=", word):
            continue
        elif begins:
            begins = False
            if word == "ando":
                current = []
                found.append(current)
        elif current is not None:
            current.append(word)
    return found


def problem(words: list[str], tree: dict[str, Any]) -> str | None:
    """What is wrong with a call of ``ando``, or ``None``."""
    commands = commands_of(tree)
    command = commands["ando"]
    rest = list(words)
    arguments: list[str] = []
    while rest:
        word = rest.pop(0)
        if not word.startswith("-") or word == "-":
            below = commands.get(f"{command['name']} {word}")
            if below is not None and not arguments:
                command = below
            elif command.get("commands"):
                return f"{command['name']} has no command {word}"
            else:
                arguments.append(word)
            continue
        name, _, value = word.partition("=")
        options = {each: option for option in [*tree["global_options"], *command.get("options", [])]
                   for each in option["names"]}  # fmt: skip
        names = [name] if name.startswith("--") or name in options else [f"-{letter}" for letter in name[1:]]
        for each in names:
            if each not in options:
                return f"{command['name']} has no option {each}"
            if options[each]["type"] != "flag" and not value:
                if not rest:
                    return f"{each} takes a value"
                rest.pop(0)
    taken = command.get("arguments", [])
    if "--describe" not in words and len(arguments) < sum(bool(each.get("required")) for each in taken):
        return f"{command['name']} lacks an argument"
    if len(arguments) > len(taken) and not any(each.get("repeatable") for each in taken):
        return f"{command['name']} takes no {arguments[-1]}"
    return None
