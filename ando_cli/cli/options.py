"""The options that more than one command has: each is declared once, and those that go together are a group."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from ando_cli.cli import candidates
from ando_cli.config.settings import KEY_RAIL, MPP_RAIL, RAILS, parse_seconds
from ando_cli.errors import UsageError
from ando_cli.frozen import frozen
from ando_cli.inference.prompt import Prompt, parse_extra
from ando_cli.money import parse_amount
from ando_cli.runtime.wiring import PayOptions

if TYPE_CHECKING:
    from ando_cli.config.settings import Settings
    from ando_cli.tempo.protocol import Protocol

_PANEL = "Payment"
_KEEP = "Conversations"

SystemOption = Annotated[str | None, typer.Option("--system", "-s", metavar="TEXT", help="The system message.")]
ModelOption = Annotated[
    str | None,
    typer.Option(
        "--model", "-m", metavar="NAME", help="Use this model. [env: ANDO_MODEL]", autocompletion=candidates.models
    ),
]
PlanOption = Annotated[
    str | None,
    typer.Option(
        help="Starter, Plus or Premium.", metavar="NAME", show_default="Starter", autocompletion=candidates.plans
    ),
]
MaxTokensOption = Annotated[
    int | None, typer.Option(metavar="N", help="The most tokens to generate and pay for.", show_default="1024")
]
TemperatureOption = Annotated[float | None, typer.Option(metavar="X", help="Sampling temperature, 0 to 2.")]
TopPOption = Annotated[float | None, typer.Option("--top-p", metavar="X", help="Nucleus sampling, 0 to 1.")]
SeedOption = Annotated[int | None, typer.Option(metavar="N", help="Seed for repeatable sampling.")]
StopOption = Annotated[list[str] | None, typer.Option(metavar="TEXT", help="Stop before this text; may be repeated.")]
SetOption = Annotated[
    list[str] | None,
    typer.Option("--set", metavar="KEY=VALUE", help="Set any other member of the body to a JSON value; repeatable."),
]
OutputOption = Annotated[Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the answer to FILE.")]
UsageOption = Annotated[bool, typer.Option("--usage", "-u", help="Show tokens and spend on stderr.")]
ProfileOption = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="The profile of the Virtual Key. [env: ANDO_PROFILE]", rich_help_panel=_PANEL),
]
RailOption = Annotated[
    str | None,
    typer.Option(
        metavar="mpp|key",
        help="Pay from the channel (mpp), or with a Virtual Key (key). [env: ANDO_RAIL]",
        show_default="mpp",
        rich_help_panel=_PANEL,
    ),
]

MaxSpendOption = Annotated[
    str | None,
    typer.Option(
        metavar="AMOUNT",
        help="The most that this command may deposit, and the most that it may newly authorise. [env: ANDO_MAX_SPEND]",
        rich_help_panel=_PANEL,
    ),
]
YesOption = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask before a deposit.", rich_help_panel=_PANEL)]
AcceptPayeeOption = Annotated[
    str | None,
    typer.Option(
        metavar="FINGERPRINT", help="Accept the gateway's new payee, by its fingerprint.", rich_help_panel=_PANEL
    ),
]
DryRunOption = Annotated[
    bool, typer.Option("--dry-run", help="Show what would be paid, and sign nothing.", rich_help_panel=_PANEL)
]
CloseOption = Annotated[
    bool,
    typer.Option(
        "--close",
        help="Close the channel that this command opens, if it opens one, also after an error.",
        rich_help_panel=_PANEL,
    ),
]
TimeoutOption = Annotated[
    float | None,
    typer.Option(
        metavar="SECONDS",
        help="How long the answer may take; where it is streamed, each word of it.",
        show_default="300",
    ),
]
MaxTimeOption = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="How long everything may take, the chain included.")
]
ConnectTimeoutOption = Annotated[
    float | None, typer.Option(metavar="SECONDS", help="How long to wait for a connection.", show_default="10")
]
InteractiveOption = Annotated[
    bool,
    typer.Option(
        "--interactive", "-i", help="Start a conversation on the terminal, with PROMPT if given.", rich_help_panel=_KEEP
    ),
]
NoHistoryOption = Annotated[
    bool,
    typer.Option(
        "--no-history",
        help="Do not remember what you type for later conversations. [env: ANDO_HISTORY=0]",
        rich_help_panel=_KEEP,
    ),
]
ContinueOption = Annotated[
    bool,
    typer.Option("--continue", "-c", help="Continue the last saved conversation.", rich_help_panel=_KEEP),
]
ConversationOption = Annotated[
    str | None,
    typer.Option(
        metavar="ID",
        help="Continue this conversation: any unique prefix of its id.",
        rich_help_panel=_KEEP,
        autocompletion=candidates.conversations,
    ),
]
KeepOption = Annotated[
    bool | None,
    typer.Option(
        "--keep/--no-keep",
        help="Save questions and answers in a file, to continue later. [env: ANDO_KEEP]",
        rich_help_panel=_KEEP,
    ),
]


@frozen
class SamplingOptions:
    """What shapes a request: the system message, the model, and how it answers."""

    system: SystemOption = None
    model: ModelOption = None
    plan: PlanOption = None
    max_tokens: MaxTokensOption = None
    temperature: TemperatureOption = None
    top_p: TopPOption = None
    seed: SeedOption = None
    stop: StopOption = None
    extra: SetOption = None

    def prompt(self, words: list[str] | None) -> Prompt:
        """Return the prompt: the words with these options.

        Raises:
            UsageError: a ``--set`` is not ``KEY=VALUE``.
        """
        return Prompt(
            text=" ".join(words or []),
            system=self.system,
            model=self.model,
            plan=self.plan,
            max_tokens=self.max_tokens,
            temperature=self.temperature,
            top_p=self.top_p,
            seed=self.seed,
            stop=tuple(self.stop or ()),
            extra=parse_extra(self.extra or ()),
        )


@frozen
class AnswerOptions:
    """Where the answer goes, and what is reported about it."""

    output: OutputOption = None
    usage: UsageOption = False


@frozen
class RailOptions:
    """Who pays."""

    rail: RailOption = None
    profile: ProfileOption = None


@frozen
class PaymentOptions:
    """How much a command may pay."""

    dry_run: DryRunOption = False
    max_spend: MaxSpendOption = None
    yes: YesOption = False
    accept_payee: AcceptPayeeOption = None

    def not_for_a_key(self) -> dict[str, object]:
        """Return the options that do not apply with a Virtual Key, by name; ``None`` if not given."""
        return {
            "--max-spend": self.max_spend, "--accept-payee": self.accept_payee, "--dry-run": self.dry_run or None,
        }  # fmt: skip


@frozen
class ConnectionOptions:
    """How long to wait."""

    timeout: TimeoutOption = None
    connect_timeout: ConnectTimeoutOption = None
    max_time: MaxTimeOption = None

    def with_key(self, profile: str | None) -> PayOptions:
        """Return the flags of a command that a Virtual Key pays for, as checked values.

        Raises:
            UsageError: a value is invalid.
        """
        return replace(self._waits(), profile=None if profile is None else _checked(profile))

    def with_channel(
        self,
        payment: PaymentOptions,
        *,
        deposit: int | None = None,
        protocol: Protocol | None = None,
        delegate: bool = False,
    ) -> PayOptions:
        """Return the flags of a command that a channel pays for, as checked values.

        Raises:
            UsageError: a value is invalid.
        """
        payee, limit = payment.accept_payee, payment.max_spend
        if payee is not None and not payee.isalnum():
            raise UsageError("--accept-payee takes the fingerprint from the error message", hint="copy it from there")
        return replace(
            self._waits(),
            max_spend=None if limit is None else parse_amount(limit, "--max-spend"),
            assume_yes=payment.yes,
            accept_payee=payee,
            deposit=deposit,
            protocol=protocol,
            delegate=delegate,
        )

    def _waits(self) -> PayOptions:
        wait, connecting, everything = self.timeout, self.connect_timeout, self.max_time
        return PayOptions(
            timeout=None if wait is None else parse_seconds(wait, "--timeout"),
            connect_timeout=None if connecting is None else parse_seconds(connecting, "--connect-timeout"),
            max_time=None if everything is None else parse_seconds(everything, "--max-time"),
        )


@frozen
class KeepOptions:
    """Whether to start a conversation, which one to continue, and whether to save it."""

    interactive: InteractiveOption = False
    no_history: NoHistoryOption = False
    last: ContinueOption = False
    conversation: ConversationOption = None
    keep: KeepOption = None


def chosen_rail(rail: str | None, settings: Settings) -> str:
    """Return the rail of this command: the option's, else the configured one.

    Raises:
        UsageError: the rail is unknown.
    """
    if rail is not None and rail not in RAILS:
        raise UsageError(f"invalid rail {rail[:64]!r}: expected mpp or key", hint="use --rail mpp or --rail key")
    return rail or settings.rail


def refuse_given(rail: str, options: dict[str, object]) -> None:
    """Refuse an option that has no effect on this rail: a limit must not seem to hold if it does not.

    Raises:
        UsageError: such an option was given.
    """
    other = MPP_RAIL if rail == KEY_RAIL else KEY_RAIL
    for name, value in options.items():
        if value is not None:
            raise UsageError(f"{name} does not work with --rail {rail}", hint=f"leave it out, or use --rail {other}")


def _checked(profile: str) -> str:
    from ando_cli.keys.virtual_keys import check_profile  # not on the paid path

    return check_profile(profile)
