"""Real parts for the tests in this folder: a Tempo chain, the escrow contract on it, a key store.

Each worker of a parallel run starts its own chain, so tests share one only with tests that run one after the other.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from tests.support import real_chain, real_keyring, real_parts

if TYPE_CHECKING:
    from collections.abc import Generator, Iterator

    from eth_account.signers.local import LocalAccount

    from tests.support.real_chain import Chain, Escrow, FundedKey
    from tests.support.real_keyring import SecretService


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport() -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """Where every part is required, a test that was skipped has not shown what it is there to show."""
    report = yield
    if real_parts.required() and report.skipped and not hasattr(report, "wasxfail"):
        reason = report.longrepr[2] if isinstance(report.longrepr, tuple) else report.longrepr
        report.outcome = "failed"
        report.longrepr = f"ANDO_REQUIRE_INTEGRATION is set, and this was skipped. {reason}"
    return report


@pytest.fixture(scope="session")
def anvil(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Chain]:
    """A fresh Tempo chain, the same for all tests of one worker."""
    log = tmp_path_factory.mktemp("anvil") / "anvil.log"
    with real_chain.running_anvil(real_parts.anvil_program(), log) as chain:
        yield chain


@pytest.fixture(scope="session")
def escrow(anvil: Chain, pytestconfig: pytest.Config) -> Escrow:
    """The v1 escrow contract, deployed on ``anvil``."""
    assert pytestconfig.cache is not None
    return real_chain.deployed_escrow(anvil, pytestconfig.cache.mkdir("tempo-stream-channel"))


@pytest.fixture
def rewound(anvil: Chain, escrow: Escrow) -> Iterator[None]:
    """What the test does to the chain, its clock included, is undone afterwards; the contract stays."""
    with anvil.rewound():
        yield


@pytest.fixture
def funded_key(anvil: Chain) -> FundedKey:
    """A function that makes a fresh key with tokens on ``anvil``."""

    def make(amount: int = 100_000_000) -> LocalAccount:
        account = real_chain.fresh_account()
        anvil.fund(account.address, amount)
        return account

    return make


@pytest.fixture
def secret_service(tmp_path_factory: pytest.TempPathFactory) -> SecretService:
    """A real Secret Service with a key store of its own, empty at first."""
    # Not in the test's own folder: the path of the daemon's socket must not pass 107 bytes.
    return real_keyring.secret_service(tmp_path_factory.mktemp("keys") / "home")
