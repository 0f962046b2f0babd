"""``ando request``: the curl-like sibling, in the manner of ``tempo request``: any request, paid for where it asks."""

from __future__ import annotations

import json
from pathlib import Path  # noqa: TC003 - Typer reads the annotations when it runs
from typing import TYPE_CHECKING, Annotated

import typer

from ando_cli.cli.command import Command
from ando_cli.cli.input import read_source
from ando_cli.cli.options import (
    AcceptPayeeOption,
    ConnectTimeoutOption,
    DryRunOption,
    MaxSpendOption,
    ProfileOption,
    RailOption,
    YesOption,
    chosen_rail,
    pay_options,
    refuse_given,
)
from ando_cli.commands._quote import show_quote
from ando_cli.config.settings import KEY_RAIL, MPP_RAIL
from ando_cli.errors import AndoError, Code, NetworkError, UsageError
from ando_cli.http.client import check_key_route, check_rail, failure, resolve_url
from ando_cli.rails.planning import Quoted
from ando_cli.redact import clean
from ando_cli.runtime.context import invocation
from ando_cli.runtime.wiring import connect
from ando_cli.terminal.output import check_writable

if TYPE_CHECKING:
    from ando_cli.http.answer import Response
    from ando_cli.terminal.output import Terminal

_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_SHOWN_HEADERS = ("content-type", "content-length", "date", "server", "retry-after", "x-request-id", "location")

app = typer.Typer(add_completion=False)

EXAMPLES = """\
Examples:
  ando request --rail key /models
  ando request /mpp/chat/completions --json @body.json
  ando request --dry-run --json @body.json https://example.com/paid
"""


@app.command(cls=Command, epilog=EXAMPLES)
def request(
    ctx: typer.Context,
    url: Annotated[str, typer.Argument(metavar="URL", help="An http(s) URL, or a path under the base URL.")],
    method: Annotated[
        str | None, typer.Option("--request", "-X", metavar="METHOD", help="GET, or POST where there is a body.")
    ] = None,
    header: Annotated[
        list[str] | None, typer.Option("--header", "-H", metavar="'NAME: VALUE'", help="Add a header; repeatable.")
    ] = None,
    json_body: Annotated[
        str | None, typer.Option("--json", metavar="JSON|@FILE|@-", help="Send a JSON body, byte for byte.")
    ] = None,
    data: Annotated[
        str | None, typer.Option("--data", "-d", metavar="TEXT|@FILE|@-", help="Send a body, byte for byte.")
    ] = None,
    include: Annotated[
        bool, typer.Option("--include", "-i", help="Print the answer's status and headers too.")
    ] = False,
    head: Annotated[
        bool, typer.Option("--head", "-I", help="Send HEAD and print the headers; not on the paid route.")
    ] = False,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE", help="Write the body to FILE.")
    ] = None,
    dump_header: Annotated[
        Path | None, typer.Option("--dump-header", "-D", metavar="FILE", help="Write status and headers to FILE.")
    ] = None,
    silent: Annotated[bool, typer.Option("--silent", "-s", help="No notes on stderr, as --quiet.")] = False,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", "-m", metavar="SECONDS", help="The longest wait for the answer.", show_default="300"),
    ] = None,
    connect_timeout: ConnectTimeoutOption = None,
    offline: Annotated[bool, typer.Option("--offline", help="Check everything and send nothing.")] = False,
    dry_run: DryRunOption = False,
    max_spend: MaxSpendOption = None,
    yes: YesOption = False,
    accept_payee: AcceptPayeeOption = None,
    rail: RailOption = None,
    profile: ProfileOption = None,
) -> None:
    """Send a request and print the answer's body; where the answer is a 402 challenge, pay and send it again.

    With --rail key it carries the Virtual Key, to a route of the gateway that takes one, and nothing is paid.

    Credentials and receipts are never shown. An answer that is not a success is printed too, and sets the exit code.
    """
    state = invocation(ctx)
    terminal = state.terminal
    terminal.quiet = terminal.quiet or silent
    options = pay_options(max_spend, yes, accept_payee, timeout, connect_timeout, profile=profile)
    keyed = rail is not None and chosen_rail(rail, state.settings) == KEY_RAIL
    if json_body is not None and data is not None:
        raise UsageError("--json and --data exclude each other", hint="leave one of them out")
    headers = [_header(line) for line in header or ()]
    target = resolve_url(url, state.settings.base_url)
    verb = _method(method, head=head, has_body=json_body is not None or data is not None)
    given = {name.lower(): value for name, value in headers}
    check_rail(verb, target, given.get("authorization"))
    if keyed:
        check_key_route(target, state.settings.base_url, given.get("authorization"))
        refuse_given(KEY_RAIL, {"--max-spend": max_spend, "--accept-payee": accept_payee, "--dry-run": dry_run or None})
    else:
        refuse_given(MPP_RAIL, {"--profile": profile})
    body = b""
    if json_body is not None:
        body = _json(read_source(terminal, json_body))
        headers += [(name, "application/json") for name in ("Content-Type", "Accept") if name.lower() not in given]
    elif data is not None:
        body = read_source(terminal, data)
        if "content-type" not in given:
            headers.append(("Content-Type", "application/x-www-form-urlencoded"))
    for path in (output, dump_header):
        if path is not None:
            check_writable(path)
    if offline:
        raise NetworkError("offline: nothing was sent", hint="leave out --offline to send it", code=Code.OFFLINE)
    with connect(state, options, KEY_RAIL if keyed else MPP_RAIL) as client:
        terminal.stage(f"{verb} {clean(target.partition('?')[0])}")
        try:
            response = client.send(verb, url, headers, body, dry_run=dry_run)
        except Quoted as quoted:
            show_quote(terminal, quoted.quote, state.settings)
            return
        except AndoError as error:
            if error.body and not terminal.json_output:
                terminal.answer_bytes(error.body)
            raise
    if dry_run:
        show_quote(terminal, None, state.settings)
        return
    _show(terminal, response, include=include or head, output=output, dump_header=dump_header)


def _show(
    terminal: Terminal, response: Response, *, include: bool, output: Path | None, dump_header: Path | None
) -> None:
    """Print the answer.

    Raises:
        AndoError: it is not a success; its body has been printed.
    """
    terminal.detail(1, f"answered {response.status_code}")
    for name in _SHOWN_HEADERS:
        if name in response.headers:
            terminal.detail(2, f"{name}: {clean(response.headers[name], 200)}")
    head = _head(response)
    if dump_header is not None:
        terminal.save(dump_header, head)
    if output is not None:
        terminal.save(output, response.content)
    elif not (terminal.json_output and not response.is_success):
        terminal.answer_bytes(head + b"\n" + response.content if include else response.content)
    if not response.is_success:
        raise failure(response)


def _head(response: Response) -> bytes:
    """Status line and headers, with what authorises or proves a payment taken out."""
    lines = [f"{response.http_version} {response.status_code} {clean(response.reason_phrase)}"]
    for name, value in response.headers.multi_items():
        secret = name.lower() in ("payment-receipt", "www-authenticate", "set-cookie", "authorization")
        lines.append(f"{name}: {'[redacted]' if secret else clean(value, 1000)}")
    return "\n".join([*lines, ""]).encode()


def _header(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    if not colon or not name or not set(name) <= _TOKEN or not all(" " <= c <= "~" or c == "\t" for c in value):
        raise UsageError("a header is not written as 'Name: value'", hint="write it like -H 'Accept: text/plain'")
    return name, value.strip()


def _method(method: str | None, *, head: bool, has_body: bool) -> str:
    if head:
        if method is not None or has_body:
            raise UsageError("--head sends neither a body nor another method", hint="leave out --head")
        return "HEAD"
    if method is None:
        return "POST" if has_body else "GET"
    if not method or not set(method) <= _TOKEN:
        raise UsageError("the method is not a word", hint="write it like -X PUT")
    return method.upper()


def _json(body: bytes) -> bytes:
    try:
        json.loads(body)
    except (ValueError, RecursionError):
        raise UsageError("--json is not valid JSON", hint="check it with `jq .`, or send it with --data") from None
    return body
