"""`godel tasks explain`, and strategies at the command line."""

from __future__ import annotations

import pytest

from godel_tasks.domain.instance import InstanceConfig, InstanceStatus
from tests.cli.played import PlayedDispatcher, godel, ok


@pytest.fixture(autouse=True)
def acme(attached: str) -> None:
    ok("tenants", "add", "acme")


def submit(*options: object) -> str:
    task_id: str = ok("tasks", "submit", "acme", "{}", *options)["task_id"]
    return task_id


def register(played: PlayedDispatcher, *configs: InstanceConfig) -> None:
    registry = played.cell.registry
    for config in configs:
        played.cell.run(registry.register(config))
    ids = [config.instance_id for config in configs]
    played.cell.run(registry.attend(instance_ids=ids, lease_ms=60_000))


def test_a_task_that_waits_is_explained_by_the_fleet_as_it_is(played: PlayedDispatcher) -> None:
    # Given four instances, of which one can take it
    register(
        played,
        InstanceConfig("ready", "h:1", capacity=4, region="eu", capabilities={"v": "1.4"}),
        InstanceConfig("drains", "h:2", capacity=4, region="eu", capabilities={"v": "1.9"}),
        InstanceConfig("old", "h:3", capacity=4, region="eu", capabilities={"v": "0.9"}),
        InstanceConfig("away", "h:4", capacity=4, region="us", capabilities={"v": "1.4"}),
    )
    registry = played.cell.registry
    played.cell.run(registry.set_status(instance_id="drains", status=InstanceStatus.DRAINING))
    # When a task that is picky waits, and is asked why
    task_id = submit("--capability", "v version >=1.2,<2", "--region", "eu", "--prefer", "gpu=yes")
    told = ok("tasks", "explain", task_id)
    # Then candidates and filters are named, each with its reason
    assert told["live"]
    assert [c["instance_id"] for c in told["candidates"]] == ["ready"]
    assert {f["instance_id"]: f["reason"] for f in told["filtered"]} == {
        "drains": "it is draining",
        "old": "v is 0.9, wanted v version >=1.2,<2",
        "away": "region is us, not eu",
    }
    assert told["reason"] == "it waits: ready can take the next one (load 0.00)"
    # And people read the same
    shown = godel("tasks", "explain", task_id).out
    assert "it is draining" in shown
    assert "ready can take the next one" in shown


def test_a_task_that_nobody_knows_is_told_as_such(played: PlayedDispatcher) -> None:
    assert godel("tasks", "explain", "none", "--json").error["type"] == "TaskNotFound"


def test_a_wrong_strategy_is_refused_with_the_nearest_one(played: PlayedDispatcher) -> None:
    refused = godel("tasks", "submit", "acme", "{}", "--strategy", "geo-awre=eu", "--json")
    assert refused.error["hint"] == "did you mean 'geo-aware'?"
    refused = godel("tenants", "set", "acme", "--strategy", "round-robbin", "--json")
    assert refused.error["hint"] == "did you mean 'round-robin'?"


def test_a_tenants_pools_and_strategy_are_part_of_its_classes(played: PlayedDispatcher) -> None:
    # Given a tenant that may spill over
    ok("tenants", "set", "acme", "--pool", "gold+spare", "--strategy", "fallback=,/spare")
    register(
        played,
        InstanceConfig("home", "h:1", pool="gold", capacity=1),
        InstanceConfig("spill", "h:2", pool="spare", capacity=1),
        InstanceConfig("wall", "h:3", pool="shared", capacity=1),
    )
    task_id = submit()
    # Then the home pool comes first, and a pool that it may not use is no candidate
    told = ok("tasks", "explain", task_id)
    assert [c["instance_id"] for c in told["candidates"]] == ["home", "spill"]
    assert [f["reason"] for f in told["filtered"]] == ["its tenant may not run in pool shared"]
    # And a task that asks for another strategy stays at home
    told = ok("tasks", "explain", submit("--strategy", "least-loaded"))
    assert [c["instance_id"] for c in told["candidates"]] == ["home"]


def test_an_open_breaker_is_what_stands_against_an_instance(played: PlayedDispatcher) -> None:
    # Given an instance whose breaker a person opened, and one behind whose provider one is open
    register(
        played,
        InstanceConfig("sick", "h:1"),
        InstanceConfig("behind", "h:2", capabilities={"provider": "p1"}),
    )
    ok("breakers", "open", "sick")
    ok("breakers", "open", "provider:p1")
    # When a task that waits is explained
    told = ok("tasks", "explain", submit())
    # Then both say so, and neither is a candidate
    assert told["candidates"] == []
    reasons = {f["instance_id"]: f["reason"] for f in told["filtered"]}
    assert reasons["sick"].startswith("breaker forced-open by ")
    assert reasons["behind"].startswith("provider:p1: breaker forced-open by ")
