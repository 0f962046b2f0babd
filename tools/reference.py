"""Turns the command tree into the command reference: one Markdown page a command, and the man page ``ando(1)``.

Both come from ``ando_cli.cli.describe``, so they say what the commands say of themselves.
"""

from __future__ import annotations

import re
import textwrap
from typing import TYPE_CHECKING, Any

from typer.main import get_command

from ando_cli.app import app
from ando_cli.cli.describe import describe
from ando_cli.config.settings import KEYS

if TYPE_CHECKING:
    from collections.abc import Iterator

NOTE = "<!-- Written by tools/docs.py from the command tree. Do not edit it. -->"

SECRETS = {
    "ANDO_HOME": "The folder for configuration and state, instead of the operating system's own.",
    "ANDO_PRIVATE_KEY, TEMPO_PRIVATE_KEY": "The wallet's private key, as hexadecimal digits.",
    "ANDO_KEYSTORE_PASSWORD": "The password of the encrypted keystore file.",
    "ANDO_VIRTUAL_KEY": "The Virtual Key to use, instead of a stored one.",
    "ANDO_NO_AUTO_JSON": "Set to 1, tables stay tables where a program reads stdout.",
    "NO_COLOR": "Set to anything, the output has no colours.",
    "VISUAL, EDITOR": "The editor of `ando config edit` and of `/edit` in a conversation.",
}
"""The variables that are read and that no setting stands behind."""

SEE_ALSO = "The pages of docs/ in the source: sessions, spending, conversations, configuration, json, errors, security."


def tree() -> dict[str, Any]:
    """Return the whole command tree, in the shape of ``describe``."""
    return describe(get_command(app), [])


def command_pages() -> dict[str, str]:
    """Return the Markdown pages by file name: one for each command of the first level, and ``README.md``."""
    described = tree()
    commands = described["command"]["commands"]
    pages = {f"{_word(each)}.md": _page(each, described["exit_codes"]) for each in commands}
    return pages | {"README.md": _index(described)}


def man_page() -> str:
    """Return ``ando(1)`` in the man macros of troff."""
    described = tree()
    lines = [
        f'.TH ANDO 1 "" "ando {described["version"]}" "User Commands"',
        '.\\" Written by tools/docs.py from the command tree. Do not edit it.',
        ".SH NAME",
        "ando \\- buy inference from the Ando gateway, paid from a Tempo payment channel",
        ".SH SYNOPSIS",
        ".B ando",
        "[\\fIOPTIONS\\fR] \\fICOMMAND\\fR ...",
        ".SH DESCRIPTION",
        *_man_text(described["command"]["help"]),
        ".SH COMMANDS",
    ]
    for command in _flat(described["command"]):
        if not command.get("commands"):
            lines += _man_command(command)
    lines.append(".SH GLOBAL OPTIONS")
    lines += ["These options stand before or after the command."]
    lines += _man_options(described["global_options"])
    lines.append(".SH EXIT STATUS")
    for code, meaning in described["exit_codes"].items():
        lines += [".TP", f".B {code}", _roff(_sentence(meaning))]
    lines.append(".SH ENVIRONMENT")
    for name, text in _variables():
        lines += [".TP", f".B {_roff(name)}", _roff(text)]
    lines += [".SH EXAMPLES", *_man_examples(described["command"].get("examples", []))]
    lines += [".SH SEE ALSO", _roff(SEE_ALSO)]
    return "\n".join(lines) + "\n"


def _index(described: dict[str, Any]) -> str:
    lines = [
        "# Commands",
        "",
        NOTE,
        "",
        _markdown(described["command"]["help"]),
        "",
        "```console",
        "$ ando [OPTIONS] COMMAND ...",
        "```",
        "",
        "| Command | What it does |",
        "| --- | --- |",
    ]
    for command in described["command"]["commands"]:
        lines.append(f"| [`{command['name']}`]({_word(command)}.md) | {_markdown(_first(command['help']))} |")
        for child in command.get("commands", []):
            lines.append(f"| [`{child['name']}`]({_link(child)}) | {_markdown(_first(child['help']))} |")
    lines += ["", "## Global options", "", "These options stand before or after the command.", ""]
    lines += _options(described["global_options"])
    lines += ["", "## Exit codes", "", *_exit_codes(described["exit_codes"]), ""]
    return "\n".join(lines)


def _page(command: dict[str, Any], codes: dict[str, str]) -> str:
    lines = [f"# {command['name']}", "", NOTE, "", *_body(command)]
    children = command.get("commands", [])
    if children:
        lines += ["| Command | What it does |", "| --- | --- |"]
        lines += [f"| [`{each['name']}`](#{_anchor(each)}) | {_markdown(_first(each['help']))} |" for each in children]
        lines.append("")
    for child in children:
        lines += [f"## {child['name']}", "", *_body(child)]
    lines += ["## Exit codes", "", *_exit_codes(codes), ""]
    lines += ["The [global options](README.md#global-options) apply as well.", ""]
    return "\n".join(lines)


def _body(command: dict[str, Any]) -> list[str]:
    """What a command is, takes and looks like, under a heading that the caller wrote."""
    lines = [_markdown(command["help"]), "", "```console", f"$ {usage(command)}", "```", ""]
    if command.get("arguments"):
        lines += ["| Argument | Meaning |", "| --- | --- |"]
        lines += [f"| `{_cell(each['name'])}` | {_markdown(each.get('help', ''))} |" for each in command["arguments"]]
        lines.append("")
    if command.get("options"):
        lines += [*_options(command["options"]), ""]
    if command.get("examples"):
        lines += ["Examples:", "", "```console"]
        lines += [f"$ {line}" for line in command["examples"]]
        lines += ["```", ""]
    return lines


def usage(command: dict[str, Any]) -> str:
    """Return the line that shows how ``command`` is called, from its description."""
    words = [command["name"]]
    if command.get("options"):
        words.append("[OPTIONS]")
    if command.get("commands"):
        words.append("COMMAND ...")
    for argument in command.get("arguments", []):
        name = argument["name"] + ("..." if argument.get("repeatable") else "")
        words.append(name if argument.get("required") else f"[{name}]")
    return " ".join(words)


def _options(options: list[dict[str, Any]]) -> list[str]:
    rows = ["| Option | Meaning |", "| --- | --- |"]
    for option in options:
        names = ", ".join(f"`{name}`" for name in option["names"])
        value = f" `{_cell(option['value'])}`" if "value" in option else ""
        rows.append(f"| {names}{value} | {' '.join(_remarks(option, code='`'))} |")
    return rows


def _remarks(option: dict[str, Any], code: str = "") -> Iterator[str]:
    """Yield what is to be said of an option: its help, and what its default, variable and nature are."""
    text = option.get("help", "").rstrip(".")
    if text:
        yield _markdown(f"{text}.") if code else f"{text}."
    if option.get("required"):
        yield "Required."
    if option.get("repeatable") and "repeat" not in text:
        yield "Repeatable."
    if "default" in option:
        yield f"Default: {code}{option['default']}{code}."
    if "env" in option:
        yield f"Environment: {', '.join(f'{code}{name}{code}' for name in option['env'])}."


def _exit_codes(codes: dict[str, str]) -> list[str]:
    return ["| Code | Meaning |", "| --- | --- |", *(f"| {code} | {_sentence(text)} |" for code, text in codes.items())]


def _variables() -> Iterator[tuple[str, str]]:
    for key in KEYS.values():
        yield key.variable, key.help
    yield from SECRETS.items()


def _man_command(command: dict[str, Any]) -> list[str]:
    lines = [f".SS {_roff(usage(command))}", *_man_text(command["help"])]
    for argument in command.get("arguments", []):
        lines += [".TP", f".I {_roff(argument['name'])}", _roff(argument.get("help", ""))]
    lines += _man_options(command.get("options", []))
    if command.get("examples"):
        lines += [".PP", "Examples:", *_man_examples(command["examples"])]
    return lines


def _man_options(options: list[dict[str, Any]]) -> list[str]:
    lines = []
    for option in options:
        names = ", ".join(rf"\fB{_roff(name)}\fR" for name in option["names"])
        value = rf" \fI{_roff(option['value'])}\fR" if "value" in option else ""
        lines += [".TP", names + value, _roff(" ".join(_remarks(option)))]
    return lines


def _man_examples(examples: list[str]) -> list[str]:
    code = [_roff(line) for example in examples for line in example.splitlines()]
    return [".PP", ".nf", ".RS", *code, ".RE", ".fi"]


def _man_text(text: str) -> list[str]:
    lines: list[str] = []
    for paragraph in text.split("\n\n"):
        lines += [".PP", *(_roff(line) for line in textwrap.wrap(paragraph, 100, break_on_hyphens=False))]
    return lines


def _roff(text: str) -> str:
    """Return ``text`` so that troff shows it as it is."""
    escaped = text.replace("\\", "\\e").replace("-", "\\-").replace("`", "\\(ga")
    escaped = "\n".join(rf"\&{line}" if line.startswith((".", "'")) else line for line in escaped.splitlines())
    return escaped.replace('"', "\\(dq").replace("\u2026", "...")


def _markdown(text: str) -> str:
    """Return ``text`` with what is typed in it set as code, and nothing in it that Markdown or a table reads."""
    marked = re.sub(r"(?<![\w`/-])(--?[a-z][a-z-]*)(?![\w`-])", r"`\1`", text)
    return _cell(marked.replace("<", "&lt;"))


def _cell(text: str) -> str:
    return text.replace("|", "\\|")


def _sentence(text: str) -> str:
    return f"{text[:1].upper()}{text[1:].rstrip('.')}."


def _first(text: str) -> str:
    """The first sentence of a help text."""
    return re.split(r"(?<=\.)\s", text, maxsplit=1)[0]


def _flat(command: dict[str, Any]) -> Iterator[dict[str, Any]]:
    for child in command.get("commands", []):
        yield child
        yield from _flat(child)


def _word(command: dict[str, Any]) -> str:
    return str(command["name"]).split()[1]


def _anchor(command: dict[str, Any]) -> str:
    return str(command["name"]).replace(" ", "-")


def _link(command: dict[str, Any]) -> str:
    return f"{_word(command)}.md#{_anchor(command)}"
