"""Channels with a key of their own: it signs their vouchers, and the wallet's signs the transactions."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from ando_cli.errors import AndoError, PaymentError, StoreError, WalletError
from ando_cli.mpp.credential import OpenPayload, TopUpPayload, VoucherPayload
from ando_cli.session.act import closing, deposits, settling, signing
from ando_cli.session.channel import Channel, State
from ando_cli.session.decide.steps import Voucher
from ando_cli.session.record.store import Store
from ando_cli.tempo.keys import PrivateKey, recover
from ando_cli.tempo.protocol import Protocol
from ando_cli.tempo.voucher import voucher_digest
from tests.support.session_doubles import (
    CHAIN_ID,
    ESCROW,
    GATEWAY,
    KEY,
    MILLION,
    NOW,
    Clock,
    Consent,
    FakeChain,
    channel,
    make_session,
    session_request,
)

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from ando_cli.session.act.session import Session


@dataclass
class Kept:
    """Keys in memory. ``refusal`` is what happens instead of keeping one."""

    keys: dict[str, PrivateKey] = field(default_factory=dict)
    refusal: WalletError | None = None
    stubborn: bool = False

    def check(self) -> None:
        if self.refusal is not None:
            raise self.refusal

    def make(self) -> PrivateKey:
        self.check()
        key = PrivateKey.generate()
        self.keys[key.address] = key
        return key

    def find(self, signer: str) -> PrivateKey | None:
        return self.keys.get(signer)

    def remove(self, signer: str) -> None:
        if self.stubborn:
            raise WalletError("locked")
        self.keys.pop(signer, None)


class Bench:
    """A session that delegates, and notes whether the wallet's key was read."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.clock = Clock()
        self.chain = FakeChain(self.clock)
        self.consent = Consent()
        self.kept = Kept()
        self.store = Store(folder / "sessions.db", clock=self.clock)
        self.key_was_read = False
        self.address = KEY.address
        self.session = self.make()
        self.key = self.session.channel_key(GATEWAY, session_request())

    def make(self, **changes: Any) -> Session:
        usual: dict[str, Any] = {"delegates": self.kept, "delegate": True, "address": lambda: self.address}
        return make_session(
            self.folder, self.chain, self.clock, consent=self.consent, store=self.store, key=self.read_key,
            **(usual | changes),
        )  # fmt: skip

    def read_key(self) -> PrivateKey:
        self.key_was_read = True
        return KEY

    def opened(self, **changes: Any) -> Channel:
        """A delegated channel that is on the chain."""
        made = deposits.open_channel(self.session, self.key, session_request(**changes))
        self.chain.show(made)
        settling.resolve(self.session, made)
        found = self.store.channel(made.channel_id)
        assert found is not None
        assert found.state is State.OPEN
        self.key_was_read = False
        self.session = self.make()  # the next command
        return found


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Bench]:
    made = Bench(tmp_path)
    yield made
    made.store.close()


def signer_of(payload: object, protocol: Protocol = Protocol.V1) -> str:
    assert isinstance(payload, OpenPayload | VoucherPayload)
    digest = voucher_digest(
        payload.channel_id, payload.cumulative_amount, escrow=ESCROW, chain_id=CHAIN_ID, protocol=protocol
    )
    return recover(digest, bytes.fromhex(payload.signature[2:]))


@pytest.mark.parametrize("protocol", list(Protocol))
def test_a_new_channel_gets_a_key_of_its_own_which_is_part_of_its_identity(bench: Bench, protocol: Protocol) -> None:
    made = deposits.open_channel(bench.session, bench.key, session_request(session_protocol=protocol))
    [signer] = bench.kept.keys
    assert made.terms.authorized_signer == signer != KEY.address
    assert made.terms.payer == KEY.address
    assert made.channel_id == made.terms.channel_id != replace(made.terms, authorized_signer=KEY.address).channel_id
    payload = signing.payload(bench.session, made)
    assert isinstance(payload, OpenPayload)
    assert payload.authorized_signer == signer
    assert signer_of(payload, protocol) == signer
    assert signer[2:] in payload.transaction


def test_the_key_is_kept_before_the_open_is_recorded(bench: Bench, monkeypatch: pytest.MonkeyPatch) -> None:
    kept_at: list[int] = []
    add = bench.store.add

    def observed(made: Channel, **options: Any) -> None:
        kept_at.append(len(bench.kept.keys))
        add(made, **options)

    monkeypatch.setattr(bench.store, "add", observed)
    deposits.open_channel(bench.session, bench.key, session_request())
    assert kept_at == [1]


def test_two_channels_have_two_keys(bench: Bench) -> None:
    first = deposits.open_channel(bench.session, bench.key, session_request())
    bench.store.ended(first.channel_id, State.ABANDONED)
    deposits.open_channel(bench.session, bench.key, session_request())
    assert len(bench.kept.keys) == 2


def test_where_no_key_can_be_kept_nobody_is_asked_and_nothing_is_signed_or_recorded(bench: Bench) -> None:
    bench.kept.refusal = WalletError("no keyring", code="delegate_unkept")
    with pytest.raises(WalletError, match="no keyring"):
        deposits.open_channel(bench.session, bench.key, session_request())
    with pytest.raises(WalletError, match="no place"):
        deposits.open_channel(bench.make(delegates=None), bench.key, session_request())
    assert bench.consent.asked == []
    assert bench.store.channels() == []
    assert not bench.key_was_read


@pytest.mark.parametrize("trouble", ["consent", "record"])
def test_no_key_stays_behind_where_no_channel_came_to_be(
    bench: Bench, monkeypatch: pytest.MonkeyPatch, trouble: str
) -> None:
    def full(_: Channel, **__: Any) -> None:
        raise StoreError("the disk is full")

    if trouble == "consent":
        bench.consent.refusal = PaymentError("no")
    else:
        monkeypatch.setattr(bench.store, "add", full)
    with pytest.raises(AndoError):
        deposits.open_channel(bench.session, bench.key, session_request())
    assert bench.kept.keys == {}


def test_paying_from_a_delegated_channel_does_not_touch_the_wallets_key(bench: Bench) -> None:
    opened = bench.opened()
    assert bench.session.channel_key(GATEWAY, session_request()) == bench.key
    assert signing.record_raise(bench.session, opened, Voucher(cumulative_amount=2 * MILLION, raised_by=MILLION))
    raised = bench.store.channel(opened.channel_id)
    assert raised is not None
    assert signer_of(signing.payload(bench.session, raised)) == opened.terms.authorized_signer
    assert not bench.key_was_read


def test_a_close_voucher_is_signed_with_the_channels_key_too(bench: Bench) -> None:
    opened = bench.opened()
    payload = signing.close_payload(bench.session, opened, MILLION // 2)
    digest = voucher_digest(opened.channel_id, MILLION // 2, escrow=ESCROW, chain_id=CHAIN_ID)
    assert recover(digest, bytes.fromhex(payload.signature[2:])) == opened.terms.authorized_signer
    assert not bench.key_was_read


def test_a_top_up_is_the_wallets_transaction(bench: Bench) -> None:
    opened = bench.opened()
    topped = deposits.top_up(bench.session, opened, session_request(), MILLION)
    assert isinstance(signing.payload(bench.session, topped), TopUpPayload)
    assert bench.key_was_read


def test_a_channel_that_is_not_delegated_stays_the_wallets(bench: Bench) -> None:
    bench.store.add(channel())
    assert signer_of(signing.payload(bench.session, channel())) == KEY.address
    settling.end(bench.session, channel(), State.CLOSED)
    assert bench.session.keys.signer(channel()) == KEY


# A key that is missing


def test_without_its_key_nothing_is_signed_and_the_way_out_is_named(bench: Bench) -> None:
    opened = bench.opened()
    bench.kept.keys.clear()
    for use in (
        lambda: bench.session.keys.signer(opened),
        lambda: signing.payload(bench.session, opened),
        lambda: signing.close_payload(bench.session, opened, MILLION),
        lambda: deposits.top_up(bench.session, opened, session_request(), MILLION),
        lambda: signing.payload(bench.make(delegates=None), opened),
    ):
        with pytest.raises(WalletError) as caught:
            use()
        assert caught.value.code == "delegate_missing"
        assert "ando session close --force" in (caught.value.hint or "")
    assert bench.store.channel(opened.channel_id) == opened
    assert not bench.key_was_read


def test_a_key_of_another_account_is_never_used_in_its_stead(bench: Bench) -> None:
    opened = bench.opened()
    bench.kept.keys[opened.terms.authorized_signer] = PrivateKey.generate()
    with pytest.raises(WalletError) as caught:
        signing.payload(bench.session, opened)
    assert caught.value.code == "delegate_missing"


def test_another_wallets_channel_is_not_signed_for(bench: Bench) -> None:
    theirs = PrivateKey.generate().address
    foreign = channel()
    foreign = replace(foreign, terms=replace(foreign.terms, payer=theirs, authorized_signer=theirs))
    with pytest.raises(WalletError) as caught:
        signing.payload(bench.session, foreign)
    assert caught.value.code == "signer_mismatch"


def test_an_address_that_is_not_that_of_the_key_is_found_out_before_anything_is_signed(bench: Bench) -> None:
    bench.address = PrivateKey.generate().address
    session = bench.make(delegate=False)
    with pytest.raises(WalletError) as caught:
        deposits.open_channel(session, session.channel_key(GATEWAY, session_request()), session_request())
    assert caught.value.code == "wallet_mismatch"
    assert "ando wallet address" in (caught.value.hint or "")
    assert bench.store.channels() == []


# The end of a key


def test_the_key_goes_when_the_chain_shows_that_its_channel_is_closed(bench: Bench) -> None:
    opened = bench.opened()
    bench.chain.show(opened, finalized=True)
    settling.resolve(bench.session, opened)
    assert bench.kept.keys == {}


def test_the_key_stays_although_the_chain_does_not_show_its_channel(bench: Bench) -> None:
    made = deposits.open_channel(bench.session, bench.key, session_request())
    settling.resolve(bench.session, made)
    assert list(bench.kept.keys) == [made.terms.authorized_signer], "it may come yet"
    bench.clock.now = NOW + 1_000
    settling.resolve(bench.session, made)
    ended = bench.store.channel(made.channel_id)
    assert ended is not None
    assert ended.state is State.ABANDONED
    assert list(bench.kept.keys) == [made.terms.authorized_signer], "an absence proves nothing"


def test_the_key_goes_with_a_confirmed_close(bench: Bench) -> None:
    opened = bench.opened()
    bench.chain.show(opened, finalized=True)
    closing.confirm(bench.session, opened)
    assert bench.kept.keys == {}
    recorded = bench.store.channel(opened.channel_id)
    assert recorded is not None
    assert recorded.state is State.CLOSED


def test_a_close_is_recorded_although_the_keyring_does_not_let_go_of_the_key(bench: Bench) -> None:
    opened = bench.opened()
    bench.kept.stubborn = True
    settling.end(bench.session, opened, State.CLOSED, 0)
    recorded = bench.store.channel(opened.channel_id)
    assert recorded is not None
    assert recorded.state is State.CLOSED


def test_the_end_of_a_channel_that_the_wallet_signs_for_removes_no_key(bench: Bench) -> None:
    bench.kept.keys[KEY.address] = KEY
    known = channel()
    bench.store.add(known)
    settling.end(bench.session, known, State.CLOSED, 0)
    assert bench.kept.keys == {KEY.address: KEY}


def test_the_end_of_a_delegated_channel_is_recorded_where_no_keys_are_kept(bench: Bench) -> None:
    known = bench.opened()
    settling.end(bench.make(delegates=None, delegate=False), known, State.CLOSED, 0)
    found = bench.store.channel(known.channel_id)
    assert found is not None
    assert found.state is State.CLOSED
