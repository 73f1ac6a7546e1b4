"""care: what is to be done about an instance whose three records may disagree after a kill."""

from __future__ import annotations

from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from godel_tasks.domain.instance import InstanceConfig, InstanceStatus
from godel_tasks.domain.member import MemberState
from godel_tasks.domain.pool import (
    InstanceTemplate,
    MadeInstance,
    PoolConfig,
    ProvidedInstance,
    Wanted,
)
from godel_tasks.policy.lifecycle import (
    BACKOFF_MAX_MS,
    SHORT_LIFE_MS,
    Act,
    Known,
    backoff_ms,
    care,
    deaths_after,
    state_of,
)

NOW = 1_000_000
POOL = PoolConfig("p", InstanceTemplate("p"), replace=True, replace_after_s=10.0)
RUNS = ProvidedInstance("p-1", "p", running=True)
LIES = ProvidedInstance("p-1", "p", running=False)
UP, DEAD = InstanceStatus.UP, InstanceStatus.DEAD


def made(wanted: Wanted = Wanted.UP, **changes) -> MadeInstance:
    base = MadeInstance("p-1", "p", "process", "grpc", "here", wanted, since_ms=NOW - 100_000)
    return replace(base, **changes)


def known(**changes) -> Known:
    return replace(Known(NOW, POOL, made(), RUNS, UP), **changes)


GATEWAY = replace(RUNS, config=InstanceConfig("p-1", "ws://h:1", driver="openclaw"))


@pytest.mark.parametrize(
    ("case", "act"),
    [
        # Nothing is wrong, or somebody is at it, or an operator wants it so
        (known(), Act.NOTHING),
        (known(provided=LIES, status=DEAD, made=made(until_ms=NOW + 1)), Act.NOTHING),
        (known(provided=LIES, status=None, made=made(Wanted.STOPPED)), Act.NOTHING),
        (known(made=None, provided=None, status=UP), Act.NOTHING),
        # Its maker died over it
        (known(made=made(Wanted.MAKING), provided=None, status=None), Act.FORGET),
        (known(made=made(Wanted.MAKING), provided=LIES, status=None), Act.REMOVE),
        (known(made=made(Wanted.MAKING), provided=RUNS, status=None), Act.REMOVE),
        (known(made=made(Wanted.MAKING), provided=RUNS, status=UP), Act.ADOPT),
        (known(made=made(Wanted.LEAVING), provided=LIES, status=None), Act.REMOVE),
        # Redis has forgotten it
        (known(made=None, status=UP), Act.ADOPT),
        (known(made=None, status=None), Act.WATCH),
        (known(made=None, provided=LIES, status=None), Act.REMOVE),
        (known(made=None, provided=GATEWAY, status=None, self_registering=False), Act.REGISTER),
        (known(provided=GATEWAY, status=None, self_registering=False), Act.REGISTER),
        # It died, or stands still
        (known(provided=LIES, status=None), Act.REPLACE),
        (known(provided=None, status=None), Act.REPLACE),
        (known(provided=LIES, status=DEAD, dead_ms=9_000), Act.NOTHING),
        (known(provided=LIES, status=DEAD, dead_ms=11_000), Act.REPLACE),
        (known(provided=RUNS, status=DEAD, dead_ms=11_000), Act.REPLACE),
        (known(provided=RUNS, status=DEAD, dead_ms=11_000, answers=True), Act.NOTHING),
        (known(provided=LIES, status=None, pool=PoolConfig("p")), Act.NOTHING),
        (known(provided=None, status=None, pool=PoolConfig("p")), Act.FORGET),
        # Another one takes its place
        (known(provided=None, status=None, successor=made(Wanted.MAKING)), Act.NOTHING),
        (known(provided=LIES, status=None, successor=made(Wanted.UP)), Act.REMOVE),
    ],
)
def test_each_disagreement_has_one_answer(case: Known, act: Act) -> None:
    decision = care(case)
    assert decision.act is act
    assert decision.reason


def test_one_that_keeps_dying_soon_is_made_again_ever_later() -> None:
    # Given one that died soon after it was made, as did three before it
    short = made(since_ms=NOW - 1_000, deaths=3)
    # Then the next one waits
    assert care(known(made=short, provided=LIES, status=None)).act is Act.NOTHING
    assert deaths_after(short, NOW) == 4
    # And one that lived for long begins the count anew
    assert deaths_after(replace(short, since_ms=NOW - SHORT_LIFE_MS), NOW) == 0
    waits = [backoff_ms(deaths) for deaths in range(40)]
    assert waits == sorted(waits)
    assert (waits[0], waits[-1]) == (0, BACKOFF_MAX_MS)


CASES = st.builds(
    Known,
    st.just(NOW),
    st.sampled_from([POOL, PoolConfig("p")]),
    st.one_of(
        st.none(),
        st.builds(
            made,
            st.sampled_from(Wanted),
            since_ms=st.integers(0, NOW),
            until_ms=st.sampled_from([0, NOW - 1, NOW + 1]),
            deaths=st.integers(0, 30),
        ),
    ),
    st.sampled_from([None, RUNS, LIES, GATEWAY]),
    st.sampled_from([None, *InstanceStatus]),
    dead_ms=st.integers(0, 100_000),
    self_registering=st.booleans(),
    answers=st.booleans(),
)


@given(CASES)
def test_nothing_that_works_is_ever_ended_and_nobody_is_disturbed(case: Known) -> None:
    decision = care(case)
    alive = case.status in (InstanceStatus.UP, InstanceStatus.DRAINING)
    runs = case.provided is not None and case.provided.running
    # Who is at it is left alone
    if case.made is not None and case.made.until_ms > NOW:
        assert decision.act is Act.NOTHING
    # What runs and is alive is ended only when that was begun by somebody who meant it
    if runs and alive and (case.made is None or case.made.wanted is not Wanted.LEAVING):
        assert decision.act in (Act.NOTHING, Act.ADOPT)
    # Only a pool that replaces gets another one, and only for one that was made and does not answer
    if decision.act is Act.REPLACE:
        assert case.pool.replace
        assert case.made is not None
        assert not alive
        assert not (runs and case.answers and case.status is not None)


@given(CASES)
def test_what_is_done_leaves_nothing_to_do(case: Known) -> None:
    """Adopted, registered, removed or forgotten, it is left alone by the next look."""
    act = care(case).act
    if act is Act.WATCH:
        after = replace(case, made=made(Wanted.MAKING, until_ms=NOW + 1))
    elif act in (Act.ADOPT, Act.REGISTER):
        after = replace(case, made=made(Wanted.UP), status=UP)
    elif act in (Act.REMOVE, Act.FORGET):
        after = replace(case, made=None, provided=None, status=None)
    else:
        return
    assert care(after).act is Act.NOTHING


@given(CASES)
def test_states_are_of_the_catalogue(case: Known) -> None:
    assert state_of(NOW, case.made, case.status) in MemberState
    assert state_of(NOW, case.made, case.status, superseded=True) is MemberState.LEAVING
