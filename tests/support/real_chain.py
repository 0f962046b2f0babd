"""A real chain for the tests: ``anvil --network tempo``, and on it the v1 escrow contract.

Nothing here uses ``ando_cli``: what it says about the chain is an answer of its own.
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import time
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NamedTuple, Protocol

from eth_account import Account
from filelock import FileLock
from pytempo import Call, TempoTransaction
from pytempo.contracts import ALPHA_USD, TIP20_ABI
from web3 import Web3

from tests.support import real_parts

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from eth_account.signers.local import LocalAccount
    from eth_typing import ChecksumAddress
    from web3.contract import Contract
    from web3.types import TxReceipt

# Tempo's own number: peers such as mppx know the chain by it.
CHAIN_ID = 4217

# The newest rules that anvil 1.7 knows. Left alone it starts with the oldest, where an expiring nonce is an ordinary
# one, so that a sender's second transaction is dropped without a word, and where storage costs a tenth of what it does.
HARDFORK = "t4"

# Each development account holds 2**64-1 units of pathUSD, AlphaUSD, BetaUSD and ThetaUSD; USDC.e is not there.
TOKEN: ChecksumAddress = Web3.to_checksum_address(ALPHA_USD)

# An expiring nonce: nothing to fetch, and the transaction is void unless it is mined within 30 seconds.
EXPIRING_NONCE_KEY = 2**256 - 1

# More than anything here needs. The most is an open, the contract's first, by an account that never sent anything:
# 2.07 million, because each slot of storage that was empty before costs 250,000.
GAS_LIMIT = 3_000_000

CONTRACT = "TempoStreamChannel"
SOURCE = real_parts.HERE / "contracts" / f"{CONTRACT}.sol"


class ChainError(Exception):
    """The node refused a call. The text is the node's own."""


class OnChainChannel(NamedTuple):
    """What ``getChannel`` returns, in the order of docs/protocol.md, section 4."""

    finalized: bool
    close_requested_at: int
    payer: ChecksumAddress
    payee: ChecksumAddress
    token: ChecksumAddress
    authorized_signer: ChecksumAddress
    deposit: int
    settled: int


@dataclass(frozen=True)
class Chain:
    """A running node. Amounts are in base units, of ``TOKEN`` where no other token is named."""

    rpc_url: str
    chain_id: int
    token: ChecksumAddress = TOKEN

    @cached_property
    def web3(self) -> Web3:
        return Web3(Web3.HTTPProvider(self.rpc_url))

    def rpc(self, method: str, *params: Any) -> Any:
        """One JSON-RPC call: its result, or a ``ChainError`` with what the node said."""
        answer = self.web3.provider.make_request(method, list(params))  # type: ignore[arg-type]
        if "error" in answer:
            raise ChainError(str(answer["error"]))
        return answer["result"]

    def tip20(self, token: str | None = None) -> Contract:
        return self.web3.eth.contract(address=Web3.to_checksum_address(token or self.token), abi=TIP20_ABI)

    def balance(self, owner: str, token: str | None = None) -> int:
        return int(self.tip20(token).functions.balanceOf(Web3.to_checksum_address(owner)).call())

    def development_account(self, index: int) -> ChecksumAddress:
        """One of the ten accounts that anvil holds the keys of and that own every token."""
        return self.web3.eth.accounts[index]

    def send_unlocked(self, sender: ChecksumAddress, data: str, to: str | None = None) -> TxReceipt:
        """Sends from a development account; anvil counts its nonces, fills in the gas, and signs."""
        transaction = {"from": sender, "data": data} | ({"to": to} if to else {})
        return self.receipt(self.rpc("eth_sendTransaction", transaction))

    def fund(self, receiver: str, amount: int, token: str | None = None) -> None:
        """Gives somebody tokens."""
        data = self.tip20(token).encode_abi("transfer", [Web3.to_checksum_address(receiver), amount])
        # Not account 0, whose first transaction deploys the contract to an address that configurations can name.
        receipt = self.send_unlocked(self.development_account(1), data, token or self.token)
        assert receipt["status"] == 1

    def sign(self, account: LocalAccount, calls: Sequence[Call], gas_limit: int = GAS_LIMIT) -> TempoTransaction:
        """A signed 0x76 transaction with an expiring nonce that pays its fee in ``token``."""
        return TempoTransaction.create(
            chain_id=self.chain_id,
            gas_limit=gas_limit,
            # The price moves with every block here, while on Tempo it is fixed.
            max_fee_per_gas=2 * self.web3.eth.gas_price,
            nonce_key=EXPIRING_NONCE_KEY,
            valid_before=self.now() + 25,
            fee_token=self.token,
            calls=tuple(calls),
        ).sign(account.key.hex())

    def send(self, account: LocalAccount, calls: Sequence[Call], gas_limit: int = GAS_LIMIT) -> TxReceipt:
        """Sends calls as one 0x76 transaction. A receipt with status 0 is an answer here, not an error."""
        signed = self.sign(account, calls, gas_limit)
        return self.receipt(self.rpc("eth_sendRawTransaction", "0x" + signed.encode().hex()))

    def receipt(self, transaction_hash: str) -> TxReceipt:
        return self.web3.eth.wait_for_transaction_receipt(
            transaction_hash,  # type: ignore[arg-type]
            timeout=20,
            poll_latency=0.02,
        )

    def now(self) -> int:
        """The time as the chain sees it: after ``travel`` it is not that of the machine."""
        return max(int(self.web3.eth.get_block("latest")["timestamp"]), int(time.time()))

    def travel(self, seconds: int) -> None:
        """Moves the chain's clock forward. Do this under ``rewound``, or later tests meet a chain from the future."""
        self.rpc("evm_increaseTime", seconds)
        self.rpc("evm_mine")

    @contextmanager
    def rewound(self) -> Iterator[None]:
        """Afterwards the chain, and its clock, are as they were before."""
        snapshot = self.rpc("evm_snapshot")
        try:
            yield
        finally:
            self.rpc("evm_revert", snapshot)
            # The revert sets the clock back by all the time since the snapshot: what lives for seconds would not fit.
            self.rpc("evm_setNextBlockTimestamp", int(time.time()))
            self.rpc("evm_mine")


@dataclass(frozen=True)
class Escrow:
    """The v1 escrow contract on a chain."""

    chain: Chain
    address: ChecksumAddress
    abi: list[dict[str, Any]]

    def configuration(self, base_url: str, *lines: str) -> str:
        """A ``config.toml`` for the gateway at ``base_url`` that trusts this contract; ``lines`` stand at its top."""
        return "\n".join(
            [
                *lines,
                f'network = "local"\nbase_url = "{base_url}"',
                f'[networks.local]\nchain_id = {self.chain.chain_id}\nrpc_url = "{self.chain.rpc_url}"',
                f'token = "{self.chain.token}"\nescrows = ["{self.address}"]\n',
            ]
        )

    @cached_property
    def contract(self) -> Contract:
        return self.chain.web3.eth.contract(address=self.address, abi=self.abi)

    def channel(self, channel_id: bytes | str) -> OnChainChannel:
        return OnChainChannel(*self.contract.functions.getChannel(channel_id).call())

    def call(self, function: str, *arguments: Any) -> Call:
        """A call of the contract, for a transaction."""
        return Call.create(to=self.address, data=self.contract.encode_abi(function, list(arguments)))

    def approval(self, amount: int) -> Call:
        """The call that lets the contract take a deposit."""
        return Call.create(to=self.chain.token, data=self.chain.tip20().encode_abi("approve", [self.address, amount]))


class FundedKey(Protocol):
    """Makes a fresh key that owns ``amount`` base units of the chain's token, 100 whole ones if nothing is said."""

    def __call__(self, amount: int = 100_000_000) -> LocalAccount: ...


@contextmanager
def running_anvil(program: Path, log: Path, chain_id: int = CHAIN_ID) -> Iterator[Chain]:
    """Runs a Tempo node on a free loopback port for as long as the block lasts; its output goes into ``log``."""
    command = [str(program), "--network", "tempo", "--hardfork", HARDFORK, "--chain-id", str(chain_id)]
    # Port 0 lets the system choose, so that nobody can take the port between the choice and the start.
    command += ["--host", "127.0.0.1", "--port", "0"]
    with log.open("w") as output:
        process = subprocess.Popen(
            real_parts.bound_to_us(command), stdin=subprocess.DEVNULL, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        try:
            address = real_parts.listening_on(process, log)
        except real_parts.DidNotStartError as error:
            real_parts.missing("an anvil that knows Tempo", f"the one found said: {error}")
        yield Chain(rpc_url=f"http://{address}", chain_id=chain_id)
    finally:
        process.terminate()
        try:
            process.wait(timeout=5)
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()


def compiled_escrow(cache: Path) -> dict[str, Any]:
    """The contract's ``abi`` and ``bytecode``. Compiling takes seconds, so the answer is kept for as long as the
    source, the script and the compiler's version are the same."""
    inputs = [SOURCE, real_parts.NPM / "compile.cjs", real_parts.NPM / "package.json"]
    key = hashlib.sha256(b"\0".join(path.read_bytes() for path in inputs)).hexdigest()
    kept = cache / f"{key}.json"
    with FileLock(cache / "lock"):
        if not kept.exists():
            command = [*real_parts.solidity_compiler(), str(SOURCE), CONTRACT]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stderr
            kept.write_text(done.stdout)
    compiled: dict[str, Any] = json.loads(kept.read_text())
    return compiled


def deployed_escrow(chain: Chain, cache: Path) -> Escrow:
    """Deploys the contract; on a fresh chain its address is always 0x5fbdb2315678afecb367f032d93f642f64180aa3."""
    compiled = compiled_escrow(cache)
    receipt = chain.send_unlocked(chain.development_account(0), compiled["bytecode"])
    address = receipt["contractAddress"]
    assert receipt["status"] == 1
    assert address is not None
    return Escrow(chain=chain, address=address, abi=compiled["abi"])


def environment_of(payer: LocalAccount, folder: Path) -> dict[str, str]:
    """The environment of ``ando`` for somebody who lives in ``folder`` and pays with this key."""
    return {
        "PATH": os.environ["PATH"],
        "HOME": str(folder),
        "ANDO_HOME": str(folder),
        "ANDO_PRIVATE_KEY": payer.key.hex(),
    }


def fresh_account() -> LocalAccount:
    """A key that nobody has seen before."""
    account: LocalAccount = Account.create()
    return account
