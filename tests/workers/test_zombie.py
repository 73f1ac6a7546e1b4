"""A zombie: it sends heartbeats, answers, refuses or swallows work, and ends nothing."""

from __future__ import annotations

import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from godel_tasks.domain.instance import Health, InstanceStatus
from godel_tasks.store.command import Command, plain
from godel_tasks.store.keys import REGISTRY_EVENTS
from godel_tasks.views.instances import InstanceView, instance_named
from tests.helpers import wait_until
from tests.workers.conftest import SYNC
from tests.world import World


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """With a dispatcher, a control worker and beat; quicker than by default (8 s, 5 s)."""
    with World(tmp_path / "world", zombie_after_s=2, probe_every_s=1) as world:
        flags = ("--without-gossip", "--without-mingle")
        control = [sys.executable, "-m", "celery", "-A", "workers.control", "worker"]
        world.dispatcher("d1", ready=False)
        world.spawn("c1", [*control, "-n", "c1@%h", *flags])
        world.spawn("beat", [sys.executable, "-m", "celery", "-A", "godel_tasks", "beat"])
        yield world


def look(world: World, name: str) -> InstanceView:
    return instance_named(world.runtime, name)


def events(world: World, name: str) -> list[str]:
    read: Command[list[Any]] = plain("XRANGE", REGISTRY_EVENTS, "-", "+", decode=list)
    rows = [fields for _, fields in world.runtime.store.run(read)]
    return [row[b"event"].decode() for row in rows if row[b"instance"].decode() == name]


def test_a_zombie_is_found_told_from_a_long_turn_and_given_nothing(world: World) -> None:
    # Given an instance with a long turn, and one whose thread does not return when its time is up
    world.tenant("acme")
    world.instance("patient", SYNC, "--capability", "kind=patient")
    world.instance("stuck", SYNC, "--capability", "kind=stuck")
    long_turn = world.submit("acme", {"sleep": 60}, capabilities={"kind": "patient"})
    doomed = world.submit(
        "acme", {"first": 60}, capabilities={"kind": "stuck"}, timeout=1, max_attempts=2
    )
    wait_until(
        lambda: world.starts(doomed.id) and world.state(doomed.id) in ("DELAYED", "WAITING"),
        description="its time is up",
        timeout=30,
    )
    stuck_since = time.monotonic()
    # Then its heartbeats go on, and it is found to be a zombie
    wait_until(
        lambda: look(world, "stuck").record.health is Health.UNHEALTHY,
        description="the zombie is found",
        timeout=30,
    )
    print(f"found {time.monotonic() - stuck_since:.1f} s after its attempt was given up")
    zombie = look(world, "stuck")
    assert zombie.status is InstanceStatus.UP
    assert zombie.record.health_reason == (
        "zombie: it answers, and does no work: "
        "all 1 slots are held by attempts that were stopped, and go on"
    )
    assert "instance.unhealthy" in events(world, "stuck")
    # And the second attempt, which waits for an instance of that kind, runs when there is another
    assert world.state(doomed.id) != ""
    world.instance("spare", SYNC, "--capability", "kind=stuck")
    assert doomed.get(timeout=20) == {"attempt": 2, "instance": "spare"}
    # And the long turn was left in peace
    patient = look(world, "patient")
    assert (patient.record.health, patient.slots_used) == (Health.HEALTHY, 1)
    assert events(world, "patient") == ["instance.registered"]
    assert world.state(long_turn.id) == "RUNNING"
