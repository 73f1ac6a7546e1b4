"""lead_scaling, record_scaling: who decides about scaling, and what is kept of it."""

from __future__ import annotations

from dataclasses import replace

import pytest

from godel_tasks.domain.scaling import (
    Change,
    Draining,
    PoolState,
    Recommended,
    ScalingAct,
    ScalingDecision,
    ScalingInputs,
    ScalingKind,
    ScalingMemory,
    ScalingPolicy,
    ScalingRule,
    ScheduleFloor,
    Spawning,
    StepLimit,
)
from godel_tasks.store.keys import REGISTRY_SCALING_STATE, scaling_history
from godel_tasks.store.scaling import ScalingCommands, ScalingEntry
from tests.cell import Cell

POLICY = ScalingPolicy(
    "gpu",
    "night",
    rule=ScalingRule.THRESHOLD,
    max_instances=9,
    schedule=(ScheduleFloor(2, "sat,sun", "08:00", "20:00", "Europe/Berlin"),),
    step_up=StepLimit(2, 50.0, 20.0),
)
STATE = PoolState(
    ScalingMemory((Recommended(1, 5, 3),), (Change(5, -1),)),
    spawning=(Spawning("7.1", 5, 65),),
    draining=(Draining("i1", 5, 605, cordoned=True),),
)
DECISION = ScalingDecision(
    ScalingInputs("gpu", 5, queued=3, up=1, open_providers=("acme",)),
    ScalingRule.TARGET,
    wanted=3,
    clamps=("2 by the step limit",),
    result=2,
    reason="3 waiting",
    acts=True,
    policy="night",
)


@pytest.fixture
def scaling(cell: Cell) -> ScalingCommands:
    return ScalingCommands(lambda: cell.now)


def lead(cell: Cell, scaling: ScalingCommands, owner: str) -> int:
    leadership = cell.run(scaling.lead(owner=owner, lease_ms=10_000))
    assert leadership.now_ms == cell.now
    return leadership.token


def test_policies_come_back_as_they_were_put(cell: Cell, scaling: ScalingCommands) -> None:
    other = ScalingPolicy("shared", max_instances=3)
    assert cell.run(scaling.put_policies([POLICY, other])) == 2
    assert cell.run(scaling.policies()) == {"gpu": POLICY, "shared": other}
    # And one that is put again takes the place of the one before
    changed = replace(POLICY, max_instances=12)
    assert cell.run(scaling.put_policies([changed])) == 0
    assert cell.run(scaling.policies())["gpu"] == changed
    assert cell.run(scaling.drop_policy("gpu"))
    assert not cell.run(scaling.drop_policy("gpu"))
    assert cell.run(scaling.policies()) == {"shared": other}


def test_one_decides_at_a_time(cell: Cell, scaling: ScalingCommands) -> None:
    assert lead(cell, scaling, "a") == 1
    assert lead(cell, scaling, "b") == 0
    # And it goes on while it renews
    cell.pass_time(9999)
    assert lead(cell, scaling, "a") == 1
    cell.pass_time(9999)
    assert lead(cell, scaling, "b") == 0
    # But not for longer than its lease: then the next one has a higher token
    cell.pass_time(1)
    assert lead(cell, scaling, "b") == 2
    assert lead(cell, scaling, "a") == 0
    assert cell.run(scaling.leader()) == ("b", cell.now + 10_000)
    # Also when it is the same one again: meanwhile anything may have happened
    cell.pass_time(10_000)
    assert lead(cell, scaling, "b") == 3


def test_a_deposed_one_writes_nothing(cell: Cell, scaling: ScalingCommands) -> None:
    old = lead(cell, scaling, "a")
    assert cell.run(scaling.record(token=old, pool="gpu", state=STATE))
    cell.pass_time(10_000)
    new = lead(cell, scaling, "b")
    # When the one that was deposed writes
    late = scaling.record(
        token=old, pool="gpu", state=PoolState(), entries=[ScalingEntry(old, DECISION)]
    )
    # Then nothing of it stands
    assert not cell.run(late)
    assert cell.run(scaling.states()) == {"gpu": STATE}
    assert cell.run(scaling.history(pool="gpu", count=10)) == ()
    # And the next one goes on from what is stored
    assert cell.run(scaling.record(token=new, pool="gpu", state=None))
    assert cell.run(scaling.states()) == {}


def test_the_history_has_decisions_and_acts_in_order(cell: Cell, scaling: ScalingCommands) -> None:
    token = lead(cell, scaling, "a")
    act = ScalingAct(6, ScalingKind.OUT, "i2", "spawned")
    entries = [ScalingEntry(token, DECISION), ScalingEntry(token, act=act)]
    assert cell.run(scaling.record(token=token, pool="gpu", state=STATE, entries=entries))
    stored = cell.run(scaling.history(pool="gpu", count=10))
    assert list(stored) == entries
    assert [entry.at_ms for entry in entries] == [5, 6]
    newest = cell.run(scaling.history(pool="gpu", count=1))
    assert list(newest) == entries[1:]
    # And it goes by itself in the end, other than the state of what is under way
    assert 0 < cell.server("PTTL", scaling_history("gpu")) <= 30 * 86_400_000
    assert cell.server("PTTL", REGISTRY_SCALING_STATE) == -1
