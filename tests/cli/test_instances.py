"""`godel instances`."""

from __future__ import annotations

import json

from godel_tasks.domain.instance import InstanceConfig, InstanceMetrics
from godel_tasks.store.health import HealthCommands
from tests.cli.played import PlayedDispatcher, godel, ok
from tests.helpers import wait_until


def heartbeat(played: PlayedDispatcher, instance_id: str, *, lease_ms: int = 60_000) -> None:
    """An instance with two slots that registers itself and reports, as a process does."""
    cell = played.cell
    config = InstanceConfig(
        instance_id, "10.0.0.1:7000", capacity=2, region="eu", capabilities={"gpu": "yes"}
    )
    generation = cell.run(cell.registry.register(config))
    metrics = InstanceMetrics(cpu_usage=0.25, completed_tasks=7)
    cell.run(
        cell.registry.report(
            instance_id=instance_id, generation=generation, metrics=metrics, draining=False
        )
    )
    cell.run(cell.registry.attend(instance_ids=[instance_id], lease_ms=lease_ms))


def test_the_fleet_is_listed_by_lease_and_slots(played: PlayedDispatcher) -> None:
    # Given an instance that runs one task, and one whose heartbeats stopped
    heartbeat(played, "gw-1")
    heartbeat(played, "gw-2", lease_ms=1)
    played.cell.run(
        played.cell.registry.slots(instance_id="gw-1", generation=1, dispatcher="d1", count=1)
    )
    # Then the list says so
    wait_until(
        lambda: ok("instances", "list")["instances"][1]["status"] == "dead",
        description="gw-2's lease is over",
    )
    first, second = ok("instances", "list")["instances"]
    assert (first["instance"], first["status"], first["slots_used"]) == ("gw-1", "up", 1)
    assert (first["capacity"], first["region"], first["pool"]) == (2, "eu", "shared")
    assert first["capabilities"] == {"gpu": "yes"}
    assert (first["metrics"]["cpu_usage"], first["metrics"]["memory_usage"]) == (0.25, None)
    assert second["lease_left_ms"] <= 0
    assert "gpu=yes" in godel("instances", "list").out
    # And it can be narrowed
    assert ok("instances", "list", "--region", "us") == {"instances": []}


def test_one_instance_is_shown(played: PlayedDispatcher) -> None:
    heartbeat(played, "gw-1")
    shown = ok("instances", "show", "gw-1")
    assert (shown["endpoint"], shown["generation"]) == ("10.0.0.1:7000", 1)
    assert "left" in godel("instances", "show", "gw-1").out
    said = godel("instances", "show", "gw1", "--json")
    assert (said.code, said.error["hint"]) == (5, "did you mean 'gw-1'?")


def test_an_instance_is_added_by_hand(attached: str) -> None:
    said = godel(
        *("instances", "add", "gw-9", "10.0.0.9:7000", "--capacity", "3", "--region", "eu"),
        *("--capability", "model=large", "--credentials", "env:GW9_TOKEN", "--lease", "120"),
    )
    # It is said that nobody attends it, and for how long it counts
    assert said.code == 0
    assert "counts as alive for 2 min" in said.out
    shown = ok("instances", "show", "gw-9")
    assert (shown["status"], shown["capacity"]) == ("up", 3)
    assert (shown["capabilities"], shown["credentials"]) == ({"model": "large"}, "env:GW9_TOKEN")
    assert 110_000 < shown["lease_left_ms"] <= 120_000


def test_what_is_wrong_with_an_added_instance_is_told(played: PlayedDispatcher) -> None:
    heartbeat(played, "gw-1")
    wrong = {
        "UnknownDriver": ["gw-9", "h:1", "--driver", "grcp"],
        "UsageError": ["gw 9", "h:1"],
        "InstanceError": ["gw-1", "h:1"],
    }
    for kind, options in wrong.items():
        assert godel("instances", "add", *options, "--json").error["type"] == kind
    # And a secret that was given for its reference is not shown again
    said = godel("instances", "add", "gw-9", "h:1", "--credentials", "hunter2")
    assert said.code == 2
    assert "hunter2" not in said.out + said.err
    assert [i["instance"] for i in ok("instances", "list")["instances"]] == ["gw-1"]


def test_an_added_instance_replaces_one_only_when_told(played: PlayedDispatcher) -> None:
    heartbeat(played, "gw-1")
    assert ok("instances", "add", "gw-1", "h:2", "--replace")["generation"] == 2


def test_an_instance_is_drained_and_taken_back(played: PlayedDispatcher) -> None:
    # Given an instance, and whoever keeps a snapshot of the registry
    heartbeat(played, "gw-1")
    before = played.cell.run(played.cell.registry.fleet()).newest_event
    # When it is drained
    assert ok("instances", "set", "gw-1", "--status", "draining")["status"] == "draining"
    # Then its own heartbeats do not undo it, and an event tells of it
    report = played.cell.registry.report(
        instance_id="gw-1", generation=1, metrics=InstanceMetrics(), draining=False
    )
    assert played.cell.run(report)
    assert ok("instances", "show", "gw-1")["status"] == "draining"
    assert played.cell.run(played.cell.registry.fleet()).newest_event != before
    # And taken back it is up, with the capacity that was asked for
    back = ok("instances", "set", "gw-1", "--status", "up", "--capacity", 1)
    assert (back["status"], back["capacity"]) == ("up", 1)


def test_a_change_of_what_is_not_there_leaves_nothing_behind(attached: str) -> None:
    said = godel("instances", "set", "gw-1", "--status", "draining", "--json")
    assert (said.code, said.error["type"]) == (5, "UnknownInstance")
    assert ok("instances", "list") == {"instances": []}
    assert godel("instances", "set", "gw-1").code == 2


def test_a_busy_instance_is_removed_only_by_force(played: PlayedDispatcher) -> None:
    heartbeat(played, "gw-1")
    slots = played.cell.registry.slots(instance_id="gw-1", generation=1, dispatcher="d1", count=1)
    played.cell.run(slots)
    said = godel("instances", "remove", "gw-1", "--json")
    assert (said.code, said.error["type"]) == (10, "InstanceError")
    assert "--force" in said.error["hint"]
    assert ok("instances", "remove", "gw-1", "--force") == {"instance": "gw-1", "slots_used": 1}
    assert ok("instances", "list") == {"instances": []}
    assert godel("instances", "remove", "gw-1", "--json").error["type"] == "UnknownInstance"


def test_health_is_listed_with_its_reason(played: PlayedDispatcher) -> None:
    heartbeat(played, "gw-1")
    fields = {
        "health": "degraded",
        "health_reason": "it answers slowly: 1200 ms",
        "latency_ms": "1200.5",
        "components": '{"memory":false}',
    }
    note = HealthCommands().note(instance_id="gw-1", generation=1, memory="{}", fields=fields)
    assert played.cell.run(note)
    counts = {"ok": 3, "lost": 1, "run_ms": 8000}
    count = HealthCommands().count_ends(instance_id="gw-1", generation=1, counts=counts)
    assert played.cell.run(count)
    shown = ok("instances", "show", "gw-1")
    assert (shown["health"], shown["latency_ms"]) == ("degraded", 1200.5)
    assert shown["health_reason"] == "it answers slowly: 1200 ms"
    assert shown["components"] == {"memory": False}
    assert shown["attempts"] == {"ok": 3, "lost": 1, "mean_run_ms": 2000}
    assert "3 ok, 1 lost; 2.0 s each" in godel("instances", "show", "gw-1").out
    assert "degraded" in godel("instances", "list").out
    assert "it answers slowly" in godel("instances", "list").out
    assert "not well" in godel("instances", "show", "gw-1").out


def test_what_becomes_of_instances_is_followed(played: PlayedDispatcher) -> None:
    # Given two events
    registry = played.cell.registry
    config = InstanceConfig("gw-1", "h:1")
    generation = played.cell.run(registry.register(config))
    played.cell.run(registry.enlist(config, generation=generation, lease_ms=60_000))
    tell = registry.tell(
        instance_id="gw-1", event="instance.degraded", generation=1, reason="it answers slowly"
    )
    played.cell.run(tell)
    # When they are followed from the beginning
    said = godel("instances", "watch", "--since", "0", "--count", "2", "--json")
    first, second = [json.loads(line) for line in said.out.splitlines()]
    # Then each is a line
    assert (first["event"], first["generation"]) == ("instance.registered", 1)
    assert (second["event"], second["reason"]) == ("instance.degraded", "it answers slowly")
    after = ("--since", first["event_id"], "--count", "1")
    assert "gw-1  degraded  it answers slowly" in godel("instances", "watch", *after).out
