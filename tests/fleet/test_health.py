"""HealthMonitor: probes that are due, verdicts, and who hears of them, on a real store."""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest

from godel_tasks.clock import SystemClock
from godel_tasks.domain.attempt import Delivery
from godel_tasks.domain.instance import (
    Health,
    HealthComponents,
    HealthStatus,
    InstanceConfig,
    InstanceMetrics,
    InstanceRecord,
)
from godel_tasks.fleet.health import BATCH, HealthMonitor, Round, tell_losses
from godel_tasks.instances.drivers.simulated import SimulatedDriver, SimulatedNetwork
from godel_tasks.instances.drivers.simulated_endpoint import Act, SimulatedEndpoint
from godel_tasks.policy.health import HealthRules
from godel_tasks.policy.massloss import MassLossRules
from godel_tasks.store.command import Command, plain
from godel_tasks.store.executor import AsyncExecutor, connect_async
from godel_tasks.store.health import HealthCommands, NotedProbe
from godel_tasks.store.keys import REGISTRY_EVENTS, REGISTRY_INSTANCES
from godel_tasks.store.registry import RegistryCommands, record_of

#: Everything is due at each round, and health follows soon.
RULES = HealthRules(every_ms=1, soon_ms=1, bad_to_fall=2, zombie_after_ms=1, stuck_to_lose=3)


class Attended(SimulatedDriver):
    """As if dispatchers looked after its instances."""

    self_registering = False


class Fleet:
    """Simulated instances, registered, and monitors of them."""

    def __init__(self, store: AsyncExecutor) -> None:
        self.store = store
        self.registry = RegistryCommands()
        self.health = HealthCommands()
        self.network = SimulatedNetwork()
        self.driver = SimulatedDriver(self.network)
        self.monitors: list[HealthMonitor] = []

    def monitor(self, rules: HealthRules = RULES) -> HealthMonitor:
        made = HealthMonitor(
            self.store, lambda _: self.driver, rules, timeout_s=0.2, rng=random.Random(1)
        )
        self.monitors.append(made)
        return made

    async def add(self, name: str, *, capacity: int = 2) -> SimulatedEndpoint:
        config = InstanceConfig(name, f"{name}:1", driver="simulated", capacity=capacity)
        endpoint = SimulatedEndpoint(
            config.endpoint, [config], lambda _payload, _context: Act(hangs=True), SystemClock()
        )
        self.network.add(endpoint)
        endpoint.register({name: await self.register(config)})
        return endpoint

    async def register(self, config: InstanceConfig) -> int:
        registry, run = self.registry, self.store.run
        generation = await run(registry.register(config))
        await run(registry.enlist(config, generation=generation, lease_ms=600_000))
        return generation

    async def record(self, name: str) -> InstanceRecord:
        fields: dict[str, str] = await self.store.run(self.registry.fields(instance_id=name))
        return record_of(name, fields, 1)

    async def told(self) -> list[tuple[str, ...]]:
        read: Command[list[Any]] = plain("XRANGE", REGISTRY_EVENTS, "-", "+", decode=list)
        rows = [fields for _, fields in await self.store.run(read)]
        names = (b"event", b"instance", b"generation", b"reason")
        found = [tuple(fields[name].decode() for name in names) for fields in rows]
        return [row for row in found if row[0] != "instance.registered"]


@pytest.fixture
async def fleet(redis_url: str) -> AsyncIterator[Fleet]:
    client = connect_async(redis_url)
    made = Fleet(AsyncExecutor(client))
    yield made
    for monitor in made.monitors:
        await monitor.close()
    await client.aclose()


async def looks(monitor: HealthMonitor, times: int) -> None:
    for _ in range(times):
        await asyncio.sleep(0.005)  # until they are due again
        assert (await monitor.round()).looked > 0


async def test_one_that_does_not_answer_is_unhealthy_and_then_recovers(fleet: Fleet) -> None:
    # Given two instances that answer
    endpoint = await fleet.add("gw-1")
    await fleet.add("gw-2")
    monitor = fleet.monitor()
    await looks(monitor, 2)
    assert (await fleet.record("gw-1")).health is Health.HEALTHY
    assert await fleet.told() == []
    # When one is cut off, though its heartbeats go on
    endpoint.partition()
    await looks(monitor, 2)
    # Then it is unhealthy, for a reason, and everybody hears of it
    record = await fleet.record("gw-1")
    assert (record.health, record.health_reason) == (
        Health.UNHEALTHY, "gw-1:1 cannot be reached",
    )  # fmt: skip
    assert (await fleet.record("gw-2")).health is Health.HEALTHY
    # And when it answers again, too
    endpoint.heal()
    await looks(monitor, 2)
    assert (await fleet.record("gw-1")).health is Health.HEALTHY
    assert await fleet.told() == [
        ("instance.unhealthy", "gw-1", "1", "gw-1:1 cannot be reached"),
        ("instance.recovered", "gw-1", "1", ""),
    ]


async def test_a_worker_that_reaches_hardly_anybody_suspects_itself(
    fleet: Fleet, caplog: pytest.LogCaptureFixture
) -> None:
    # Given four instances that send heartbeats, of which a control worker reaches one
    endpoints = [await fleet.add(f"gw-{n}") for n in range(4)]
    monitor = fleet.monitor()
    await looks(monitor, 1)
    for endpoint in endpoints[:3]:
        endpoint.partition()
    await looks(monitor, 4)
    # Then it judges none of those that it cannot reach, and says why
    assert await fleet.told() == []
    assert "3 of 4 instances that send heartbeats did not answer" in caplog.text
    # And when it reaches most of them again, it believes what it sees
    for endpoint in endpoints[:2]:
        endpoint.heal()
    await looks(monitor, 3)
    assert [row[:2] for row in await fleet.told()] == [("instance.unhealthy", "gw-2")]


async def test_two_workers_never_probe_the_same_instance_at_once(fleet: Fleet) -> None:
    # Given more instances than one batch, each due once
    rules = replace(RULES, every_ms=60_000, soon_ms=60_000)
    for n in range(BATCH + 50):
        await fleet.register(InstanceConfig(f"gw-{n}", f"gw-{n}:1", driver="simulated"))
    first, second = fleet.monitor(rules), fleet.monitor(rules)
    # When two workers go through them together
    done = await asyncio.gather(first.run_due(), second.run_due())
    # Then together they looked at each once, and nothing is due
    assert sum(each.looked for each in done) == BATCH + 50
    assert (await first.round()).looked == 0


async def test_what_a_worker_took_and_did_not_do_is_due_again_after_its_hold(fleet: Fleet) -> None:
    await fleet.add("gw-1")
    take = fleet.health.claim_probes(limit=9, every_ms=1, hold_ms=30)
    taken = await fleet.store.run(take)
    assert taken.instance_ids == ("gw-1",)
    assert (await fleet.store.run(take)).instance_ids == ()
    await asyncio.sleep(0.04)
    again = await fleet.store.run(take)
    assert again.instance_ids == ("gw-1",)
    # And the first one, come back, does not meddle with it
    late = fleet.health.probed(held_until_ms=taken.held_until_ms, next_in_ms={"gw-1": 0})
    assert await fleet.store.run(late) == 0


async def test_a_verdict_on_an_older_registration_is_not_written(fleet: Fleet) -> None:
    await fleet.add("gw-1")
    note = fleet.health.note(
        instance_id="gw-1", generation=1, memory="{}", fields={"health": "unhealthy"}
    )
    count = fleet.health.count_ends(instance_id="gw-1", generation=1, counts={"lost": 5})
    assert await fleet.store.pipeline([note, count]) == [True, True]
    # When it registers anew
    await fleet.register(InstanceConfig("gw-1", "gw-1:1", driver="simulated"))
    # Then it begins healthy, and what was seen of the old one is refused
    assert (await fleet.record("gw-1")).health is Health.HEALTHY
    dead = fleet.health.declare_dead(instance_id="gw-1", generation=1)
    assert await fleet.store.pipeline([note, count, dead]) == [False, False, False]
    assert (await fleet.record("gw-1")).health is Health.HEALTHY


async def test_lost_attempts_make_an_instance_ill(fleet: Fleet) -> None:
    await fleet.add("gw-1")
    monitor = fleet.monitor(replace(RULES, zombie_after_ms=60_000))
    await looks(monitor, 1)
    count = fleet.health.count_ends(
        instance_id="gw-1", generation=1, counts={"ok": 10, "lost": 5, "run_ms": 99_000}
    )
    await fleet.store.run(count)
    await looks(monitor, 2)
    record = await fleet.record("gw-1")
    assert record.health is Health.DEGRADED
    assert record.health_reason == "33% of its attempts were lost or ran out of time lately"


async def test_a_zombie_gets_nothing_new_and_loses_what_it_holds(fleet: Fleet) -> None:
    # Given an instance whose slots are all held by attempts that were stopped, and go on
    endpoint = await fleet.add("gw-1", capacity=1)
    station = endpoint.running_station
    host = station.host("gw-1")
    host.deliver(Delivery("t", 1, "gw-1", 1, "acme", b"{}"), _Nobody())
    host.table.running["t:1"].stopping = object()  # type: ignore[assignment]
    slots = fleet.registry.slots(instance_id="gw-1", generation=1, dispatcher="d1", count=1)
    await fleet.store.run(slots)
    monitor = fleet.monitor()
    await looks(monitor, 1)
    await looks(monitor, 2)
    # Then it is unhealthy: a zombie
    record = await fleet.record("gw-1")
    assert record.health is Health.UNHEALTHY
    assert record.health_reason.startswith("zombie: it answers, and does no work: all 1 slots")
    # And when that goes on, its registration is over, heartbeats or not
    await looks(monitor, 1)
    metrics = InstanceMetrics()
    report = fleet.registry.report(
        instance_id="gw-1", generation=1, metrics=metrics, draining=False
    )
    assert not await fleet.store.run(report)
    fleet_now = await fleet.store.run(fleet.registry.fleet())
    assert fleet_now.leases["gw-1"] <= fleet_now.now_ms
    assert [row[0] for row in await fleet.told()][-2:] == ["instance.unhealthy", "instance.lost"]
    # And when it registers anew, it is a zombie still, until it is seen to work
    endpoint.register({"gw-1": await fleet.register(host.config)})
    assert (await fleet.record("gw-1")).health is Health.UNHEALTHY
    host.table.running.clear()
    await looks(monitor, 2)
    assert (await fleet.record("gw-1")).health is Health.HEALTHY


async def test_an_attended_instance_is_judged_by_what_dispatchers_noted(fleet: Fleet) -> None:
    # Given an instance that nobody can reach from here
    fleet.driver = Attended(fleet.network)
    config = InstanceConfig("gw-1", "nowhere:1", driver="simulated")
    await fleet.register(config)
    monitor = fleet.monitor(replace(RULES, every_ms=60_000))
    # When a dispatcher asked it
    now_ms = (await fleet.store.run(fleet.registry.fleet())).now_ms
    components = HealthComponents(channels=False)
    noted = NotedProbe.of(HealthStatus(Health.HEALTHY, 12.5, None, components), now_ms)
    report = fleet.registry.report(
        instance_id="gw-1", generation=1, metrics=InstanceMetrics(), draining=False,
        probed=noted.text(),
    )  # fmt: skip
    await fleet.store.run(report)
    await looks(monitor, 1)
    await looks(monitor, 1)
    # Then that is what counts
    record = await fleet.record("gw-1")
    assert (record.health, record.health_reason) == (Health.DEGRADED, "its channels is not well")
    assert record.latency_ms == 12.5


async def test_drained_is_told_when_nothing_runs_any_more(fleet: Fleet) -> None:
    await fleet.add("gw-1")
    monitor = fleet.monitor(replace(RULES, zombie_after_ms=60_000))
    slots = fleet.registry.slots(instance_id="gw-1", generation=1, dispatcher="d1", count=1)
    await fleet.store.run(slots)
    await fleet.store.run(fleet.registry.change(instance_id="gw-1", draining=True))
    await looks(monitor, 1)
    assert await fleet.told() == []
    back = fleet.registry.slots(instance_id="gw-1", generation=1, dispatcher="d1", free=["d1/0"])
    await fleet.store.run(back)
    await looks(monitor, 2)
    assert [row[:2] for row in await fleet.told()] == [("instance.drained", "gw-1")]


async def test_losses_are_told_when_no_dispatcher_runs_and_most_at_once_are_held(
    fleet: Fleet,
) -> None:
    for name in "abcd":
        await fleet.register(InstanceConfig(name, f"{name}:1"))
    now_ms = (await fleet.store.run(fleet.registry.fleet())).now_ms

    async def silence(*names: str) -> int:
        over = [part for name in names for part in (now_ms - 1, name)]
        await fleet.store.run(plain("ZADD", REGISTRY_INSTANCES, *over, decode=int))
        return await tell_losses(fleet.store, MassLossRules(), fleet.registry, fleet.health)

    assert await silence("a") == 1
    assert await silence("a") == 0
    assert await silence("b", "c") == 0
    assert [row[:2] for row in await fleet.told()] == [("instance.lost", "a")]


async def test_a_thousand_instances_take_one_worker_a_moment(fleet: Fleet) -> None:
    # Given a thousand simulated instances, all due
    for n in range(1000):
        config = InstanceConfig(f"gw-{n}", f"gw-{n}:1", driver="simulated")
        endpoint = SimulatedEndpoint(config.endpoint, [config], lambda _p, _c: Act(), SystemClock())
        fleet.network.add(endpoint)
        generation = await fleet.store.run(fleet.registry.register(config))
        await fleet.store.run(
            fleet.registry.enlist(config, generation=generation, lease_ms=600_000)
        )
    monitor = fleet.monitor(HealthRules())
    # When one worker looks at all of them
    began = time.monotonic()
    assert await monitor.run_due() == Round(1000, 0)
    took_s = time.monotonic() - began
    print(f"1,000 instances probed in {took_s:.2f} s")
    # Then it takes a few seconds at most (a goal is 5 s; a busy machine gets more)
    assert took_s < 20
    assert (await fleet.record("gw-999")).health is Health.HEALTHY


class _Nobody:
    def send(self, completion: object) -> None:
        """Nobody listens."""
