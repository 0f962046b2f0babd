"""``ando --describe`` as it is typed."""

from __future__ import annotations

from typing import TYPE_CHECKING

from toon_format import decode

if TYPE_CHECKING:
    from conftest import Ando


def test_it_describes_all_one_group_or_one_command(ando: Ando) -> None:
    tree = ando("--describe").worked().json["command"]
    group = ando("--describe", "session").worked().json["command"]
    one = ando("--describe", "session", "list").worked().json["command"]
    assert (tree["name"], group["name"], one["name"]) == ("ando", "ando session", "ando session list")
    assert group in tree["commands"]
    assert one in group["commands"]


def test_it_may_stand_on_either_side_and_in_toon(ando: Ando) -> None:
    shown = ando("--describe", "-q", "request").worked().json
    assert ando("request", "--describe").worked().json == shown
    assert ando("request", "-j", "--describe").worked().json == shown
    assert ando("--describe", "request", "-j").worked().json == shown
    assert decode(ando("--describe", "request", "-t").worked().out) == shown
    assert ando("session", "--describe").worked().json["command"]["name"] == "ando session"


def test_a_slip_is_answered(ando: Ando) -> None:
    assert "did you mean `ando chat`?" in ando("--describe", "caht").refused(2)
