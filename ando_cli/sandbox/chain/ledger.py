"""Keep TIP-20 balances and allowances, on a connection that is inside a transaction.

Every address with TIP-20's prefix is a token with six decimals. An account of its own collects the fees, and deposits
are a balance of the escrow, so the balances of a token always add up to what was minted.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from ando_cli.sandbox.chain import abi
from ando_cli.sandbox.chain.logs import Log, event
from ando_cli.sandbox.primitives import ZERO_ADDRESS

if TYPE_CHECKING:
    import sqlite3
    from collections.abc import Callable, Sequence

TOKEN_PREFIX = "0x20c000000000000000000000"  # noqa: S105 - a currency, not a password
FEE_COLLECTOR = "0xfeec000000000000000000000000000000000000"
DECIMALS = 6
UINT256_MAX = 2**256 - 1
UINT128_MAX = 2**128 - 1

TRANSFER = "Transfer(address,address,uint256)"
APPROVAL = "Approval(address,address,uint256)"


class Revert(Exception):  # noqa: N818 - the EVM's own term
    """Signal that a contract refused: everything that the transaction did is undone, except for its fee."""

    def __init__(self, error: str) -> None:
        """Take the signature of the Solidity error, like ``NotPayee()``."""
        super().__init__(error)
        self.data = abi.selector(error)


def is_token(account: str) -> bool:
    """Tell whether ``account`` is in the address range of TIP-20 tokens."""
    return account.startswith(TOKEN_PREFIX)


@dataclass(frozen=True)
class Ledger:
    """Hold the balances and allowances of all tokens, and collect the logs of one transaction."""

    connection: sqlite3.Connection
    logs: list[Log] = field(default_factory=list)

    def balance(self, token: str, account: str) -> int:
        """Return the balance of ``account``, in base units."""
        query = "SELECT amount FROM balances WHERE token = ? AND account = ?"
        return _amount(self.connection.execute(query, (token, account)).fetchone())

    def allowance(self, token: str, owner: str, spender: str) -> int:
        """Return the amount that ``spender`` may still take from ``owner``, in base units."""
        query = "SELECT amount FROM allowances WHERE token = ? AND owner = ? AND spender = ?"
        return _amount(self.connection.execute(query, (token, owner, spender)).fetchone())

    def supply(self, token: str) -> int:
        """Return the amount that was ever minted, in base units."""
        query = "SELECT value FROM meta WHERE key = ?"
        return _amount(self.connection.execute(query, (f"supply:{token}",)).fetchone())

    def mint(self, token: str, account: str, amount: int) -> None:
        """Create tokens, as the sandbox's faucet does.

        Raises:
            Revert: The supply would not fit into 128 bits.
        """
        supply = self.supply(token) + amount
        if supply > UINT128_MAX:
            raise Revert("SupplyCapExceeded()")
        self.connection.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (f"supply:{token}", str(supply)))
        self._set_balance(token, account, self.balance(token, account) + amount)

    def move(self, token: str, source: str, target: str, amount: int) -> None:
        """Transfer tokens without checking an allowance.

        Raises:
            Revert: ``source`` holds less than ``amount``, or the target is the zero address.
        """
        if target == ZERO_ADDRESS:
            raise Revert("InvalidRecipient()")
        held = self.balance(token, source)
        if held < amount:
            raise Revert("InsufficientBalance(uint256,uint256,address)")
        self._set_balance(token, source, held - amount)
        self._set_balance(token, target, self.balance(token, target) + amount)
        self.log(token, TRANSFER, (abi.account(source), abi.account(target)), abi.uint(amount))

    def approve(self, token: str, owner: str, spender: str, amount: int) -> None:
        """Let ``spender`` take up to ``amount``; this replaces the previous allowance."""
        self._set_allowance(token, owner, spender, amount)
        self.log(token, APPROVAL, (abi.account(owner), abi.account(spender)), abi.uint(amount))

    def take(self, token: str, owner: str, spender: str, target: str, amount: int) -> None:
        """Move the owner's tokens on behalf of ``spender``, within its allowance.

        Raises:
            Revert: The allowance or the balance is too small.
        """
        allowed = self.allowance(token, owner, spender)
        if allowed < amount:
            raise Revert("InsufficientAllowance()")
        if allowed != UINT256_MAX:
            self._set_allowance(token, owner, spender, allowed - amount)
        self.move(token, owner, target, amount)

    def log(self, contract: str, signature: str, indexed: Sequence[bytes], *words: bytes) -> None:
        """Record an event of ``contract``."""
        self.logs.append(event(contract, signature, indexed, *words))

    def _set_allowance(self, token: str, owner: str, spender: str, amount: int) -> None:
        self.connection.execute(
            "INSERT OR REPLACE INTO allowances VALUES (?, ?, ?, ?)", (token, owner, spender, str(amount))
        )

    def _set_balance(self, token: str, account: str, amount: int) -> None:
        self.connection.execute("INSERT OR REPLACE INTO balances VALUES (?, ?, ?)", (token, account, str(amount)))


def execute(ledger: Ledger, token: str, sender: str, data: bytes) -> bytes:
    """Run one call to a token contract and return its return data.

    Raises:
        Revert: The function does not exist or refuses.
        AbiError: The arguments do not decode.
    """
    function = _FUNCTIONS.get(data[:4])
    if function is None:
        raise Revert("UnknownFunctionSelector(bytes4)")
    return function(ledger, token, sender, data[4:])


def _amount(row: tuple[str] | None) -> int:
    return int(row[0]) if row else 0


def _approve(ledger: Ledger, token: str, sender: str, data: bytes) -> bytes:
    spender, amount = abi.words(data, 2)
    ledger.approve(token, sender, abi.to_account(spender), abi.to_uint(amount))
    return abi.uint(1)


def _transfer(ledger: Ledger, token: str, sender: str, data: bytes) -> bytes:
    target, amount = abi.words(data, 2)
    ledger.move(token, sender, abi.to_account(target), abi.to_uint(amount))
    return abi.uint(1)


def _transfer_from(ledger: Ledger, token: str, sender: str, data: bytes) -> bytes:
    owner, target, amount = abi.words(data, 3)
    ledger.take(token, abi.to_account(owner), sender, abi.to_account(target), abi.to_uint(amount))
    return abi.uint(1)


def _balance_of(ledger: Ledger, token: str, sender: str, data: bytes) -> bytes:
    return abi.uint(ledger.balance(token, abi.to_account(abi.words(data, 1)[0])))


def _allowance(ledger: Ledger, token: str, sender: str, data: bytes) -> bytes:
    owner, spender = abi.words(data, 2)
    return abi.uint(ledger.allowance(token, abi.to_account(owner), abi.to_account(spender)))


def _text(value: str) -> Callable[[Ledger, str, str, bytes], bytes]:
    return lambda ledger, token, sender, data: abi.uint(32) + abi.dynamic_bytes(value.encode())


_FUNCTIONS: dict[bytes, Callable[[Ledger, str, str, bytes], bytes]] = {
    abi.selector("approve(address,uint256)"): _approve,
    abi.selector("transfer(address,uint256)"): _transfer,
    abi.selector("transferFrom(address,address,uint256)"): _transfer_from,
    abi.selector("balanceOf(address)"): _balance_of,
    abi.selector("allowance(address,address)"): _allowance,
    abi.selector("totalSupply()"): lambda ledger, token, sender, data: abi.uint(ledger.supply(token)),
    abi.selector("decimals()"): lambda ledger, token, sender, data: abi.uint(DECIMALS),
    abi.selector("symbol()"): _text("testUSD"),
    abi.selector("name()"): _text("Sandbox dollar"),
}
