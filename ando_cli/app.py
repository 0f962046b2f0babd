"""The Typer application: global options, subcommands loaded only when called, errors turned into exit codes."""

from __future__ import annotations

import copy
import dataclasses
import importlib
import os
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Annotated, Any, NoReturn

import typer
from typer.core import TyperOption
from typer.main import get_command

from ando_cli import __version__
from ando_cli.cli.typer_private import CompletionItem, complete_options, unparsed_words
from ando_cli.command import Group
from ando_cli.errors import AndoError, ExitCode, Interrupted, UsageError
from ando_cli.help import GLOBAL_PANEL, examples
from ando_cli.output import Terminal
from ando_cli.settings import Flags, Settings, load

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from ando_cli.wallet import WalletStore

_FORMS = ("--json-output", "-j", "--toon-output", "-t")

# Name -> the line shown in the list of commands. The module of each is imported only when it is called.
COMMANDS = {
    "chat": "Ask the model, pay for the answer, print it.",
    "conversations": "List, show, export and remove the conversations that were kept.",
    "models": "List the models that a Virtual Key may use.",
    "respond": "Ask on the Responses route, with a Virtual Key.",
    "think": "Ask on the reasoning route, with a Virtual Key.",
    "complete": "Have a text continued, with a Virtual Key.",
    "request": "Send any HTTP request and pay for it where it asks to be paid.",
    "spend": "See what was spent, and on what.",
    "session": "Open, top up, look at and close payment channels.",
    "voucher": "Sign and check vouchers by hand; take apart what is sent to pay.",
    "wallet": "Create, import, show, export or remove the wallet key.",
    "key": "Store, show, list or remove Virtual Keys.",
    "config": "Look at and change what is configured.",
    "doctor": "Look at what paying needs, and say what is missing.",
    "completions": "Print the script that lets a shell complete ando's words.",
    "skill": "Print how an agent is to use ando.",
    "sandbox": "Run a local gateway and chain to try things out. No money.",
}


@dataclass
class Invocation:
    """What every command is handed, as ``ctx.obj``: the terminal, the environment, the flags and the settings."""

    terminal: Terminal
    environ: Mapping[str, str]
    flags: Flags = field(default_factory=Flags)

    @cached_property
    def settings(self) -> Settings:
        """The settings in force; read at first use.

        Raises:
            UsageError: a flag, a variable or the configuration file is wrong.
        """
        return load(self.flags, self.environ)

    def open_wallet(self, *, asking: bool = True) -> WalletStore:
        """The wallet of this invocation: its environment, its configuration folder, and unless it is not ``asking``,
        its terminal to ask on.

        Raises:
            UsageError: with ``--sandbox``, whose wallet looks after itself; or a setting is wrong.
        """
        from ando_cli.wallet import WalletStore

        if self.settings.sandbox:
            raise UsageError("the sandbox looks after its own wallet", hint="leave out --sandbox")
        path = self.settings.folders.config / "keystore.json"
        return WalletStore(self.environ, path, self.terminal.secret_prompt() if asking else None)

    def record(self, name: str, value: Any) -> None:
        """Take one global option as it is parsed, before or after the subcommand."""
        if name == "verbose":
            value = min(self.flags.verbose + value, 3)
        self.flags = dataclasses.replace(self.flags, **{name: value})
        if name in ("json_output", "toon_output"):
            self._choose_form()
        elif name in ("quiet", "verbose"):
            setattr(self.terminal, name, value)

    def _choose_form(self) -> None:
        if self.flags.json_output and self.flags.toon_output:
            raise UsageError("--json-output and --toon-output exclude each other", hint="leave one of them out")
        self.terminal.json_output = True
        self.terminal.toon_output = self.flags.toon_output


def invocation(ctx: typer.Context) -> Invocation:
    """The ``Invocation`` of the running command."""
    found = ctx.find_root().obj
    assert isinstance(found, Invocation)
    return found


def _record(ctx: Any, param: Any, value: Any) -> Any:
    source = ctx.get_parameter_source(param.name or "")
    if source is not None and source.name == "COMMANDLINE" and not ctx.resilient_parsing:
        invocation(ctx).record(param.name or "", value)
    return value


def _version(ctx: typer.Context, value: bool) -> None:
    if value and not ctx.resilient_parsing:
        invocation(ctx).terminal.answer(f"ando {__version__}")
        raise typer.Exit


def _describe_here(ctx: Any, param: Any, value: Any) -> Any:
    # At the root the names of a command may follow, which only the root's ``invoke`` knows.
    if value and ctx.parent is not None and not ctx.resilient_parsing:
        _describe(invocation(ctx), ctx.command_path.split()[1:])
    return value


def _describe(state: Invocation, words: Sequence[str]) -> NoReturn:
    from ando_cli.describe import describe

    state.terminal.json(describe(get_command(app), words, state))
    raise typer.Exit


class SharedOptionsGroup(Group):
    """A group that gives the global options to each of its commands too, so that they may stand on either side."""

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]
        """The command of that name, with the global options added."""
        command = super().get_command(ctx, cmd_name)
        return command if command is None else _share(ctx, command)


class LazyGroup(SharedOptionsGroup):
    """The root: its commands are modules of ``ando_cli.commands``, imported when they are called."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(**settings)
        for option in _global_options(self):
            # Named in each option, it would be taken apart by Typer as often.
            option.callback = _describe_here if option.name == "description" else _record

    def invoke(self, ctx: typer.Context) -> Any:  # type: ignore[override]
        """Call the command that is named, or with ``--describe`` describe it."""
        if ctx.params.get("description"):
            words = [word for word in unparsed_words(ctx) if word not in _FORMS]
            _describe(invocation(ctx), words)
        try:
            return super().invoke(ctx)
        except Interrupted:  # said here, because Typer makes a mere exit code of it
            warning = "the request was on its way and may be charged; `ando spend` counts it as unknown"
            invocation(ctx).terminal.warn(warning)
            raise

    def list_commands(self, ctx: typer.Context) -> list[str]:  # type: ignore[override]
        """The names, in the order of ``COMMANDS``."""
        return list(COMMANDS)

    def get_command(self, ctx: typer.Context, cmd_name: str) -> Any:  # type: ignore[override]
        """Import the module of ``cmd_name`` and build its command."""
        if cmd_name not in COMMANDS:
            return None
        if cmd_name not in self.commands:
            module = importlib.import_module(f"ando_cli.commands.{cmd_name}")
            command = get_command(module.app)
            command.name = cmd_name
            self.commands[cmd_name] = command
        return _share(ctx, self.commands[cmd_name])

    def summaries(self, ctx: typer.Context) -> list[tuple[str, str]]:
        """Known without importing any of them."""
        return list(COMMANDS.items())

    def shell_complete(self, ctx: typer.Context, incomplete: str) -> list[Any]:  # type: ignore[override]
        """What a word can become. The commands are known without importing any of them."""
        commands = [CompletionItem(name, help=line) for name, line in COMMANDS.items() if name.startswith(incomplete)]
        return [*commands, *complete_options(self, ctx, incomplete)]


def _global_options(root: Any) -> list[TyperOption]:
    return [param for param in root.params if isinstance(param, TyperOption) and param.rich_help_panel == GLOBAL_PANEL]


def _share(ctx: typer.Context, command: Any) -> Any:
    taken = {name for param in command.params for name in (*param.opts, *param.secondary_opts)}
    for option in _global_options(ctx.find_root().command):
        if taken.isdisjoint(option.opts):
            shared = copy.copy(option)
            shared.expose_value = False
            command.params.append(shared)
    return command


app = typer.Typer(
    name="ando",
    cls=LazyGroup,
    add_completion=False,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
    help="Buy inference from the Ando gateway, paid per use from a Tempo payment channel.",
    epilog=examples('ando --sandbox chat "what is the capital of america?"', "ando doctor", "ando --describe session"),
)


@app.callback()
def _root(
    base_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The gateway. [env: ANDO_BASE_URL]", rich_help_panel=GLOBAL_PANEL),
    ] = None,
    network: Annotated[
        str | None,
        typer.Option(
            metavar="NAME",
            help="The Tempo network. [env: ANDO_NETWORK]",
            rich_help_panel=GLOBAL_PANEL,
        ),
    ] = None,
    rpc_url: Annotated[
        str | None,
        typer.Option(metavar="URL", help="The chain's RPC. [env: ANDO_RPC_URL]", rich_help_panel=GLOBAL_PANEL),
    ] = None,
    sandbox: Annotated[
        bool,
        typer.Option(
            "--sandbox",
            help="Use a local gateway and chain, started for this command. No money.",
            rich_help_panel=GLOBAL_PANEL,
        ),
    ] = False,
    json_output: Annotated[
        bool,
        typer.Option(
            "--json-output",
            "-j",
            help="Answer, and fail, in JSON on stdout.",
            rich_help_panel=GLOBAL_PANEL,
        ),
    ] = False,
    toon_output: Annotated[
        bool,
        typer.Option(
            "--toon-output",
            "-t",
            help="The same in TOON, which takes fewer tokens to read.",
            rich_help_panel=GLOBAL_PANEL,
        ),
    ] = False,
    quiet: Annotated[
        bool,
        typer.Option("--quiet", "-q", help="No notes on stderr.", rich_help_panel=GLOBAL_PANEL),
    ] = False,
    verbose: Annotated[
        int,
        typer.Option(
            "--verbose",
            "-v",
            count=True,
            help="Say what happens, on stderr; -vv says more. Nothing secret.",
            rich_help_panel=GLOBAL_PANEL,
        ),
    ] = 0,
    description: Annotated[
        bool,
        typer.Option(
            "--describe",
            is_eager=True,
            help="Print what a command takes, or all commands, as JSON.",
            rich_help_panel=GLOBAL_PANEL,
        ),
    ] = False,
    version: Annotated[
        bool, typer.Option("--version", "-V", is_eager=True, callback=_version, help="Print the version.")
    ] = False,
) -> None:
    pass


def run(arguments: Sequence[str]) -> int:
    """Run one command line and return its exit code. Nothing that a user or a server can cause is a traceback."""
    terminal = Terminal.standard()
    # Known before parsing, because parsing itself can fail and the failure is then JSON too.
    terminal.toon_output = _asks_for(arguments, "--toon-output", "-t")
    terminal.json_output = terminal.toon_output or _asks_for(arguments, "--json-output", "-j")
    state = Invocation(terminal, os.environ)
    if "_ANDO_COMPLETE" in os.environ:
        from ando_cli import completions

        completions.register()
    try:
        code = get_command(app).main(list(arguments), prog_name="ando", standalone_mode=False, obj=state)
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


def _asks_for(arguments: Sequence[str], *names: str) -> bool:
    options = list(arguments[: arguments.index("--")]) if "--" in arguments else list(arguments)
    return any(name in options for name in names)


def _usage(error: Any) -> UsageError:
    from difflib import get_close_matches

    ctx = getattr(error, "ctx", None)
    path = ctx.command_path if ctx is not None else "ando"
    meant = get_close_matches(getattr(error, "option_name", ""), getattr(error, "possibilities", None) or (), n=1)
    message = (error.message if meant else error.format_message()).rstrip(".")
    return UsageError(
        message[:1].lower() + message[1:], hint=f"did you mean {meant[0]}?" if meant else f"{path} --help"
    )
