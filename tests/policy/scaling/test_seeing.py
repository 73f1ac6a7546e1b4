"""From members and queues to what a decision sees; and what becomes of requests."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from godel_tasks.domain.instance import Health, InstanceConfig, InstanceRecord, InstanceStatus
from godel_tasks.domain.member import Member, MemberState
from godel_tasks.domain.pool import InstanceTemplate, MadeInstance, Wanted
from godel_tasks.domain.requirement import Capability, Requirement, RequirementClass
from godel_tasks.domain.scaling import (
    Change,
    PoolState,
    ScalingInputs,
    ScalingMemory,
    ScalingPolicy,
    Spawning,
)
from godel_tasks.policy.scaling.planning import not_spawned, plan
from godel_tasks.policy.scaling.seeing import PoolSeen, Waiting, inputs_of
from tests.policy.scaling.worlds import NOW_MS

POOL = "shared"
UP, MAKING, DEAD, DRAINING = (
    *(MemberState.UP, MemberState.MAKING, MemberState.DEAD, MemberState.DRAINING),
)


def member(name: str, state: MemberState = UP, used: int = 0, **config: Any) -> Member:
    settings = InstanceConfig(name, "", **{"capacity": 2, "pool": POOL, **config})
    return Member(
        name,
        POOL,
        state,
        "process",
        "grpc",
        slots_used=used,
        record=InstanceRecord(settings, 1, InstanceStatus.UP, 0, registered_ms=7),
        made=MadeInstance(name, POOL, "process", "grpc", "here", Wanted.UP, 0),
    )


def asked(count: int, name: str = "", age_ms: int = 0) -> tuple[Spawning, ...]:
    at_ms = NOW_MS - age_ms
    return tuple(Spawning(f"1.{n}", at_ms, at_ms + 60_000, name) for n in range(count))


def look(
    *members: Member,
    spawning: tuple[Spawning, ...] = (),
    leaving: tuple[str, ...] = (),
    **seen: Any,
) -> ScalingInputs:
    return inputs_of(PoolSeen(POOL, NOW_MS, members, **seen), PoolState(spawning=spawning), leaving)


# -- who counts --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("members", "spawning", "starting"),
    [
        ([], asked(2), 2),
        ([member("a", MAKING), member("b", MAKING)], asked(2), 2),
        ([member("a", MAKING), member("b", MAKING)], asked(1), 2),
        ([member("a", MAKING)], (), 1),
        ([member("a")], asked(1, "a"), 0),
        ([member("a", DEAD)], asked(1, "a"), 1),
        ([], asked(1, "a"), 1),
        ([member("a", DEAD)], (), 0),
    ],
)
def test_a_request_and_what_is_made_for_it_are_one(
    members: list[Member], spawning: tuple[Spawning, ...], starting: int
) -> None:
    assert look(*members, spawning=spawning).starting == starting


def test_one_that_is_replaced_or_restarted_counts_as_there() -> None:
    assert look(member("a", DEAD), replaces=True).size == 1
    assert look(member("a", DRAINING), restarting=frozenset("a")).size == 1
    assert look(member("a", DRAINING)).size == 0


def test_what_runs_on_draining_instances_counts_and_their_slots_do_not() -> None:
    seen = look(member("a", used=1), member("b", DRAINING, 2), member("c", used=1), leaving=("c",))
    assert (seen.up, seen.draining, seen.running) == (1, 2, 4)
    assert [load.instance_id for load in seen.instances] == ["a"]


def test_what_is_told_of_an_instance() -> None:
    sick = member("a", used=2, capacity=6)
    assert sick.record is not None
    sick = replace(sick, record=replace(sick.record, health=Health.UNHEALTHY))
    seen = look(sick, member("b"), sessions={"a": 2})
    (load, _) = seen.instances
    assert (load.used, load.sessions, load.healthy, load.registered_ms) == (2, 2, False, 7)
    assert (seen.sessions, seen.pinned, seen.slots_per_instance) == (2, 1, 4.0)


# -- what waits --------------------------------------------------------------------------------


def waiting(count: int, pool: str = POOL, **requirement: Any) -> Waiting:
    return Waiting(RequirementClass("c", pool, Requirement(**requirement)), count)


def condition(name: str, value: str) -> tuple[Capability, ...]:
    return (Capability(name, "=", (value,)),)


def test_only_what_another_instance_could_run_counts() -> None:
    gpu, one, other = (
        waiting(2, capabilities=condition("gpu", "yes")),
        waiting(4, instance_id="a"),
        waiting(8, pool="other"),
    )
    queue = [waiting(1), gpu, one, other]
    # Whoever has none, and does not know what they would be like, counts all of the pool's
    assert look(waiting=queue).queued == 3
    # What no instance has, and no new one would have, asks for none
    assert look(member("a"), waiting=queue).queued == 1
    template = InstanceTemplate(POOL, capabilities={"gpu": "yes"}, capacity=9)
    assert look(member("a"), waiting=queue, template=template).queued == 3
    assert look(waiting=queue, template=template).slots_per_instance == 9


@pytest.mark.parametrize(
    ("broken", "blocked"), [("acme", 6), ("acme/large", 2), ("acme/small", 0), ("other", 0)]
)
def test_whose_provider_is_broken(broken: str, blocked: int) -> None:
    # Given instances of one provider, and tasks that ask for it, or for one of its models
    instances = [
        member(name, capabilities={"provider": "acme", "model": model})
        for name, model in (("a", "large"), ("b", "medium"))
    ]
    queue = [
        waiting(4, capabilities=condition("provider", "acme")),
        waiting(2, capabilities=condition("model", "large")),
    ]
    seen = look(*instances, waiting=queue, open_providers=frozenset({broken}))
    assert (seen.queued, seen.queued_blocked) == (6, blocked)


def test_a_task_that_could_go_to_either_provider_is_not_blocked() -> None:
    instances = [member(name, capabilities={"provider": name}) for name in ("acme", "other")]
    queue = [waiting(3), waiting(1, capabilities=condition("provider", "other"))]
    seen = look(*instances, waiting=queue, open_providers=frozenset({"other"}))
    assert (seen.queued, seen.queued_blocked) == (4, 1)


# -- requests ----------------------------------------------------------------------------------


def test_one_that_does_not_come_up_in_time_is_given_up_and_removed() -> None:
    state = PoolState(spawning=asked(1, "a", age_ms=60_000))
    policy = ScalingPolicy(POOL, max_instances=5)
    planned = plan(policy, PoolSeen(POOL, NOW_MS, [member("a", DEAD)]), state, token=1)
    assert planned.state is not None
    assert planned.state.spawning == ()
    assert list(planned.removals) == ["a"]
    assert [(note.what, note.detail) for note in planned.notes] == [
        ("failed", "it did not come up")
    ]


def test_a_spawn_that_failed_gives_its_step_back() -> None:
    state = PoolState(ScalingMemory(changes=(Change(NOW_MS, 2),)), spawning=asked(2))
    state = not_spawned(state, "1.0", NOW_MS)
    assert sum(change.delta for change in state.memory.changes) == 1
    assert (len(state.spawning), state.failures, state.again_ms) == (1, 1, NOW_MS + 2000)
    # And a request that is not known any more changes nothing
    assert not_spawned(state, "9.9", NOW_MS) == state
