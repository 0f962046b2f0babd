"""``ando request``: send any HTTP request, like curl, and pay if the server asks for payment."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ando_cli.cli.command import Command
from ando_cli.cli.groups import grouped
from ando_cli.cli.input import read_source
from ando_cli.cli.options import (
    CloseOption,
    ConnectionOptions,
    ConnectTimeoutOption,
    MaxTimeOption,
    PaymentOptions,
    RailOptions,
    chosen_rail,
    refuse_given,
)
from ando_cli.commands._ask import closing_after
from ando_cli.commands._quote import dry_run as show_dry_run
from ando_cli.config.settings import KEY_RAIL, MPP_RAIL
from ando_cli.errors import AndoError, LostAnswerError, UsageError
from ando_cli.http.failures import check_whole, failure
from ando_cli.http.routes import check_key_route, check_rail, resolve_url
from ando_cli.inference.request import Request, name_in
from ando_cli.inference.usage import json_object
from ando_cli.redact import clean
from ando_cli.runtime.context import invocation
from ando_cli.runtime.wiring import assemble, connect_with_channel, connect_with_key
from ando_cli.terminal.output import check_writable

if TYPE_CHECKING:
    from ando_cli.http.answer import Response
    from ando_cli.terminal.output import Terminal

_TOKEN = frozenset("!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ")
_SECRET_HEADERS = ("payment-receipt", "www-authenticate", "set-cookie", "cookie", "authorization")
_SHOWN_HEADERS = ("content-type", "content-length", "date", "server", "retry-after", "x-request-id", "location")

app = typer.Typer(add_completion=False)

EXAMPLES = """\
Examples:
  ando request --rail key /models
  ando request /mpp/chat/completions --json @body.json
  ando request --dry-run --json @body.json https://example.com/paid
"""


@app.command(cls=Command, epilog=EXAMPLES)
@grouped
def request(
    ctx: typer.Context,
    *,
    url: Annotated[str, typer.Argument(metavar="URL", help="An http(s) URL, or a path under the base URL.")],
    method: Annotated[
        str | None,
        typer.Option(
            "--request", "-X", metavar="METHOD", help="The method. Without it, GET, or POST if there is a body."
        ),
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
    silent: Annotated[bool, typer.Option("--silent", "-s", help="Print no notes on stderr, as --quiet does.")] = False,
    timeout: Annotated[
        float | None,
        typer.Option("--timeout", "-m", metavar="SECONDS", help="How long the answer may take.", show_default="300"),
    ] = None,
    connect_timeout: ConnectTimeoutOption = None,
    max_time: MaxTimeOption = None,
    offline: Annotated[
        bool, typer.Option("--offline", help="Check everything, print what would be sent, and send nothing.")
    ] = False,
    payment: PaymentOptions,
    close: CloseOption = False,
    rails: RailOptions,
) -> None:
    """Send a request and print the answer's body. If the answer is a 402 challenge, pay and send it again.

    With --rail key, the request carries the Virtual Key to a route that accepts one, and nothing is paid.

    Credentials and receipts are never shown. An error's body is printed too, and sets the exit code.
    """
    state = invocation(ctx)
    terminal = state.terminal
    terminal.quiet = terminal.quiet or silent
    connection = ConnectionOptions(timeout, connect_timeout, max_time)
    keyed = rails.rail is not None and chosen_rail(rails.rail, state.settings) == KEY_RAIL
    options = connection.with_key(rails.profile) if keyed else connection.with_channel(payment)
    if json_body is not None and data is not None:
        raise UsageError("--json and --data cannot be used together", hint="leave one of them out")
    headers = [_header(line) for line in header or ()]
    target = resolve_url(url, state.settings.base_url)
    verb = _method(method, head=head, has_body=json_body is not None or data is not None)
    own = {name.lower(): value for name, value in headers}.get("authorization")
    check_rail(verb, target, own)
    if keyed:
        check_key_route(target, state.settings.base_url, own)
        refuse_given(KEY_RAIL, {"--close": close or None, **payment.not_for_a_key()})
    else:
        refuse_given(MPP_RAIL, {"--profile": rails.profile})
    asked = _request(terminal, url, verb, headers, json_body=json_body, data=data)
    for path in (output, dump_header):
        if path is not None:
            check_writable(path)
    if offline:
        _show_unsent(terminal, asked, target, keyed=keyed)
        return
    with assemble(state, options) as parts, closing_after(state, parts, closes=close):
        client = connect_with_key(state, parts) if keyed else connect_with_channel(state, parts, options)
        terminal.stage(f"{verb} {clean(target.partition('?')[0])}")
        try:
            if payment.dry_run:
                show_dry_run(terminal, parts, client, asked)
                return
            response = client.send(asked)
        except AndoError as error:
            if error.body and not terminal.json_output:
                terminal.answer_bytes(error.body)
            raise
        _show(terminal, response, include=include or head, output=output, dump_header=dump_header)


def _request(
    terminal: Terminal,
    url: str,
    method: str,
    headers: list[tuple[str, str]],
    *,
    json_body: str | None,
    data: str | None,
) -> Request:
    """Build the request from the arguments. What the ledger needs from its body is read here, once.

    Raises:
        UsageError: the body cannot be read, or is not valid JSON.
    """
    given = {name.lower() for name, _ in headers}
    if json_body is not None:
        body = read_source(terminal, json_body)
        members = _json(body)
        added = [(name, "application/json") for name in ("Content-Type", "Accept")]
    elif data is not None:
        body = read_source(terminal, data)
        members = json_object(body)
        added = [("Content-Type", "application/x-www-form-urlencoded")]
    else:
        body, members, added = b"", {}, []
    headers = headers + [(name, value) for name, value in added if name.lower() not in given]
    return Request(
        url, body, name_in(members, "model"), name_in(members, "plan"), method=method, headers=tuple(headers)
    )  # fmt: skip


def _show_unsent(terminal: Terminal, asked: Request, target: str, *, keyed: bool) -> None:
    """Print the request that ``--offline`` does not send, without credentials."""
    headers = [(name, "[redacted]" if name.lower() in _SECRET_HEADERS else value) for name, value in asked.headers]
    if keyed:
        headers.append(("Authorization", "Bearer [redacted]"))
    if terminal.json_output:
        shown = {"offline": True, "method": asked.method, "url": target, "headers": dict(headers)}
        terminal.json({**shown, "body": asked.body.decode(errors="replace")})
        return
    head = "\n".join([f"{asked.method} {target}", *(f"{name}: {value}" for name, value in headers), ""])
    terminal.answer_bytes(head.encode() + (b"\n" + asked.body if asked.body else b""))
    terminal.note("offline: nothing was sent")


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
    try:
        check_whole(response)
    except LostAnswerError as error:
        raise error.with_answer(b"", error.request_id) from None  # what came of the body was printed or saved


def _head(response: Response) -> bytes:
    """Return the status line and headers, with credentials and receipts redacted."""
    lines = [f"{response.http_version} {response.status_code} {clean(response.reason_phrase)}"]
    for name, value in response.headers.multi_items():
        secret = name.lower() in _SECRET_HEADERS
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
            raise UsageError("--head cannot be used with a body or another method", hint="leave out --head")
        return "HEAD"
    if method is None:
        return "POST" if has_body else "GET"
    if not method or not set(method) <= _TOKEN:
        raise UsageError("the method is not a word", hint="write it like -X PUT")
    return method.upper()


def _json(body: bytes) -> dict[str, Any]:
    """Return the members of a JSON body; none if it is not an object.

    Raises:
        UsageError: it is not JSON.
    """
    try:
        value = json.loads(body)
    except (ValueError, RecursionError):
        raise UsageError("--json is not valid JSON", hint="check it with `jq .`, or send it with --data") from None
    return value if isinstance(value, dict) else {}
