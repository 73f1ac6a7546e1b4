"""FleetView: who is dead, when most of the fleet falls silent, and that it is told."""

from __future__ import annotations

import pytest

from godel_tasks.dispatch.config import DispatchConfig, Ports
from godel_tasks.dispatch.fleet import FleetView
from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.domain.requirement import RequirementClass
from godel_tasks.events import FleetDoubted
from godel_tasks.policy.massloss import MassLossRules
from godel_tasks.store.command import plain
from godel_tasks.store.health import HealthCommands
from godel_tasks.store.keys import REGISTRY_EVENTS, REGISTRY_INSTANCES
from tests.helpers import wait_until_async

ANY = RequirementClass.parse("shared.0", "shared\n")


class Fleet:
    """Instances on a real server, and a view of them that is patient with nobody."""

    def __init__(self, ports: Ports, **rules: int) -> None:
        self.ports = ports
        self.lost: list[str] = []
        config = DispatchConfig(instance_lease_ms=1, mass_loss=MassLossRules(**rules))
        self.view = FleetView(ports, config, lambda name, _: self.lost.append(name))

    async def enlist(self, *names: str) -> None:
        registry, run = self.ports.registry, self.ports.store.run
        for name in names:
            config = InstanceConfig(name, f"{name}:1")
            generation = await run(registry.register(config))
            await run(registry.enlist(config, generation=generation, lease_ms=60_000))
        await self.view.look()

    async def silence(self, *names: str) -> None:
        """Their leases are over, and have been for a millisecond."""
        now_ms = (await self.ports.store.run(self.ports.registry.fleet())).now_ms
        for name in names:
            zadd = plain("ZADD", REGISTRY_INSTANCES, now_ms - 1, name, decode=int)
            await self.ports.store.run(zadd)

    async def told(self) -> list[str]:
        rows = await self.ports.store.run(
            plain("XRANGE", REGISTRY_EVENTS, "-", "+", decode=lambda reply: reply)
        )
        lost = [f for _, f in rows if f[b"event"] == b"instance.lost"]
        return sorted(f[b"instance"].decode() for f in lost)


async def test_one_that_falls_silent_is_lost_and_that_is_told_once(ports: Ports) -> None:
    fleet = Fleet(ports)
    other = Fleet(ports)
    await fleet.enlist("a", "b", "c", "d")
    await other.view.look()
    await fleet.silence("a")
    for _ in range(2):
        await fleet.view.look()
        await other.view.look()
    assert (set(fleet.lost), set(other.lost)) == ({"a"}, {"a"})
    assert not fleet.view.alive("a", 1)
    assert await fleet.told() == ["a"]


async def test_most_of_the_fleet_at_once_is_held_and_used_only_behind_the_others(
    ports: Ports, caplog: pytest.LogCaptureFixture
) -> None:
    heard: list[FleetDoubted] = []
    ports.bus.subscribe(heard.append, FleetDoubted)  # type: ignore[arg-type]
    fleet = Fleet(ports, grace_ms=60_000)
    await fleet.enlist("a", "b", "c", "d")
    await fleet.silence("a", "b", "c")
    # When the view looks, again and again
    for _ in range(3):
        await fleet.view.look()
    # Then nothing is given up, and it is said why
    assert fleet.lost == []
    assert await fleet.told() == []
    assert "3 instances are held: 3 of 4 instances fell silent" in caplog.text
    assert [event.held for event in heard] == [3]
    # And they stand behind the one that is heard of
    assert fleet.view.suitable(ANY) == ("a", "b", "c", "d")
    degraded = {i: c.degraded for i, c in fleet.view.candidates({}).items()}
    assert degraded == {"a": True, "b": True, "c": True, "d": False}
    # And when they are heard of again, all is as before
    attend = ports.registry.attend(instance_ids=["a", "b", "c"], lease_ms=60_000)
    await ports.store.run(attend)

    async def healed() -> bool:
        await fleet.view.look()
        return not any(c.degraded for c in fleet.view.candidates({}).values())

    await wait_until_async(healed, description="nobody is degraded")
    assert [event.held for event in heard] == [3, 0]


async def test_gateways_at_whose_endpoints_nobody_listens_count_too(ports: Ports) -> None:
    fleet = Fleet(ports, grace_ms=60_000)
    await fleet.enlist("a", "b", "c", "d")
    # When dispatchers find three of four endpoints refused, one after another
    for name in "abc":
        await ports.store.run(ports.registry.end_lease(instance_id=name, generation=1))
    await fleet.view.look()
    # Then that is more likely our fault, too
    assert fleet.lost == []
    assert await fleet.told() == []
    # And where the guard is off, they are lost
    alone = Fleet(ports, grace_ms=60_000, share=1)

    async def believed() -> bool:
        await alone.view.look()
        return set(alone.lost) == {"a", "b", "c"}

    await wait_until_async(believed, description="they are lost without the guard")


async def test_after_the_grace_a_mass_loss_is_believed(ports: Ports) -> None:
    fleet = Fleet(ports, grace_ms=300)
    await fleet.enlist("a", "b", "c")
    await fleet.silence("a", "b", "c")
    await fleet.view.look()
    assert fleet.lost == []

    async def believed() -> bool:
        await fleet.view.look()
        return sorted(set(fleet.lost)) == ["a", "b", "c"]

    await wait_until_async(believed, description="the grace is over")
    assert await fleet.told() == ["a", "b", "c"]


async def test_one_that_was_declared_dead_is_lost_for_the_reason_that_it_was(ports: Ports) -> None:
    # Given a zombie: its heartbeats go on
    fleet = Fleet(ports)
    reasons: list[str] = []
    fleet.view = FleetView(ports, DispatchConfig(), lambda _, reason: reasons.append(reason))
    await fleet.enlist("a")
    health, run = HealthCommands(), ports.store.run
    fields = {"health": "unhealthy", "health_reason": "zombie: it does no work"}
    await run(health.note(instance_id="a", generation=1, memory="{}", fields=fields))
    # When it is declared dead
    assert await run(health.declare_dead(instance_id="a", generation=1))
    lose = ports.registry.lose(instance_id="a", generation=1, reason="a zombie", end_now=True)
    assert await run(lose)
    await fleet.view.look()
    # Then what it holds is lost, and it is told once
    assert reasons[0] == "zombie: it does no work"
    assert not fleet.view.alive("a", 1)
    assert await fleet.told() == ["a"]
