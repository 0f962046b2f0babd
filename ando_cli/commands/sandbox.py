"""``ando sandbox run``: a local gateway and chain to try things out."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from ando_cli.cli.command import Command
from ando_cli.cli.globals import SharedOptionsGroup
from ando_cli.cli.help import examples
from ando_cli.errors import AndoError, StoreError, UsageError
from ando_cli.files import make_private_folder
from ando_cli.runtime.context import invocation
from ando_cli.tempo.keys import PrivateKey

if TYPE_CHECKING:
    from ando_cli.runtime.context import Invocation

app = typer.Typer(
    cls=SharedOptionsGroup,
    add_completion=False,
    help="Run a local gateway and chain to try things out. No real money.",
)


PLAY_MONEY = 100_000_000


@app.callback()
def _group() -> None:
    pass


@app.command(
    cls=Command,
    epilog=examples(
        "ando sandbox run",
        "ando sandbox run --port 8700 --protocol v2 -v",
        "ando sandbox run --chain-id 42431 --gas-price 12",
    ),
)
def run(
    ctx: typer.Context,
    port: Annotated[
        int, typer.Option(metavar="PORT", min=0, max=65535, help="The port to listen on; 0 picks a free one.")
    ] = 8600,
    host: Annotated[str, typer.Option(metavar="ADDRESS", help="The loopback address to listen on.")] = "127.0.0.1",
    file: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="Keep the chain and the sessions in this file, not in the state folder."),
    ] = None,
    outside_rpc: Annotated[
        str | None, typer.Option(metavar="URL", help="Use this chain instead of the built-in one.")
    ] = None,
    escrow: Annotated[str | None, typer.Option(metavar="ADDRESS", help="With --outside-rpc: its v1 escrow.")] = None,
    token: Annotated[str | None, typer.Option(metavar="ADDRESS", help="With --outside-rpc: the currency.")] = None,
    chain_id: Annotated[
        int | None,
        typer.Option(
            metavar="N", min=1, max=2**63 - 1, help="The chain id: its own, or with --outside-rpc that one's."
        ),
    ] = None,
    gas_price: Annotated[
        int | None,
        typer.Option(metavar="GWEI", min=0, max=10**6, help="The base fee of the built-in chain; 20 at first."),
    ] = None,
    protocol: Annotated[
        str, typer.Option(metavar="v1|v2|both", help="The session protocol of the challenges; both offers v2 first.")
    ] = "v1",
    fund: Annotated[
        list[str] | None,
        typer.Option(metavar="ADDRESS", help="Give this account 100 in play money; may be repeated."),
    ] = None,
) -> None:
    """Serve until Ctrl-C. Use the printed addresses with --base-url and --rpc-url.

    The gateway's own key, for an outside chain, comes from ANDO_SANDBOX_PAYEE_KEY.
    """
    state = invocation(ctx)
    from ando_cli.sandbox import faucet
    from ando_cli.sandbox import server as sandbox

    try:
        settings = sandbox.Settings(protocol=protocol)
    except ValueError:
        raise UsageError(f"invalid --protocol {protocol!r}: expected v1, v2 or both") from None
    given = {"escrow": escrow, "token": token, "chain_id": chain_id}
    if outside_rpc is None and (escrow is not None or token is not None):
        raise UsageError("--escrow and --token describe an outside chain", hint="add --outside-rpc URL")
    if outside_rpc is not None and (None in given.values() or fund or gas_price is not None):
        raise UsageError(
            "an outside chain needs --escrow, --token and --chain-id, and is neither funded nor priced from here",
            hint="give the three, and leave out --fund and --gas-price",
        )
    # A file holds one chain: another id is another file.
    name = "served.db" if chain_id is None or outside_rpc is not None else f"served-{chain_id}.db"
    path = file or state.settings.folders.state / "sandbox" / name
    payee_key = _payee_key(state)

    def ready(base_url: str, rpc_url: str, virtual_key: str) -> None:
        terminal = state.terminal
        if terminal.json_output:
            terminal.json({"base_url": base_url, "rpc_url": rpc_url, "virtual_key": virtual_key})
        else:
            terminal.answer(f"gateway  {base_url}\nchain    {rpc_url}")
            terminal.note(f"The account-owned routes take its Virtual Key: ANDO_VIRTUAL_KEY={virtual_key}")
        terminal.note("Ctrl-C stops it. Answers are canned, signatures are real, money is not.")

    chosen: dict[str, Any] = {name: value for name, value in given.items() if value is not None}
    try:
        make_private_folder(path.parent)
        config = sandbox.SandboxConfig(
            path=path,
            host=host,
            port=port,
            rpc_url=outside_rpc,
            payee_key=payee_key or None,
            settings=settings,
            gas_price=None if gas_price is None else gas_price * 10**9,
            access_log=lambda line: state.terminal.detail(1, line),
            **chosen,
        )
        for account in fund or ():
            faucet.fund(config, account, PLAY_MONEY)
        sandbox.run_forever(config, ready)
    except ValueError as error:
        raise UsageError(f"the sandbox cannot be started: {error}", hint="ando sandbox run --help") from None
    except OSError as error:
        if error.filename is not None:
            raise StoreError(f"cannot write {path}: {error.strerror}", hint="give another --file") from None
        raise AndoError(f"cannot listen on {host} port {port}", hint="give another --port, or 0") from None


def _payee_key(state: Invocation) -> str | None:
    """The key that the gateway is to be paid at; ``None`` or empty where the environment has none."""
    key = state.environ.get("ANDO_SANDBOX_PAYEE_KEY")
    try:
        return PrivateKey.parse(key).to_hex() if key else key
    except ValueError:
        raise UsageError("ANDO_SANDBOX_PAYEE_KEY is not a private key", hint="give 64 hex digits") from None
