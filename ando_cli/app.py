"""The root of the command line: commands that are loaded only when called, and errors turned into exit codes."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Any

import typer
from typer.main import get_command

from ando_cli.cli.form import asked_form
from ando_cli.cli.globals import GlobalOptions
from ando_cli.cli.groups import grouped
from ando_cli.cli.help import examples
from ando_cli.cli.lazy import RootGroup
from ando_cli.errors import AndoError, ExitCode, UsageError
from ando_cli.runtime.context import Invocation
from ando_cli.terminal.output import Terminal

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ando_cli.terminal.streams import Streams

# Name -> the line shown in the list of commands. The module of each is imported only when it is called.
COMMANDS = {
    "chat": "Ask a model, pay for the answer, print it.",
    "conversations": "List, show, export and remove saved conversations.",
    "models": "List the models that a Virtual Key may use.",
    "respond": "Ask on the Responses route (needs a Virtual Key).",
    "think": "Ask on the reasoning route (needs a Virtual Key).",
    "complete": "Complete a text (needs a Virtual Key).",
    "request": "Send any HTTP request, and pay if the server asks for payment.",
    "spend": "Show what was spent, and on what.",
    "session": "Open, top up, inspect and close payment channels.",
    "voucher": "Sign and check vouchers by hand; decode what is sent to pay.",
    "wallet": "Create, import, show, export or remove the wallet key.",
    "key": "Store, show, list or remove Virtual Keys.",
    "config": "Show and change the configuration.",
    "doctor": "Check everything that paying needs, and report what is missing.",
    "completions": "Print the completion script for a shell.",
    "skill": "Print instructions for agents that use ando.",
    "sandbox": "Run a local gateway and chain to try things out. No real money.",
}


class _Root(RootGroup):
    package = "ando_cli.commands"
    names = tuple(COMMANDS)
    lines = COMMANDS


app = typer.Typer(
    name="ando",
    cls=_Root,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Buy inference from the Ando gateway, paid per use from a Tempo payment channel.",
    epilog=examples('ando --sandbox chat "what is the capital of america?"', "ando doctor", "ando --describe session"),
)


@app.callback()
@grouped
def _root(*, options: GlobalOptions) -> None:
    # Each option was recorded in the Invocation as it was parsed, whichever side of the command it stood on.
    pass


def run(argv: Sequence[str], environ: Mapping[str, str] | None = None, streams: Streams | None = None) -> int:
    """Run one command line and return its exit code. Neither a user nor a server can cause a traceback.

    Args:
        argv: the words after ``ando``.
        environ: the environment; without it, the process's own.
        streams: where to read and write; without them, the process's own.
    """
    terminal = Terminal.standard(environ, streams)
    state = Invocation(terminal, terminal.environ)
    if "_ANDO_COMPLETE" in os.environ:
        from ando_cli.cli import completion

        completion.register()
    root: Any = get_command(app)
    as_json, terminal.toon_output = asked_form(root, argv, state)
    terminal.json_output = as_json or terminal.toon_output
    try:
        code = root.main(list(argv), prog_name="ando", standalone_mode=False, obj=state)
    except AndoError as error:
        return terminal.fail(error)
    except typer.Abort:
        return ExitCode.INTERRUPTED
    except typer.TyperException as error:
        return terminal.fail(_usage(error))
    except (BrokenPipeError, SystemExit):
        # The reader went away, as `head` does, which Typer turns into SystemExit: not an error.
        terminal.give_up_stdout()
        return ExitCode.OK
    except KeyboardInterrupt:
        return ExitCode.INTERRUPTED
    return int(code or 0)


def _usage(error: Any) -> UsageError:
    from difflib import get_close_matches

    ctx = getattr(error, "ctx", None)
    path = ctx.command_path if ctx is not None else "ando"
    name, known = getattr(error, "option_name", ""), getattr(error, "possibilities", None) or ()
    # A short name resembles many: suggest the options that begin with it, else a similar one.
    begun = [option for option in known if option.startswith(name)]
    meant = begun or get_close_matches(name, known, n=1, cutoff=0.75)
    message = (error.message if known else error.format_message()).rstrip(".")
    return UsageError(
        message[:1].lower() + message[1:], hint=f"did you mean {meant[0]}?" if meant else f"{path} --help"
    )
