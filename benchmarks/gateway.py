"""The gateway that is paid while time is taken: the sandbox, in a process of its own, under Moderato's chain id.

`python benchmarks/gateway.py [--charge=full] FOLDER ADDRESS...` gives each address play money and prints one line of
JSON. A gateway that charges in full asks for a thousandth of what one that meters does.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

from ando_cli.sandbox import faucet, server
from ando_cli.tempo.network import NETWORKS

PLAY_MONEY = 1_000_000_000


def main(*arguments: str) -> None:
    charge = "full" if "--charge=full" in arguments else "metered"
    folder, *accounts = (argument for argument in arguments if not argument.startswith("--"))
    settings = server.Settings(charge=charge, amount=1_000 if charge == "full" else 1_000_000)
    network = NETWORKS["tempo-moderato"]
    config = server.SandboxConfig(
        path=Path(folder) / "gateway.db",
        chain_id=network.chain_id,
        token=network.token,
        escrow=network.escrows[0],
        settings=settings,
    )
    for account in accounts:
        faucet.fund(config, account, PLAY_MONEY)
    server.run_forever(
        config,
        lambda base_url, rpc_url, virtual_key: print(
            json.dumps({"base_url": base_url, "rpc_url": rpc_url}), flush=True
        ),
    )


main(*sys.argv[1:])
