"""Delegated signing, from outside: which keys a command reads, and what it says where one is missing."""

from __future__ import annotations

import json
import signal
import stat
from typing import TYPE_CHECKING

import pytest

from ando_cli.tempo.keys import PrivateKey
from tests.support.cli_box import KEY, keyring_in

if TYPE_CHECKING:
    from pathlib import Path

    from tests.support.cli_box import Box, Gateway


class Ring:
    """The keyring of a box, with the wallet in it."""

    def __init__(self, box: Box) -> None:
        self._kept, self._read = box.folder / "ring.json", box.folder / "ring.json.read"
        box.environment |= keyring_in(self._kept)
        box.run("wallet", "import", stdin=KEY.to_hex()).worked()

    @property
    def delegates(self) -> list[str]:
        """The accounts of the delegated keys."""
        return [name.removeprefix("ando-cli/") for name in self.kept if "/delegate:" in name]

    @property
    def kept(self) -> dict[str, str]:
        found = json.loads(self._kept.read_text())
        assert isinstance(found, dict)
        return found

    def drop(self, account: str) -> None:
        self._kept.write_text(json.dumps({name: key for name, key in self.kept.items() if not name.endswith(account)}))

    def read_by(self, box: Box, *arguments: str) -> set[str]:
        """Which accounts a command that works reads."""
        self._read.write_text("")
        box.run(*arguments).worked()
        return set(self._read.read_text().split())


@pytest.fixture
def ring(gateway: Gateway, box: Box) -> Ring:
    del box.environment["ANDO_PRIVATE_KEY"]
    return Ring(box)


@pytest.mark.parametrize("protocol", ["v1", "v2"])
def test_chatting_on_a_delegated_channel_reads_its_key_and_the_address_and_not_the_wallets_key(
    gateway: Gateway, box: Box, ring: Ring, protocol: str
) -> None:
    gateway.change(protocol=protocol)
    box.run("session", "open", "--delegate", "--yes").worked()
    [delegate] = ring.delegates
    assert ring.read_by(box, "chat", "hi") == {"address", delegate}
    assert gateway.actions[-1] == "voucher"

    assert "wallet" in ring.read_by(box, "session", "topup", "1", "--yes"), "a top-up is the wallet's transaction"
    assert box.run("session", "open", "--delegate").worked().stderr.startswith("a channel is open already")

    assert "wallet" not in ring.read_by(box, "session", "close")
    assert ring.delegates == []
    assert box.run("session", "list").worked().json[0]["state"] == "closed"


@pytest.mark.parametrize("way", ["ANDO_DELEGATE", "config.toml"])
def test_a_configuration_delegates_whatever_a_request_opens(gateway: Gateway, box: Box, ring: Ring, way: str) -> None:
    if way == "config.toml":
        gateway.configure("delegate = true")
    else:
        box.environment["ANDO_DELEGATE"] = "1"
    box.run("chat", "hi", "--yes").worked()
    assert len(ring.delegates) == 1
    box.run("chat", "hi").worked()


def test_a_forced_close_needs_the_wallets_key_only(gateway: Gateway, box: Box, ring: Ring) -> None:
    box.run("session", "open", "--delegate", "--yes").worked()
    [delegate] = ring.delegates
    ring.drop(delegate)
    before = box.records()["channels"]
    for arguments in (["chat", "hi"], ["session", "close"], ["session", "topup", "1", "--yes"]):
        done = box.run(*arguments)
        assert done.code == 1, arguments
        assert "this channel's own signing key is not on this machine" in done.stderr
        assert "session close --force" in done.stderr
    assert box.records()["channels"] == before, "nothing was signed"
    assert box.run("session", "close", "--force", "-j").worked().json["action"] == "close_requested"


def test_killed_with_its_key_stored_and_nothing_sent_the_next_run_opens_with_another_key(
    gateway: Gateway, box: Box, ring: Ring
) -> None:
    opening = ("session", "open", "--delegate", "--yes")
    assert box.run(*opening, PYTHON_KEYRING_BACKEND="file_keyring.Deadly").code == -signal.SIGKILL
    assert (set(gateway.actions), box.records()["channels"]) == ({"unpaid"}, [])
    [worthless] = ring.delegates
    box.run(*opening).worked()
    [used] = set(ring.delegates) - {worthless}
    assert used in ring.read_by(box, "chat", "hi")
    box.run("session", "close").worked()
    assert ring.delegates == [worthless], "it signs for nothing"
    assert gateway.actions.count("open") == 1


def test_where_no_key_can_be_kept_nothing_is_opened(gateway: Gateway, box: Box) -> None:
    refused = [
        box.run("session", "open", "--delegate", "--yes"),
        box.run("chat", "hi", "--yes", ANDO_DELEGATE="1"),
    ]
    gateway.configure("delegate = true")
    refused.append(box.run("chat", "hi", "--yes"))
    for done in refused:
        assert (done.code, done.out) == (1, b"")
        assert "OS keyring" in done.stderr
        assert "without --delegate" in done.stderr
    assert set(gateway.actions) == {"unpaid"}
    assert box.records().get("channels", []) == []
    box.run("chat", "hi", "--yes", ANDO_DELEGATE="0").worked()


def test_a_key_in_the_environment_goes_with_a_keyring_too(gateway: Gateway, box: Box, ring: Ring) -> None:
    box.environment["ANDO_PRIVATE_KEY"] = KEY.to_hex()
    box.run("session", "open", "--delegate", "--yes").worked()
    [delegate] = ring.delegates
    assert ring.read_by(box, "chat", "hi") == {delegate}


def test_an_open_channel_of_the_wallets_own_is_not_taken_for_a_delegated_one(
    gateway: Gateway, box: Box, ring: Ring
) -> None:
    gateway.warm_up()
    done = box.run("session", "open", "--delegate", "--yes")
    assert done.code == 4
    assert "the wallet's own key signs for it" in done.stderr
    warned = box.run("session", "open", ANDO_DELEGATE="1").worked()
    assert "the wallet's own key signs for it" in warned.stderr
    assert ring.delegates == []


def test_the_sandbox_keeps_its_delegated_keys_beside_its_wallet(box: Box) -> None:
    box.run("--sandbox", "session", "open", "--delegate").worked()
    folder: Path = box.home / "state" / "sandbox"
    [path] = folder.glob("delegate-*.key")
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert PrivateKey.parse(path.read_text()).address in path.name
    box.run("--sandbox", "chat", "hi").worked()
    box.run("--sandbox", "session", "close").worked()
    assert list(folder.glob("delegate-*.key")) == []
