"""``ando chat``: ask the model, pay for the answer, print it."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Annotated

import typer

from ando_cli import chat as mpp
from ando_cli.app import invocation
from ando_cli.assembly import connect
from ando_cli.chat import Prompt, describe_usage
from ando_cli.client import CHAT_PATH
from ando_cli.command import Command
from ando_cli.commands._ask import ask_with_key, deliver, prompt_of, request_body, warn_without_limit
from ando_cli.commands._options import (
    AcceptPayeeOption,
    ConnectTimeoutOption,
    DryRunOption,
    MaxSpendOption,
    MaxTokensOption,
    ModelOption,
    OutputOption,
    ProfileOption,
    RailOption,
    SeedOption,
    SetOption,
    StopOption,
    SystemOption,
    TemperatureOption,
    TimeoutOption,
    TopPOption,
    UsageOption,
    YesOption,
    chosen_rail,
    key_options,
    pay_options,
    refuse_given,
)
from ando_cli.commands._quote import show_quote
from ando_cli.errors import UsageError
from ando_cli.output import check_writable
from ando_cli.rails.body import read_usage
from ando_cli.rails.payment import PAID
from ando_cli.settings import KEY_RAIL, MPP_RAIL

if TYPE_CHECKING:
    from pathlib import Path

    from ando_cli.app import Invocation
    from ando_cli.assembly import PayOptions

app = typer.Typer(add_completion=False)

EXAMPLES = """\
Examples:
  ando chat "what is the capital of america?"
  cat report.txt | ando chat "summarise this"
  ando chat --max-spend 5 --usage -s "answer in French" "good morning"
  ando chat --rail key -m Qwen/Qwen3-8B-AWQ "good morning"
  echo '{"messages":[{"role":"user","content":"hi"}],"max_tokens":8}' |
    ando chat -j
"""


@app.command(cls=Command, epilog=EXAMPLES)
def chat(
    ctx: typer.Context,
    prompt: Annotated[
        list[str] | None, typer.Argument(metavar="PROMPT", help="What to ask. Piped text goes before it.")
    ] = None,
    system: SystemOption = None,
    model: ModelOption = None,
    plan: Annotated[
        str | None, typer.Option(help="Starter, Plus or Premium.", metavar="NAME", show_default="Starter")
    ] = None,
    max_tokens: MaxTokensOption = None,
    temperature: TemperatureOption = None,
    top_p: TopPOption = None,
    seed: SeedOption = None,
    stop: StopOption = None,
    extra: SetOption = None,
    body: Annotated[
        str | None,
        typer.Option(metavar="@FILE|-", help="Send this JSON body, byte for byte, instead of building one."),
    ] = None,
    output: OutputOption = None,
    usage: UsageOption = False,
    no_stream: Annotated[
        bool, typer.Option("--no-stream", help="Print the answer when it is complete. The paid route always does.")
    ] = False,
    rail: RailOption = None,
    profile: ProfileOption = None,
    dry_run: DryRunOption = False,
    max_spend: MaxSpendOption = None,
    yes: YesOption = False,
    accept_payee: AcceptPayeeOption = None,
    timeout: TimeoutOption = None,
    connect_timeout: ConnectTimeoutOption = None,
) -> None:
    """Ask the model, pay for the answer, print it.

    It is paid for from the channel (--rail mpp), or by the account that a Virtual Key belongs to (--rail key).
    """
    state = invocation(ctx)
    words = prompt_of(
        prompt, system=system, model=model, plan=plan, max_tokens=max_tokens, temperature=temperature, top_p=top_p,
        seed=seed, stop=stop, extra=extra,
    )  # fmt: skip
    if chosen_rail(rail, state.settings) == KEY_RAIL:
        refuse_given(
            KEY_RAIL,
            {"--plan": plan, "--max-spend": max_spend, "--accept-payee": accept_payee, "--dry-run": dry_run or None},
        )
        options = key_options(profile, timeout, connect_timeout)
        _with_key(state, words, body, options, output=output, usage=usage, no_stream=no_stream)
    else:
        refuse_given(MPP_RAIL, {"--profile": profile})
        options = pay_options(max_spend, yes, accept_payee, timeout, connect_timeout)
        _from_channel(state, words, body, options, output=output, usage=usage, dry_run=dry_run)


def _from_channel(
    state: Invocation, words: Prompt, source: str | None, options: PayOptions, *,
    output: Path | None, usage: bool, dry_run: bool,
) -> None:  # fmt: skip
    terminal = state.terminal

    def build(typed: Prompt, piped: str) -> bytes:
        return mpp.build_body(_with_model(typed, state), piped)

    content = request_body(terminal, words, source, mpp.check_body, build)
    warn_without_limit(terminal, content)
    if output is not None:
        check_writable(output)
    with connect(state, options) as client:
        terminal.stage("asking")
        if dry_run:
            show_quote(terminal, client.quote(CHAT_PATH, content), state.settings)
            return
        response = client.post(CHAT_PATH, content)
    answer = response.content
    deliver(terminal, answer, mpp.answer_text, output)
    if usage:
        paid = response.extensions.get(PAID)
        terminal.note(describe_usage(read_usage(answer), paid, state.settings.network, MPP_RAIL))


def _with_key(
    state: Invocation, words: Prompt, source: str | None, options: PayOptions, *,
    output: Path | None, usage: bool, no_stream: bool,
) -> None:  # fmt: skip
    from ando_cli import account  # not on the paid path
    from ando_cli.streaming import stream_answer

    terminal = state.terminal
    streams = not (no_stream or terminal.json_output or output is not None)

    def build(typed: Prompt, piped: str) -> bytes:
        return account.build_chat(_with_model(typed, state), piped, stream=streams)

    content = request_body(terminal, words, source, account.check_chat, build)
    warn_without_limit(terminal, content)
    if not account.is_streamed(content):
        ask_with_key(
            state, account.CHAT_PATH, content, mpp.answer_text, options=options, output=output, usage=usage
        )  # fmt: skip
        return
    if not streams:
        raise UsageError('the body asks for a stream: "stream" is true', hint="set it to false")
    with connect(state, options, KEY_RAIL) as client:
        terminal.stage("asking with the Virtual Key")
        with stream_answer(client, account.CHAT_PATH, content) as answer:
            terminal.answer_pieces(piece.text for piece in answer)
    if usage:
        terminal.note(describe_usage(answer.usage, None, state.settings.network, KEY_RAIL))


def _with_model(words: Prompt, state: Invocation) -> Prompt:
    return words if words.model is not None else replace(words, model=state.settings.model)
