"""Which tasks are shown when there are too many."""

from __future__ import annotations

from collections import Counter
from uuid import UUID

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from godel_tasks.worker.sampling import Sampler


def run(sampler: Sampler, per_s: int, seconds: int, begin: float = 0.0) -> dict[int, list[str]]:
    """The ids that it shows in each second, of so many evenly spread tasks."""
    shown: dict[int, list[str]] = {}
    for i in range(per_s * seconds):
        now = begin + i / per_s
        task_id = str(UUID(int=(i * 0x9E3779B97F4A7C15F39CC0605CEDC835) % 2**128))
        if sampler.shows(task_id, now):
            shown.setdefault(int(now - begin), []).append(task_id)
    return shown


@given(st.integers(1, 400), st.floats(0.2, 3))
@settings(max_examples=30, deadline=None)
def test_up_to_the_rate_every_task_is_shown(per_s: int, above: float) -> None:
    # Given fewer tasks than the rate
    sampler = Sampler(per_s + above)
    # When they come for a while
    shown = run(sampler, per_s, 3, begin=1_000.0)
    # Then nothing is hidden
    assert sum(map(len, shown.values())) == 3 * per_s
    assert sampler.hidden == 0


def test_above_it_about_so_many_are_shown_and_never_more() -> None:
    # Given twenty times as many
    sampler = Sampler(100)
    # When they come for ten seconds
    shown = run(sampler, 2_000, 10, begin=50.0)
    # Then each second shows about the rate
    counts = [len(ids) for ids in shown.values()]
    assert len(counts) == 10
    assert all(70 <= count <= 101 for count in counts), counts
    # And what is not shown is counted
    assert sampler.hidden == 20_000 - sum(counts)
    assert sampler.share == pytest.approx(0.05, rel=0.1)


def test_two_dispatchers_under_the_same_load_show_the_same_tasks() -> None:
    # Given two with the same rate, one of them for a while longer
    one, two = Sampler(100), Sampler(100)
    run(two, 400, 2)
    # When both get the same tasks
    shown = [run(sampler, 400, 4, begin=10.0) for sampler in (one, two)]
    # Then once both have seen a second of it, they pick the same ones
    late = [Counter(ids[2] + ids[3]) for ids in shown]
    same = (late[0] & late[1]).total()
    assert same >= 0.9 * max(late[0].total(), late[1].total())


def test_all_are_shown_again_when_fewer_come() -> None:
    sampler = Sampler(50)
    run(sampler, 1_000, 3)
    hidden = sampler.hidden
    # When the flood is over
    shown = run(sampler, 20, 4, begin=4.0)
    # Then from the next look on nothing is hidden
    assert [len(shown[second]) for second in (1, 2, 3)] == [20, 20, 20]
    assert sampler.hidden <= hidden + 20


def test_a_rate_of_zero_shows_none() -> None:
    sampler = Sampler(0)
    assert run(sampler, 10, 3) == {}
    assert sampler.hidden == 30
