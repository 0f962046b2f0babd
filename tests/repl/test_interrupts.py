"""Ctrl-C during a turn: when it comes through, and when it has to wait."""

from __future__ import annotations

import os
import signal

import pytest

from ando_cli.repl.interrupts import Interrupts


def press() -> None:
    """Press Ctrl-C."""
    os.kill(os.getpid(), signal.SIGINT)


def test_it_comes_through_where_somebody_waits() -> None:
    interrupts = Interrupts()
    with pytest.raises(KeyboardInterrupt), interrupts.held_back(), interrupts.welcome():
        press()


def test_it_does_not_break_off_what_is_being_recorded_but_ends_the_next_waiting() -> None:
    interrupts, recorded = Interrupts(), []
    with pytest.raises(KeyboardInterrupt), interrupts.held_back():  # noqa: PT012 - the order is what is tested
        press()
        recorded.append("whole")
        with interrupts.welcome():
            recorded.append("never")
    assert recorded == ["whole"]


def test_one_that_comes_too_late_is_forgotten() -> None:
    interrupts = Interrupts()
    with interrupts.held_back():
        press()
    with interrupts.held_back(), interrupts.welcome():
        pass


def test_a_second_one_comes_through_at_once() -> None:
    interrupts = Interrupts()
    with pytest.raises(KeyboardInterrupt), interrupts.held_back():  # noqa: PT012
        press()
        press()


def test_afterwards_it_does_what_it_did_before() -> None:
    before = signal.getsignal(signal.SIGINT)
    with Interrupts().held_back():
        assert signal.getsignal(signal.SIGINT) != before
    assert signal.getsignal(signal.SIGINT) == before
