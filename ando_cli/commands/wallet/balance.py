"""``ando wallet balance``: what the wallet holds."""

from __future__ import annotations

import typer

from ando_cli.cli.command import Command
from ando_cli.cli.help import examples
from ando_cli.errors import Code, RpcError
from ando_cli.http.deadline import Deadline
from ando_cli.money import amount
from ando_cli.runtime.context import invocation

app = typer.Typer(add_completion=False)


@app.command(
    cls=Command,
    epilog=examples(
        "ando wallet balance",
        "ando wallet balance --network tempo-moderato -j",
    ),
)
def balance(ctx: typer.Context) -> None:
    """Show how much of the network's token the wallet holds on the chain."""
    state = invocation(ctx)
    settings = state.settings
    network = settings.network
    owner = state.open_wallet().address()
    from ando_cli.tempo.rpc import Rpc  # loading web3 is slow

    deadline = Deadline(settings.max_time)
    with state.terminal.progress(), Rpc(network.rpc_url, timeout=settings.connect_timeout, deadline=deadline) as rpc:
        state.terminal.stage("asking the chain")
        if rpc.chain_id() != network.chain_id:
            raise RpcError(
                f"the RPC serves another chain than the network {network.name}",
                hint="check --rpc-url, ANDO_RPC_URL and rpc_url in config.toml",
                code=Code.RPC_WRONG_CHAIN,
            )
        held = amount(rpc.balance(network.token, owner))
    if state.terminal.json_output:
        shown = {"balance": held, "symbol": network.token_symbol, "token": network.token, "network": network.name}
        state.terminal.json(shown)
    else:
        state.terminal.answer(f"{held} {network.token_symbol}")
