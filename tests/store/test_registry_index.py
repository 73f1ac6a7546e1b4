"""enlist, relabel, find_labelled, lose, depart: who offers what, and who is told to be gone."""

from __future__ import annotations

from typing import Any

from godel_tasks.domain.instance import InstanceConfig, InstanceMetrics
from godel_tasks.policy.capabilities import capabilities_of
from godel_tasks.policy.labels import groups_of
from godel_tasks.store.keys import REGISTRY_EVENTS
from tests.cell import Cell


def enlist(cell: Cell, name: str, *, lease_ms: int = 3000, pool: str = "shared", **offers: str):
    config = InstanceConfig(name, "h:1", pool=pool, capabilities=offers)
    generation = cell.run(cell.registry.register(config))
    assert cell.run(cell.registry.enlist(config, generation=generation, lease_ms=lease_ms))
    return generation


def found(cell: Cell, wanted: dict[str, Any], pool: str = "") -> list[str]:
    groups = groups_of(capabilities_of(wanted), pool=pool)
    ids: tuple[str, ...] = cell.run(cell.registry.find_labelled(groups))
    return list(ids)


def events(cell: Cell) -> list[tuple[str, str, str, str]]:
    rows = cell.server("XRANGE", REGISTRY_EVENTS, "-", "+")
    names = (b"event", b"instance", b"generation", b"reason")
    return [tuple(fields[name].decode() for name in names) for _, fields in rows]


def test_instances_are_found_by_what_they_offer(cell: Cell) -> None:
    enlist(cell, "a", gpu="yes", memory_gb="16")
    enlist(cell, "b", gpu="no", memory_gb="64")
    enlist(cell, "c", pool="acme", model="large")
    assert found(cell, {"gpu": "yes"}) == ["a"]
    assert found(cell, {"gpu": ["yes", "no"]}) == ["a", "b"]
    # Who offers a number at all; the number itself is compared by who asks
    assert found(cell, {"memory_gb": {">=": 32}}) == ["a", "b"]
    assert found(cell, {"memory_gb": {">=": 32}, "gpu": "no"}) == ["b"]
    assert found(cell, {"gpu": {"!=": "yes"}}) == ["a", "b", "c"]
    assert found(cell, {}, pool="acme") == ["c"]
    assert found(cell, {"gpu": "maybe"}) == []


def test_one_that_registers_anew_is_found_by_what_it_offers_now(cell: Cell) -> None:
    enlist(cell, "a", gpu="yes")
    enlist(cell, "a", model="large")
    assert found(cell, {"gpu": "yes"}) == []
    assert found(cell, {"model": "large"}) == ["a"]
    # And one that left is not found
    cell.run(cell.registry.depart(instance_id="a"))
    assert found(cell, {}) == []
    assert found(cell, {"model": "large"}) == []


def test_a_stale_process_lists_nothing_ends_nothing_and_takes_nothing_out(cell: Cell) -> None:
    # Given a process that stood still between its registration and listing it
    config = InstanceConfig("a", "h:1", capabilities={"gpu": "old"})
    old = cell.run(cell.registry.register(config))
    new = enlist(cell, "a", gpu="new")
    # When it goes on
    registry = cell.registry
    assert not cell.run(registry.enlist(config, generation=old, lease_ms=60_000))
    assert not cell.run(registry.depart(instance_id="a", generation=old))
    lose = registry.lose(instance_id="a", generation=old, reason="", end_now=True)
    assert not cell.run(lose)
    metrics = InstanceMetrics(cpu_usage=0.9)
    assert not cell.run(
        registry.report(instance_id="a", generation=old, metrics=metrics, draining=True)
    )
    # Then nothing has changed
    assert found(cell, {"gpu": "new"}) == ["a"]
    assert cell.run(registry.fleet()).leases == {"a": cell.now + 3000}
    fields = cell.run(registry.fields(instance_id="a"))
    assert (fields["status"], fields["generation"]) == ("up", str(new))


def test_a_loss_is_told_once_and_so_is_the_return(cell: Cell) -> None:
    generation = enlist(cell, "a")
    lose = cell.registry.lose(instance_id="a", generation=generation, reason="it is silent")
    # It lives: there is nothing to tell
    assert not cell.run(lose)
    cell.pass_time(3001)
    # When three dispatchers find it dead
    lose = cell.registry.lose(instance_id="a", generation=generation, reason="it is silent")
    assert [cell.run(lose) for _ in range(3)] == [True, False, False]
    # And its heartbeats come back, twice
    for _ in range(2):
        cell.run(cell.registry.attend(instance_ids=["a"], lease_ms=3000))
    # Then each is told once
    assert events(cell) == [
        ("instance.registered", "a", "1", ""),
        ("instance.lost", "a", "1", "it is silent"),
        ("instance.recovered", "a", "1", "it is heard of again"),
    ]


def test_a_lease_is_never_made_shorter_but_by_a_loss(cell: Cell) -> None:
    # Given two who attend one instance, of whom one has not heard of it for a while
    generation = enlist(cell, "a", lease_ms=3000)
    cell.run(cell.registry.attend(instance_ids=["a"], lease_ms=100))
    assert cell.run(cell.registry.fleet()).leases == {"a": cell.now + 3000}
    # When one of them knows that nobody is there
    lose = cell.registry.lose(instance_id="a", generation=generation, reason="", end_now=True)
    assert cell.run(lose)
    assert cell.run(cell.registry.fleet()).leases == {"a": cell.now}


def test_a_lease_that_is_ended_quietly_is_told_by_who_judges_by_it(cell: Cell) -> None:
    # Given an instance at whose endpoint nobody listens
    generation = enlist(cell, "a")
    assert cell.run(cell.registry.end_lease(instance_id="a", generation=generation))
    assert not cell.run(cell.registry.end_lease(instance_id="a", generation=generation + 1))
    assert cell.run(cell.registry.fleet()).leases == {"a": cell.now}
    assert [event[0] for event in events(cell)] == ["instance.registered"]
    # When a dispatcher finds that its lease is over
    lose = cell.registry.lose(instance_id="a", generation=generation, reason="nobody listens")
    assert [cell.run(lose), cell.run(lose)] == [True, False]
    assert events(cell)[-1] == ("instance.lost", "a", "1", "nobody listens")


def test_an_index_that_differs_from_the_hash_is_repaired(cell: Cell) -> None:
    # Given an instance that was killed between its hash and the registry, when it came again
    enlist(cell, "a", gpu="yes")
    config = InstanceConfig("a", "h:1", capabilities={"model": "large"})
    generation = cell.run(cell.registry.register(config))
    # When a job compares
    assert cell.run(cell.registry.relabel(config, generation=generation))
    assert not cell.run(cell.registry.relabel(config, generation=generation))
    # Then it is found by its hash
    assert found(cell, {"model": "large"}) == ["a"]
    assert found(cell, {"gpu": "yes"}) == []
    # And one that is not registered is not made so
    stranger = InstanceConfig("b", "h:1")
    assert not cell.run(cell.registry.relabel(stranger, generation=1))
    assert found(cell, {}) == ["a"]
