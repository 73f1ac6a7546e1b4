"""Reach: an endpoint is out of reach once its connection broke, or would not come up."""

from __future__ import annotations

from godel_tasks.clock import SystemClock
from godel_tasks.dispatch.reach import Reach


class ManualClock(SystemClock):
    """Moves by hand."""

    def __init__(self) -> None:
        self.now = 100.0

    def monotonic(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


def test_a_connection_that_broke_is_out_of_reach_at_once_until_it_stands_again() -> None:
    # Given an endpoint that was reached
    clock = ManualClock()
    reach = Reach(clock, patience_s=3.0)
    reach.opened("a")
    reach.stands("a")
    assert not reach.lacks("a")
    # When its connection breaks
    reach.broke("a")
    clock.advance(2.0)
    # Then nothing is to be sent there, and it is known for how long it is down
    assert reach.lacks("a")
    assert reach.down_s("a") == 2.0
    assert reach.out() == {"a"}
    assert repr(reach) == "<Reach without a for 2.0 s>"
    # And when it stands again, it is as if nothing had been
    reach.stands("a")
    assert (reach.lacks("a"), reach.down_s("a"), repr(reach)) == (False, 0.0, "<Reach of all>")


def test_a_new_connection_has_some_time_to_come_up() -> None:
    # Given one that is being made
    clock = ManualClock()
    reach = Reach(clock, patience_s=3.0)
    reach.opened("a")
    # Then it is not out of reach before its time is over
    clock.advance(3.0)
    assert not reach.lacks("a")
    clock.advance(0.1)
    assert reach.lacks("a")
    # And nobody lacks what nobody wants
    reach.forget("a")
    assert reach.out() == frozenset()
    assert not reach.lacks("never heard of")
