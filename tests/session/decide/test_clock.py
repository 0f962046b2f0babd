"""How far this computer's clock is off."""

from __future__ import annotations

import pytest

from ando_cli.errors import PaymentError
from ando_cli.session.decide.clock import MOST, correction, describe

NOW = 1_800_000_000.5


@pytest.mark.parametrize(
    ("chain", "gateway", "added"),
    [
        (0, None, 0),
        (40, None, 40),
        (40, -40.0, 40),
        (-40, -12.4, -12),
        (-12, -40.0, -12),
        (-40, 3.0, 0),
        (-9, None, -9),
    ],
)
def test_a_clock_is_ahead_by_no_more_than_the_chain_and_the_gateway_agree_on(
    chain: int, gateway: float | None, added: int
) -> None:
    assert abs(correction(NOW, int(NOW) + chain, gateway) - added) <= 1


def test_more_than_an_hour_is_not_allowed_for() -> None:
    assert correction(float(MOST), 0, -float(MOST)) == -MOST
    for chain, gateway in ((2 * MOST + 1, None), (0, -float(MOST) - 1)):
        with pytest.raises(PaymentError) as caught:
            correction(float(MOST) + (gateway is not None), chain, gateway)
        assert caught.value.code == "clock_wrong"


def test_it_is_said_which_way_it_is_off() -> None:
    assert (describe(11), describe(-11.4)) == ("11 s behind", "11 s ahead")
