"""``ando completions``: print the completion script for a shell."""

from __future__ import annotations

from typing import Annotated

import typer

from ando_cli.cli.command import Command
from ando_cli.cli.completion import FILES, script
from ando_cli.errors import UsageError
from ando_cli.runtime.context import invocation

app = typer.Typer(add_completion=False)


@app.command(
    cls=Command,
    epilog="""\
Examples:
  eval "$(ando completions bash)"
  ando completions bash > ~/.local/share/bash-completion/completions/ando
  ando completions zsh > "${fpath[1]}/_ando"
  ando completions fish > ~/.config/fish/completions/ando.fish
""",
)
def completions(
    ctx: typer.Context,
    shell: Annotated[str, typer.Argument(metavar="bash|zsh|fish", help="The shell to print it for.")],
) -> None:
    """Print the completion script for a shell.

    The script completes commands, options, channels, networks, plans, models and configuration keys.
    """
    if shell not in FILES:
        raise UsageError(f"no completion script for {shell[:64]!r}", hint=f"choose one of: {', '.join(FILES)}")
    invocation(ctx).terminal.answer(script(shell))
