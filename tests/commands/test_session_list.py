"""``ando session list`` as a table: what gives way where there is little room, and what is left to get back."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from ando_cli.session.channel import State
from ando_cli.session.record.store import Store
from tests.support.session_doubles import channel

if TYPE_CHECKING:
    from pathlib import Path

    from conftest import Ando

HOST = "inference.andoai.xyz"
STATES = (State.OPEN, State.CLOSING, State.SPARE, State.CLOSED)
AMOUNTS = {"5.00", "1.00", "0.123456", "4.876544"}


def record(home: Path, *others: tuple[str, str]) -> None:
    """A channel in each state for one gateway on one network, and one more for each of ``others``."""
    store = Store(home / "state" / "sessions.db")
    for number, state in enumerate(STATES):
        store.add(channel(number, gateway=f"https://{HOST}", network="tempo", state=state, spent=123_456))
    for number, (gateway, network) in enumerate(others, start=len(STATES)):
        store.add(channel(number, gateway=gateway, network=network, state=State.CLOSED))
    store.close()


def listed(ando: Ando, width: int) -> tuple[list[list[str]], str]:
    """The words of each line of the table at that width, none of which is longer; and what is said beside it."""
    done = ando("session", "list", ANDO_NO_AUTO_JSON="1", COLUMNS=str(width)).worked()
    assert max(map(len, done.out.splitlines())) <= width
    return [line.split() for line in done.out.splitlines()], done.err


def test_what_is_the_same_for_all_channels_is_said_once(ando: Ando, home: Path) -> None:
    record(home)
    (header, *rows), beside = listed(ando, 80)
    assert beside == f"{HOST} on tempo\n"
    assert header == ["id", "deposit", "authorised", "spent", "left", "state", "age"]
    assert [len(row) for row in rows] == [len(header)] * len(STATES), "nothing is folded"
    assert set(rows[0]) >= AMOUNTS


def test_what_is_left_can_be_got_back_until_the_channel_is_closed(ando: Ando, home: Path) -> None:
    record(home)
    left = {row["state"]: row["left"] for row in ando("session", "list").worked().json}
    assert left == {"open": "4.876544", "closing": "4.876544", "spare": "4.876544", "closed": "0.00"}


@pytest.mark.parametrize("width", [40, 50, 60])
def test_a_narrow_screen_folds_no_amount_and_loses_no_channel(ando: Ando, home: Path, width: int) -> None:
    record(home)
    rows, _ = listed(ando, width)
    words = [word for row in rows for word in row]
    assert words.count("4.876544") == 3
    assert words.count("5.00") == words.count("0.123456") == len(STATES)
    assert {str(state) for state in STATES} <= set(words)


def test_channels_of_several_gateways_name_theirs(ando: Ando, home: Path) -> None:
    record(home, ("http://127.0.0.1:8600", "tempo"))
    rows, beside = listed(ando, 100)
    assert beside == "tempo\n"
    assert rows[0][1] == "gateway"
    assert sorted(row[1] for row in rows[1:]) == ["127.0.0.1:8600", *[HOST] * 4]


def test_a_gateway_and_a_network_that_differ_fit_eighty_columns(ando: Ando, home: Path) -> None:
    record(home, ("http://127.0.0.1:8600", "tempo-moderato"))
    rows, beside = listed(ando, 80)
    assert beside == ""
    assert rows[0] == ["id", "gateway", "network", "deposit", "spent", "left", "state"]
    assert {"127.0.0.1:8600", "tempo-moderato"} <= {word for row in rows for word in row}
