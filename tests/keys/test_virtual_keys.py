"""Virtual Keys: where they are kept, whose they are, and that nothing shows one."""

from __future__ import annotations

import pytest

from ando_cli.errors import UsageError, WalletError
from ando_cli.keys import oskeyring
from ando_cli.keys.virtual_keys import VirtualKey, VirtualKeys, check_key, check_profile

GATEWAY = "https://gateway.example"
KEY = "sk-ando-0123456789abcdefghij"
OTHER = "sk-ando-9876543210jihgfedcba"


@pytest.fixture
def ring(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """An OS keyring: accounts and what is stored for them."""
    kept: dict[str, str] = {}
    monkeypatch.setattr(oskeyring, "read", lambda account="wallet": kept.get(account))
    monkeypatch.setattr(oskeyring, "write", lambda secret, account="wallet": kept.update({account: secret}))
    monkeypatch.setattr(oskeyring, "delete", lambda account="wallet": kept.pop(account, None) and None)
    return kept


@pytest.fixture
def no_ring(monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(*_: str) -> str:
        raise WalletError("no usable keyring on this machine", hint="import a wallet", code="keyring_unusable")

    for name in ("read", "write", "delete"):
        monkeypatch.setattr(oskeyring, name, fail)


@pytest.mark.usefixtures("ring")
def test_a_stored_key_is_found_at_its_gateway_alone() -> None:
    keys = VirtualKeys({})
    keys.store(VirtualKey(KEY, "default", GATEWAY))
    assert keys.find(None, GATEWAY).value == KEY
    with pytest.raises(WalletError) as elsewhere:
        keys.find(None, "https://evil.example")
    assert elsewhere.value.code == "key_elsewhere"
    assert KEY not in str(elsewhere.value)


@pytest.mark.usefixtures("ring")
def test_a_named_profile_goes_before_the_environment_and_that_before_the_configured_one() -> None:
    keys = VirtualKeys({"ANDO_VIRTUAL_KEY": f" {OTHER}\n"}, "work")
    keys.store(VirtualKey(KEY, "work", GATEWAY))
    assert keys.find(None, GATEWAY).value == OTHER
    assert keys.find("work", GATEWAY).value == KEY
    assert VirtualKeys({}, "work").find(None, GATEWAY).value == KEY
    with pytest.raises(WalletError) as missing:
        VirtualKeys({}, "play").find(None, GATEWAY)
    assert missing.value.code == "key_missing"
    assert "'play'" in missing.value.message


def test_all_profiles_are_listed_and_removed_one_by_one(ring: dict[str, str]) -> None:
    keys = VirtualKeys({})
    for name, value in (("work", KEY), ("default", OTHER)):
        keys.store(VirtualKey(value, name, GATEWAY))
    assert [key.profile for key in keys.all()] == ["default", "work"]
    assert keys.remove("work")
    assert not keys.remove("work")
    assert [key.profile for key in keys.all()] == ["default"]
    assert not [kept for kept in ring.values() if KEY in kept]


def test_a_key_that_another_program_removed_is_not_listed(ring: dict[str, str]) -> None:
    keys = VirtualKeys({})
    keys.store(VirtualKey(KEY, "work", GATEWAY))
    del ring["virtual-key:work"]
    assert keys.all() == []


@pytest.mark.parametrize("damaged", ["", "{", "[]", '{"key":1}', '{"key":"short","gateway":"x"}'])
def test_a_damaged_entry_says_how_to_mend_it(ring: dict[str, str], damaged: str) -> None:
    ring["virtual-key:default"] = damaged
    with pytest.raises(WalletError) as broken:
        VirtualKeys({}).find(None, GATEWAY)
    assert broken.value.code == "key_damaged"


@pytest.mark.parametrize("index", ["", "{", "{}", "[1]", "null"])
def test_a_damaged_index_is_an_empty_one(ring: dict[str, str], index: str) -> None:
    ring["virtual-keys"] = index
    assert VirtualKeys({}).all() == []


@pytest.mark.usefixtures("no_ring")
def test_without_a_keyring_the_environment_is_the_way_out() -> None:
    with pytest.raises(WalletError) as unusable:
        VirtualKeys({}).find(None, GATEWAY)
    assert "ANDO_VIRTUAL_KEY" in (unusable.value.hint or "")
    assert "wallet" not in (unusable.value.hint or "")
    [key] = VirtualKeys({"ANDO_VIRTUAL_KEY": KEY}).all()
    assert (key.value, key.profile, key.source) == (KEY, None, "ANDO_VIRTUAL_KEY")
    with pytest.raises(WalletError):
        VirtualKeys({}).check_keyring()


def test_a_preview_tells_keys_apart_and_no_more() -> None:
    key = VirtualKey(KEY, "default", GATEWAY)
    assert key.preview == "sk-…ghij"
    assert VirtualKey("12345678", None, None).preview == "…"
    assert KEY not in repr(key)


@pytest.mark.parametrize(
    "text", ["", "short", "with space in it", "a" * 2000, "nön-ascii-key", "0x" + "a1" * 32, "a1" * 32, "line\nbreak-x"]
)
def test_what_cannot_be_a_key_is_refused_without_repeating_it(text: str) -> None:
    with pytest.raises(UsageError) as refused:
        check_key(text)
    assert not text or text not in f"{refused.value.message} {refused.value.hint}"


@pytest.mark.parametrize("name", ["", "-x", "a b", "a/b", "x" * 33, "ö"])
def test_a_profile_has_a_plain_name(name: str) -> None:
    with pytest.raises(UsageError):
        check_profile(name)
