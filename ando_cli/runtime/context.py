"""What one invocation of ``ando`` works with: its terminal, environment, flags and settings."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass, field
from functools import cached_property
from typing import TYPE_CHECKING, Any

from ando_cli.config.settings import Flags, Settings, load
from ando_cli.config.variables import check_variables
from ando_cli.errors import UsageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    import typer

    from ando_cli.keys.wallet import WalletStore
    from ando_cli.terminal.output import Terminal


@dataclass
class Invocation:
    """The terminal, environment, flags and settings of one invocation; every command gets it as ``ctx.obj``."""

    terminal: Terminal
    environ: Mapping[str, str]
    flags: Flags = field(default_factory=Flags)

    @cached_property
    def settings(self) -> Settings:
        """The settings in force; read at first use.

        Raises:
            UsageError: a flag, a variable or the configuration file is wrong.
        """
        warning = check_variables(self.environ)
        settings = load(self.flags, self.environ)
        if warning is not None:
            self.terminal.warn(warning)
        return settings

    def open_wallet(self, *, asking: bool = True) -> WalletStore:
        """Return the wallet of this invocation; it may ask for a password on the terminal if ``asking``.

        Raises:
            UsageError: ``--sandbox`` was given, which manages its own wallet; or a setting is wrong.
        """
        from ando_cli.keys.wallet import WalletStore

        if self.settings.sandbox:
            raise UsageError("the sandbox manages its own wallet", hint="leave out --sandbox")
        path = self.settings.folders.config / "keystore.json"
        return WalletStore(self.environ, path, self.terminal.secret_prompt() if asking else None)

    def record(self, name: str, value: Any) -> None:
        """Record one global option as it is parsed, before or after the subcommand."""
        if name == "verbose":
            value = min(self.flags.verbose + value, 3)
        self.flags = dataclasses.replace(self.flags, **{name: value})
        if name in ("json_output", "toon_output"):
            self._choose_form()
        elif name in ("quiet", "verbose"):
            setattr(self.terminal, name, value)

    def _choose_form(self) -> None:
        if self.flags.json_output and self.flags.toon_output:
            raise UsageError("--json-output and --toon-output cannot be used together", hint="leave one of them out")
        self.terminal.json_output = True
        self.terminal.toon_output = self.flags.toon_output


def invocation(ctx: typer.Context) -> Invocation:
    """Return the ``Invocation`` of the running command."""
    found = ctx.find_root().obj
    if not isinstance(found, Invocation):
        raise TypeError("the root context holds no Invocation")
    return found
