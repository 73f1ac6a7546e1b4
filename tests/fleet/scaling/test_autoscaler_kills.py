"""Killed between any two steps of scaling: the next leader goes on, and nothing is made twice."""

from __future__ import annotations

import asyncio

import pytest

from godel_tasks.domain.member import MemberState
from godel_tasks.domain.scaling import StepLimit
from tests.fleet.scaling.scaled import Deadline, Killed, ScaledPool

#: Commands and acts of each story: before and after each one it is killed once.
GROWING_STEPS = 30
SHRINKING_STEPS = 47


async def _killed_at(scaled: ScaledPool, step: int, looks: int) -> bool:
    """A process that decides until its `step`-th step; whether it was killed."""
    deadline = Deadline(step)
    scaled.fleet.deadline = deadline
    victim = scaled.process("victim", deadline)
    killed = False
    try:
        await scaled.looks(looks, victim)
    except Killed:
        killed = True
    acts = list(victim._acts.values())
    for act in acts:
        act.cancel()
    await asyncio.gather(*acts, return_exceptions=True)
    scaled.fleet.deadline = Deadline()
    scaled.fleet.tend()
    return killed


@pytest.mark.parametrize("step", range(GROWING_STEPS + 1))
async def test_growing_from_one_to_two(scaled: ScaledPool, step: int) -> None:
    # Given a pool that is to grow by one, and a leader that is killed at a step
    scaled.policy(min_instances=2, max_instances=2)
    scaled.fleet.add()
    killed = await _killed_at(scaled, step, looks=2)
    assert killed == (step < GROWING_STEPS)
    # When the next one leads
    scaled.cell.pass_time(10_000)
    await scaled.looks(6)
    # Then there are two, and no more were ever there at once
    assert len(scaled.fleet.names()) == 2
    assert scaled.fleet.removed == []
    state = scaled.state()
    assert state is not None
    assert not state.busy


@pytest.mark.parametrize("step", range(SHRINKING_STEPS + 1))
async def test_shrinking_from_two_to_one(scaled: ScaledPool, step: int) -> None:
    # Given a pool that is to shrink by one, and a leader that is killed at a step
    scaled.policy(min_instances=1, max_instances=2, step_down=StepLimit())
    scaled.fleet.add(2)
    killed = await _killed_at(scaled, step, looks=3)
    assert killed == (step < SHRINKING_STEPS)
    scaled.cell.pass_time(10_000)
    await scaled.looks(6)
    # Then one was removed, idle, and the other one is up: not cordoned, not taken
    assert len(scaled.fleet.names()) == 1
    assert scaled.fleet.names(MemberState.DRAINING) == []
    assert [used for _, used in scaled.fleet.removed] == [0]
    assert scaled.fleet.spawns == 0
    state = scaled.state()
    assert state is not None
    assert not state.busy
