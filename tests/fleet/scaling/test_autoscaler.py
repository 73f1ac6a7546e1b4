"""The autoscaler over a real store: it grows, shrinks, drains, waits and is followed by another."""

from __future__ import annotations

import asyncio
from dataclasses import replace

from godel_tasks.domain.breaker import BreakerState
from godel_tasks.domain.member import MemberState
from godel_tasks.domain.rollout import Rollout
from godel_tasks.domain.scaling import ScalingAction, ScalingKind, StepLimit
from godel_tasks.store.breakers import BreakerCommands
from tests.fleet.scaling.scaled import POOL, ScaledPool
from tests.helpers import wait_until_async

BACK_AT_ONCE = {"step_down": StepLimit()}


async def test_without_a_policy_it_does_and_stores_nothing(scaled: ScaledPool) -> None:
    scaled.fleet.add(3)
    before = list(scaled.cell.all_keys())
    assert await scaled.scaler.evaluate_scaling() == []
    assert list(scaled.cell.all_keys()) == before


async def test_it_grows_with_demand_and_says_why(scaled: ScaledPool) -> None:
    # Given one instance of two slots, and seven tasks that wait
    scaled.policy(name="by day")
    scaled.fleet.add()
    scaled.cell.submit("acme", count=7)
    # When it looks once
    actions = await scaled.scaler.evaluate_scaling()
    # Then there are four, each with an action of the policy's name
    assert actions == [ScalingAction(ScalingKind.OUT, f"i{n}", "by day") for n in (2, 3, 4)]
    assert scaled.fleet.names() == ["i1", "i2", "i3", "i4"]
    # And the decision is stored with what it saw, before what came of it
    decision = scaled.decision()
    assert (decision.inputs.queued, decision.inputs.up, decision.result) == (7, 1, 4)
    assert decision.reason == "7 waiting and 0 running ask for 3.50 instances"
    assert scaled.acts() == [("spawned", "i2"), ("spawned", "i3"), ("spawned", "i4")]
    # And it asks for no more while they come up
    await scaled.looks(3)
    assert scaled.fleet.spawns == 3


async def test_a_long_spawn_neither_stops_looks_nor_is_asked_for_twice(scaled: ScaledPool) -> None:
    scaled.policy(min_instances=2)
    scaled.fleet.gate = asyncio.Event()
    begun = await scaled.scaler.look()
    assert len(begun) == 2
    await wait_until_async(
        lambda: len(scaled.fleet.members) == 2, description="both are being made"
    )
    # When it goes on looking meanwhile, for longer than its lease
    for _ in range(8):
        scaled.cell.pass_time(2000)
        assert await scaled.scaler.look() == []
    assert scaled.fleet.spawns == 2
    # Then they are there in the end, and it is at rest
    scaled.fleet.gate.set()
    await asyncio.gather(*begun)
    await scaled.looks(1)
    state = scaled.state()
    assert state is not None
    assert (state.spawning, len(scaled.fleet.names())) == ((), 2)


async def test_it_shrinks_by_cordon_drain_and_removal(scaled: ScaledPool) -> None:
    # Given three instances, of which two run something
    scaled.policy(min_instances=1, **BACK_AT_ONCE)
    busy, other, idle = scaled.fleet.add(3)
    scaled.fleet.set(busy, slots_used=1)
    scaled.fleet.set(other, slots_used=1)
    # When one is enough for what runs
    actions = await scaled.scaler.evaluate_scaling()
    # Then the idle one is cordoned first, and the newer of the others
    assert actions == [ScalingAction(ScalingKind.IN, name, POOL) for name in (idle, busy)]
    # And the idle one is removed with the next look, the other one once it is idle
    await scaled.looks(3)
    assert scaled.fleet.names(MemberState.UP, MemberState.DRAINING) == [busy, other]
    scaled.fleet.set(busy, slots_used=0)
    await scaled.looks(1)
    assert scaled.fleet.removed == [(idle, 0), (busy, 0)]
    assert scaled.acts()[-1] == ("removed", busy)
    state = scaled.state()
    assert state is not None
    assert state.draining == ()


async def test_what_runs_is_removed_at_its_deadline_and_not_before(scaled: ScaledPool) -> None:
    scaled.policy(drain_deadline_s=10.0, slots_per_instance=4)
    scaled.fleet.add(2, slots_used=1)
    await scaled.scaler.evaluate_scaling()
    (name,) = scaled.fleet.names(MemberState.DRAINING)
    await scaled.looks(4)
    assert scaled.fleet.removed == []
    await scaled.looks(1)
    assert scaled.fleet.removed == [(name, 1)]
    act = scaled.history()[-1].act
    assert act is not None
    assert act.detail == "its deadline is over, with 1 slot in use"


async def test_what_a_person_takes_back_stays(scaled: ScaledPool) -> None:
    scaled.policy(**BACK_AT_ONCE)
    (name,) = scaled.fleet.add(slots_used=1)
    scaled.fleet.add(made=False)
    scaled.policy(slots_per_instance=50, min_instances=1, **BACK_AT_ONCE)
    await scaled.scaler.evaluate_scaling()
    assert scaled.fleet.names(MemberState.DRAINING) == [name]
    # When an operator sets it up again, and wants two
    scaled.policy(min_instances=2)
    scaled.fleet.set(name, state=MemberState.UP)
    await scaled.looks(2)
    # Then nobody removes it, nor makes another one in its place
    assert ("taken back", name) in scaled.acts()
    assert (scaled.fleet.removed, scaled.fleet.spawns) == ([], 0)


async def test_one_that_was_not_made_here_is_never_taken(scaled: ScaledPool) -> None:
    scaled.policy(**BACK_AT_ONCE)
    scaled.fleet.add(2, made=False)
    scaled.fleet.add(1)
    await scaled.looks(3)
    assert scaled.fleet.names() == ["i1", "i2"]
    assert "2 because no others may be taken" in scaled.decision().clamps


async def test_only_those_within_reach_are_taken(scaled: ScaledPool) -> None:
    # Given a pool of which one was made on another machine
    scaled.policy(**BACK_AT_ONCE)
    _, other, _ = scaled.fleet.add(3)
    scaled.fleet.elsewhere = {other}
    await scaled.looks(4)
    assert scaled.fleet.names() == [other]
    # And once one leads who can reach it, it goes, too
    scaled.fleet.elsewhere = set()
    await scaled.looks(3)
    assert scaled.fleet.names() == []


async def test_one_out_of_reach_is_not_taken_out_of_the_registry(scaled: ScaledPool) -> None:
    # Given an instance that drains, and whose provider is on another machine than the next leader
    scaled.policy()
    (name,) = scaled.fleet.add()
    await scaled.scaler.evaluate_scaling()
    scaled.fleet.elsewhere = {name}
    await scaled.looks(3)
    assert scaled.fleet.names(MemberState.DRAINING) == [name]
    # Then it is removed once one leads who can
    scaled.fleet.elsewhere = set()
    await scaled.looks(1)
    assert scaled.fleet.removed == [(name, 0)]


async def test_a_rolling_restart_makes_it_add_none(scaled: ScaledPool) -> None:
    # Given a pool of two, one of which a rolling restart has in hand
    scaled.policy(min_instances=2)
    scaled.declare()
    first, _ = scaled.fleet.add(2)
    rollout = Rollout(POOL, scaled.cell.now, 1, 60.0, todo=(first,), in_hand=(first,))
    scaled.put_rollout(replace(rollout, until_ms=scaled.cell.now + 30_000))
    scaled.fleet.set(first, state=MemberState.DRAINING)
    await scaled.looks(3)
    assert scaled.fleet.spawns == 0
    # And when whoever carried it out is gone, it counts no more
    await scaled.looks(16)
    assert scaled.fleet.spawns == 1


async def test_pinned_sessions_keep_their_instances(scaled: ScaledPool) -> None:
    scaled.policy(slots_per_session=0, **BACK_AT_ONCE)
    pinned, _ = scaled.fleet.add(2)
    scaled.pin(pinned, 3)
    await scaled.looks(3)
    assert scaled.fleet.names() == [pinned]
    scaled.policy(slots_per_session=0, take_pinned=True, **BACK_AT_ONCE)
    await scaled.looks(2)
    assert scaled.fleet.names() == []


async def test_a_policy_that_only_recommends_does_nothing_but_say_so(scaled: ScaledPool) -> None:
    scaled.policy(hourly_cost_usd=2.0)
    scaled.cell.submit("acme", count=7)
    await scaled.looks(2)
    assert scaled.fleet.members == {}
    decision = scaled.decision()
    assert (decision.acts, decision.result) == (False, 4)
    # And with a ceiling it acts
    scaled.policy(hourly_cost_usd=2.0, hourly_ceiling_usd=5.0)
    await scaled.looks(1)
    assert len(scaled.fleet.names()) == 2


async def test_failing_spawns_are_tried_less_and_less_often(scaled: ScaledPool) -> None:
    scaled.policy(min_instances=1)
    scaled.fleet.failing = True
    await scaled.looks(30)
    failures = [what for what, _ in scaled.acts()]
    assert failures == ["failed"] * 5  # after 2, 4, 8, 16 and 32 seconds
    assert "5 spawns failed in a row" in scaled.decision().clamps[-1]
    # And once it works again, all is forgotten
    scaled.fleet.failing = False
    await scaled.looks(20)
    state = scaled.state()
    assert state is not None
    assert (state.failures, len(scaled.fleet.names())) == (0, 1)


async def test_a_removal_that_fails_is_tried_again(scaled: ScaledPool) -> None:
    scaled.policy()
    scaled.fleet.add()
    await scaled.looks(1)
    scaled.fleet.failing = True
    await scaled.looks(1)
    scaled.fleet.failing = False
    await scaled.looks(2)
    assert [what for what, _ in scaled.acts()] == ["cordoned", "failed", "removed"]


async def test_nothing_grows_for_tasks_whose_provider_is_broken(scaled: ScaledPool) -> None:
    scaled.policy(min_instances=1)
    (name,) = scaled.fleet.add()
    record = scaled.fleet.members[name].record
    assert record is not None
    record.config.capabilities["provider"] = "acme-models"
    scaled.cell.submit("acme", count=9)
    breakers = BreakerCommands()
    scaled.cell.run(breakers.enlist("provider:acme-models"))
    held = breakers.force("provider:acme-models", state=BreakerState.FORCED_OPEN, who="ops")
    scaled.cell.run(held)
    await scaled.looks(2)
    assert scaled.fleet.spawns == 0
    assert "while acme-models is broken" in scaled.decision().reason
    scaled.cell.run(breakers.force("provider:acme-models", state=None, who="ops"))
    await scaled.looks(1)
    assert scaled.fleet.spawns == 4


async def test_one_process_decides_and_another_goes_on_when_it_is_gone(scaled: ScaledPool) -> None:
    scaled.policy(min_instances=1)
    other = scaled.process("b")
    await scaled.looks(1)
    assert await other.evaluate_scaling() == []
    scaled.policy(min_instances=3)
    await scaled.looks(4, other)
    assert scaled.fleet.spawns == 1
    # When the first one has not looked for its lease
    await scaled.looks(1, other)
    assert scaled.fleet.spawns == 3
    # Then it decides nothing when it comes back
    scaled.policy(min_instances=9)
    await scaled.looks(1)
    assert scaled.fleet.spawns == 3
    await other.aclose()


async def test_one_that_stops_leaves_the_lead_to_the_next(scaled: ScaledPool) -> None:
    scaled.policy(min_instances=1)
    await scaled.looks(1)
    scaled.policy(min_instances=2)
    await scaled.scaler.aclose()
    other = scaled.process("b")
    await scaled.looks(1, other)
    assert scaled.fleet.spawns == 2
    await other.aclose()


async def test_what_was_begun_is_ended_when_the_policy_is_removed(scaled: ScaledPool) -> None:
    scaled.policy()
    (name,) = scaled.fleet.add(slots_used=1)
    scaled.policy(slots_per_instance=50)
    scaled.fleet.set(name, slots_used=0)
    await scaled.scaler.evaluate_scaling()
    scaled.cell.run(scaled.commands.drop_policy(POOL))
    await scaled.looks(2)
    assert scaled.fleet.members == {}
    # And nothing is remembered of the pool
    assert scaled.state() is None


async def test_looks_that_see_the_same_are_stored_once_a_minute(scaled: ScaledPool) -> None:
    scaled.policy(min_instances=1)
    scaled.fleet.add()
    await scaled.looks(40)
    assert len(scaled.history()) == 2
