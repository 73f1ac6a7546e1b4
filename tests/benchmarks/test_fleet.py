"""Heartbeats are counted from lease ends, and serving from journals, slice by slice."""

from __future__ import annotations

from benchmarks.fleet import serving
from benchmarks.heartbeats import Beats
from benchmarks.journals import Runs

LEASE_MS, EVERY_MS = 3000, 1000


def beats(**renewed: list[int]) -> Beats:
    """As seen by looks that each saw one renewal more, and saw it twice."""
    found = Beats(LEASE_MS, EVERY_MS)
    for name, times in renewed.items():
        for at in times:
            found.saw({name: at + LEASE_MS})
            found.saw({name: at + LEASE_MS})
    return found


def test_a_heartbeat_that_came_after_its_lease_is_missed_and_one_before_that_is_late() -> None:
    # Given one that is on time, one that is late once, and one whose lease was over once
    found = beats(
        good=[9_500, 10_500, 11_500, 12_500, 13_500],
        late=[9_500, 10_500, 12_100, 13_100],
        gone=[9_500, 12_501, 13_500],
    )
    # When they are counted over four seconds
    told = found.figures(["good", "late", "gone"], 10_000, 14_000)
    # Then the open gap of each at the end counts as far as it goes
    assert told == {"intervals": 5 + 4 + 3, "missed": 1, "late": 1, "longest_ms": 3001}


def test_a_heartbeat_that_is_exactly_in_time_is_not_missed() -> None:
    told = beats(edge=[10_000, 13_000]).figures(["edge"], 10_000, 13_000)
    assert (told["missed"], told["late"]) == (0, 1)


def test_who_fell_silent_or_never_spoke_is_missed() -> None:
    # Given one that stopped in the middle, and one that nobody ever saw
    found = beats(silent=[10_000, 11_000])
    # When the window ends long after
    told = found.figures(["silent", "ghost"], 10_000, 20_000)
    # Then both are missed, once each
    assert (told["missed"], told["longest_ms"]) == (2, 10_000)


def test_what_ended_before_the_window_does_not_count() -> None:
    found = beats(slow_start=[1_000, 9_000, 9_900, 10_800])
    assert found.figures(["slow_start"], 10_000, 11_000)["missed"] == 0


def test_serving_is_to_end_work_in_every_slice() -> None:
    # Given one that ends a run in both halves of 20 s, one in the first only, and a stranger
    runs = Runs()
    ends = {"a": [11_000, 29_000], "b": [12_000, 13_000], "stranger": [11_000, 29_000]}
    for instance, times in ends.items():
        for n, at in enumerate(times):
            line = {"id": f"{instance}{n}", "attempt": 1, "instance": instance}
            runs.add({**line, "event": "start", "at": at - 200})
            runs.add({**line, "event": "end", "at": at})
    # Then only the first serves all the time
    assert serving(runs, ["a", "b"], 10_000, 30_000, 10.0) == 1
    assert serving(runs, ["a", "b"], 10_000, 30_000, 20.0) == 2
    # And nobody does when nothing ended
    assert serving(runs, ["a", "b"], 40_000, 50_000, 10.0) == 0
