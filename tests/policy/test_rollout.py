"""plan: a rolling restart takes no more than it may, and gets to its end when it can."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from godel_tasks.policy.rollout import RolloutMember, Step, plan


def member(number: int, **changes: bool) -> RolloutMember:
    return RolloutMember(f"i{number}", **({"available": True, "left": True} | changes))


def pool(*members: RolloutMember, most: int = 1, least: int = 0) -> tuple[Step, tuple[str, ...]]:
    found = plan(members, max_unavailable=most, min_available=least)
    assert found.reason
    return found.step, found.instance_ids


FINISHED = {"left": False, "done": True}
IN_HAND = {"left": False, "in_hand": True, "available": False}


@pytest.mark.parametrize(
    ("members", "most", "least", "step", "ids"),
    [
        ([member(1), member(2)], 1, 1, Step.RESTART, ("i1",)),
        ([member(1), member(2)], 2, 0, Step.RESTART, ("i1", "i2")),
        ([member(1), member(2)], 2, 1, Step.RESTART, ("i1",)),
        ([member(1, **IN_HAND), member(2)], 1, 0, Step.WAIT, ("i1",)),
        ([member(1, **IN_HAND), member(2)], 2, 1, Step.WAIT, ("i1",)),
        ([member(1, **FINISHED), member(2)], 1, 1, Step.RESTART, ("i2",)),
        ([member(1, **FINISHED), member(2, **FINISHED)], 1, 1, Step.DONE, ()),
        ([member(1, **FINISHED), member(2, **IN_HAND)], 1, 1, Step.WAIT, ("i2",)),
        # What is dead comes first, whatever has to take work
        ([member(1), member(2, available=False)], 1, 5, Step.RESTART, ("i2",)),
        # What somebody drains is no loss
        ([member(1), member(2, **FINISHED | {"available": False, "set_aside": True})], 1, 0,
         Step.RESTART, ("i1",)),
        # One that came back and is gone again stops it; so does what has to take work
        ([member(1), member(2, **FINISHED | {"available": False})], 1, 0, Step.STOP, ()),
        ([member(1)], 1, 1, Step.STOP, ()),
        ([member(1), member(2, available=False, left=False)], 1, 0, Step.STOP, ()),
        ([], 1, 0, Step.DONE, ()),
    ],
)  # fmt: skip
def test_each_case_has_one_answer(members, most, least, step, ids) -> None:
    assert pool(*members, most=most, least=least) == (step, ids)


POOLS = st.lists(
    st.tuples(st.booleans(), st.sampled_from(["left", "in_hand", "done", "other"]), st.booleans()),
    max_size=8,
)
LIMITS = st.tuples(st.integers(1, 4), st.integers(0, 6))


def built(drawn: list[tuple[bool, str, bool]]) -> list[RolloutMember]:
    return [
        RolloutMember(
            f"i{number}",
            available=available and not aside and state != "in_hand",
            left=state == "left",
            in_hand=state == "in_hand",
            done=state == "done",
            set_aside=aside,
        )
        for number, (available, state, aside) in enumerate(drawn)
    ]


@given(POOLS, LIMITS)
def test_it_takes_no_more_than_it_may(drawn, limits) -> None:
    members, (most, least) = built(drawn), limits
    found = plan(members, max_unavailable=most, min_available=least)
    if found.step is not Step.RESTART:
        return
    taken = set(found.instance_ids)
    by_id = {m.instance_id: m for m in members}
    # Only those that are left, and no more at once than allowed
    assert taken
    assert all(by_id[name].left for name in taken)
    assert sum(m.in_hand for m in members) + len(taken) <= most
    # Of those that take work none, if then fewer would than have to, or more would be missing
    losses = sum(by_id[name].available for name in taken)
    if losses:
        assert sum(m.available for m in members) - losses >= least
        missing = sum(not m.available and not m.set_aside for m in members)
        assert missing + losses <= most


@given(st.lists(st.booleans(), min_size=1, max_size=10), LIMITS, st.randoms(use_true_random=False))
def test_it_restarts_each_once_and_ends_when_it_can(alive, limits, random) -> None:
    # Given a pool in which all that take work, but one, may be missing
    most, least = limits
    members = {
        f"i{n}": RolloutMember(f"i{n}", available=up, left=True) for n, up in enumerate(alive)
    }
    assume(least < len(alive))
    restarted: list[str] = []
    floor = min(least, sum(alive))
    while True:
        found = plan(list(members.values()), max_unavailable=most, min_available=least)
        if found.step is Step.RESTART:
            for name in found.instance_ids:
                restarted.append(name)
                members[name] = replace(members[name], left=False, in_hand=True, available=False)
            assert sum(m.available for m in members.values()) >= min(floor, sum(alive))
        elif found.step is Step.WAIT:
            # When those in hand come back in any order
            name = random.choice([n for n, m in members.items() if m.in_hand])
            members[name] = replace(members[name], in_hand=False, done=True, available=True)
        else:
            break
    # Then each was restarted, once
    assert found.step is Step.DONE
    assert sorted(restarted) == sorted(members)
