"""Attendant: gateways that register nothing by themselves, over fake ones and a real store."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
import time
from collections.abc import AsyncIterator, Sequence
from dataclasses import dataclass, field, replace

import pytest

from godel_tasks.dispatch import attendant
from godel_tasks.dispatch.attendant import Attendant
from godel_tasks.dispatch.config import DispatchConfig, Ports
from godel_tasks.dispatch.fleet import FleetView
from godel_tasks.dispatch.lease import LeaseKeeper
from godel_tasks.dispatch.links import Links
from godel_tasks.domain.attempt import Completion, Delivery, Progress
from godel_tasks.domain.instance import InstanceConfig, InstanceRecord, InstanceStatus
from godel_tasks.errors import InstanceUnavailable
from godel_tasks.instances.background import end_task
from godel_tasks.instances.instance import AttendedConnection, Probe
from godel_tasks.store.command import Command
from godel_tasks.store.registry import RegistryCommands, record_of
from godel_tasks.testing.fake_gateway import FakeGateway
from tests.helpers import wait_until_async

TOKEN = "t-0123456789"
CONFIG = DispatchConfig(attended_lease_ms=3000)


@dataclass
class Listener:
    """Notes what the links tell."""

    completions: list[Completion] = field(default_factory=list)

    def on_completions(self, completions: Sequence[Completion]) -> None:
        self.completions.extend(completions)

    def on_progress(self, progress: Progress) -> None:
        """Not looked at."""

    def on_connected(self, endpoint: str) -> None:
        """Not looked at."""

    def on_disconnected(self, endpoint: str, error: str) -> None:
        """Not looked at."""


class Dispatcher:
    """As much of one as attends."""

    def __init__(self, ports: Ports, name: str) -> None:
        self.ports = ports
        self.lost: list[str] = []
        self.listener = Listener()
        self.fleet = FleetView(ports, CONFIG, lambda _id, reason: self.lost.append(reason))
        self.lease = LeaseKeeper(ports, CONFIG, name, lambda _cell, _reply: None)
        self.links = Links(ports, self.listener, self.fleet.reach)
        self.attendant = Attendant(ports, CONFIG, name, self.fleet, self.lease, self.links)
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await self.lease.take()
        await self.fleet.look()
        for work in (self.fleet.run(), self.attendant.run()):
            self._tasks.append(asyncio.ensure_future(work))

    async def stop(self) -> None:
        for task in self._tasks:
            await end_task(task)
        await self.links.close()


class House:
    """A gateway that is registered, and those who attend it."""

    gateway: FakeGateway

    def __init__(self, ports: Ports, url: str) -> None:
        self.ports = ports
        self.config = InstanceConfig(
            "gw-1", url, driver="openclaw", capacity=8, credentials="env:ATTEND_TOKEN"
        )
        self.dispatchers: list[Dispatcher] = []

    async def register(self) -> None:
        registry, run = self.ports.registry, self.ports.store.run
        generation = await run(registry.register(self.config))
        await run(registry.enlist(self.config, generation=generation, lease_ms=0))
        await run(registry.keep(instance_id="gw-1"))

    async def dispatcher(self, name: str) -> Dispatcher:
        made = Dispatcher(self.ports, name)
        self.dispatchers.append(made)
        await made.start()
        return made

    async def record(self) -> InstanceRecord:
        registry, run = self.ports.registry, self.ports.store.run
        fields = await run(registry.fields(instance_id="gw-1"))
        fleet = await run(registry.fleet())
        return record_of("gw-1", fields, fleet.leases["gw-1"] - fleet.now_ms)

    async def alive(self) -> bool:
        return (await self.record()).lease_until_ms > 0

    async def until_alive(self, *, boot_id: str) -> InstanceRecord:
        async def served() -> bool:
            record = await self.record()
            return record.lease_until_ms > 0 and record.boot_id == boot_id

        await wait_until_async(served, description=f"boot {boot_id} serves", timeout=15)
        return await self.record()


@pytest.fixture
async def house(ports: Ports) -> AsyncIterator[House]:
    os.environ["ATTEND_TOKEN"] = TOKEN
    async with FakeGateway(token=TOKEN) as gateway:
        made = House(ports, gateway.url)
        made.gateway = gateway
        await made.register()
        yield made
        for dispatcher in made.dispatchers:
            await dispatcher.stop()
    del os.environ["ATTEND_TOKEN"]


async def test_a_gateway_is_up_once_a_dispatcher_has_reached_it(house: House) -> None:
    # Given a gateway that was added: nobody has seen it yet
    assert not await house.alive()
    # When a dispatcher attends it
    await house.dispatcher("d1")
    # Then it is up, as the generation of that boot, with what it says of itself
    record = await house.until_alive(boot_id=house.gateway.boot_id)
    assert (record.generation, record.status) == (2, InstanceStatus.UP)

    async def reported() -> bool:
        return (await house.record()).metrics.backpressure is not None

    await wait_until_async(reported, description="metrics are there", timeout=10)


async def test_two_dispatchers_make_one_new_generation_of_it(house: House) -> None:
    await asyncio.gather(house.dispatcher("d1"), house.dispatcher("d2"))
    record = await house.until_alive(boot_id=house.gateway.boot_id)
    assert record.generation == 2
    # And its lease is renewed, and stays the lease of that generation
    now_ms = (await house.ports.store.run(house.ports.registry.fleet())).now_ms

    async def outlived() -> bool:
        fleet = await house.ports.store.run(house.ports.registry.fleet())
        assert fleet.leases["gw-1"] > fleet.now_ms
        return fleet.now_ms > now_ms + 1.5 * CONFIG.attended_lease_ms

    await wait_until_async(outlived, description="longer than one lease", timeout=10)
    assert (await house.record()).generation == 2


async def test_a_killed_gateway_is_lost_before_its_lease_is_over(house: House) -> None:
    dispatcher = await house.dispatcher("d1")
    await house.until_alive(boot_id=house.gateway.boot_id)
    await wait_until_async(
        lambda: dispatcher.fleet.alive("gw-1", 2),
        description="it is in the view",
    )
    dispatcher.lost.clear()
    # When nobody listens at its endpoint any more
    await house.gateway.crash()
    # Then its tasks are given up, for a reason
    await wait_until_async(lambda: dispatcher.lost, description="it is lost", timeout=10)
    assert dispatcher.lost == [
        "nothing was heard of it for as long as its lease, or nobody listens there"
    ]


async def test_what_a_gateway_resumed_is_aborted_before_it_serves_again(house: House) -> None:
    # Given a turn under way
    dispatcher = await house.dispatcher("d1")
    await house.until_alive(boot_id=house.gateway.boot_id)
    connection = await dispatcher.links.open(house.config)
    connection.deliver(
        [Delivery("t", 1, "gw-1", 2, "acme", b'"[[latency=30]] think"', may_have_run=False)]
    )
    await wait_until_async(lambda: house.gateway.starts, description="it runs")
    # When the gateway is killed and comes back: it goes on with the turn by itself
    await house.gateway.crash()
    await house.gateway.come_back()
    # Then it serves again only when that is stopped
    record = await house.until_alive(boot_id=house.gateway.boot_id)
    assert record.generation == 3
    assert record.strays_aborted == 1
    assert house.gateway.resumed >= 1
    assert house.gateway.active == 0


async def test_a_gateway_that_drains_gets_nothing_new_and_stays_alive(house: House) -> None:
    # Given a gateway with a turn under way
    dispatcher = await house.dispatcher("d1")
    await house.until_alive(boot_id=house.gateway.boot_id)
    connection = await dispatcher.links.open(house.config)
    connection.deliver([Delivery("t", 1, "gw-1", 2, "acme", b'"[[latency=4]] think"')])
    await wait_until_async(lambda: house.gateway.starts, description="it runs")
    # When it is told to end
    ending = asyncio.ensure_future(house.gateway.term())

    # Then it is draining, alive, and the turn ends well
    async def draining() -> bool:
        return (await house.record()).status is InstanceStatus.DRAINING

    await wait_until_async(draining, description="it drains", timeout=10)
    assert await house.alive()
    await wait_until_async(lambda: dispatcher.listener.completions, description="end", timeout=10)
    assert dispatcher.listener.completions[0].end == "ok"
    await ending


async def test_one_that_will_not_have_us_stays_dead_and_says_why(
    house: House, caplog: pytest.LogCaptureFixture
) -> None:
    os.environ["ATTEND_TOKEN"] = "another"
    await house.dispatcher("d1")
    await wait_until_async(lambda: "token" in caplog.text, description="it is said", timeout=10)
    assert not await house.alive()
    assert "another" not in caplog.text
    # And once the credentials are right, it serves
    os.environ["ATTEND_TOKEN"] = TOKEN
    await house.until_alive(boot_id=house.gateway.boot_id)


async def test_a_gateway_that_stands_still_is_lost_and_found_again(ports: Ports) -> None:
    # Given a gateway in a process of its own, attended
    os.environ["ATTEND_TOKEN"] = TOKEN
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "godel_tasks.testing.fake_gateway", "--token", TOKEN),
        stdout=asyncio.subprocess.PIPE,
    )
    assert process.stdout is not None
    url = json.loads(await process.stdout.readline())["urls"][0]
    house = House(ports, url)
    await house.register()
    dispatcher = await house.dispatcher("d1")
    await wait_until_async(house.alive, description="it is up", timeout=10)
    before = await house.record()
    await wait_until_async(
        lambda: dispatcher.fleet.alive("gw-1", before.generation), description="it is in the view"
    )
    dispatcher.lost.clear()
    # When it stands still: its line stands, and nothing comes
    process.send_signal(signal.SIGSTOP)
    # Then its lease runs out
    await wait_until_async(lambda: dispatcher.lost, description="it is lost", timeout=20)
    assert not await house.alive()
    # And when it goes on, it is the same boot, and the same generation
    process.send_signal(signal.SIGCONT)
    await wait_until_async(house.alive, description="it is found again", timeout=20)
    after = await house.record()
    assert (after.boot_id, after.generation) == (before.boot_id, before.generation)
    await dispatcher.stop()
    process.terminate()
    await process.wait()
    del os.environ["ATTEND_TOKEN"]


async def held_up(house: House, name: str) -> tuple[Dispatcher, asyncio.Event]:
    """A dispatcher that is in the midst of making the boot ready until the event is set."""
    made, go, begun = Dispatcher(house.ports, name), asyncio.Event(), asyncio.Event()
    connection = await made.links.open(house.config)
    assert isinstance(connection, AttendedConnection)
    abort = connection.abort_strays

    async def slow() -> int:
        begun.set()
        await go.wait()
        return await abort()

    connection.abort_strays = slow  # type: ignore[method-assign]
    await made.start()
    async with asyncio.timeout(10):
        await begun.wait()
    return made, go


async def test_a_boot_whose_attendant_is_killed_midway_is_made_ready_by_another(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(attendant, "HOLD_MS", 1200)
    # Given a dispatcher that is killed while it aborts what the gateway resumed
    doomed, _ = await held_up(house, "d1")
    other = await house.dispatcher("d2")
    await asyncio.sleep(0.1)
    assert not await house.alive()
    await doomed.stop()
    # Then another one does it all again, once the claim has run out
    record = await house.until_alive(boot_id=house.gateway.boot_id)
    assert record.generation == 2
    await wait_until_async(lambda: other.fleet.alive("gw-1", 2), description="it is in the view")


class Dying(RegistryCommands):
    """Of a dispatcher that dies before it lists the new registration."""

    died = False

    def enlist(self, config: InstanceConfig, *, generation: int, lease_ms: int) -> Command[bool]:
        self.died = True
        raise RuntimeError(f"killed before {config.instance_id} was listed, {generation=}")


async def test_a_boot_whose_attendant_is_killed_before_it_tells_is_attended_in_seconds(
    house: House,
) -> None:
    # Given others enough that each one's hash is read again by turns, every 5 s
    for n in range(19):
        config = InstanceConfig(f"other-{n}", "h:1")
        run, others = house.ports.store.run, house.ports.registry
        generation = await run(others.register(config))
        await run(others.enlist(config, generation=generation, lease_ms=60_000))
    # And a dispatcher whose view is as old as the time before the boot was made ready
    registry = Dying()
    ports, house.ports = house.ports, replace(house.ports, registry=registry)
    doomed, go = await held_up(house, "d1")
    house.ports = ports
    other = await house.dispatcher("d2")
    await wait_until_async(lambda: "gw-1" in other.fleet.members, description="it has a view")
    assert other.fleet.members["gw-1"].record.generation == 1
    # When the one who made it ready is killed between the new generation and telling of it
    go.set()
    await wait_until_async(lambda: registry.died, description="it dies", timeout=10)
    await doomed.stop()
    began = time.monotonic()
    # Then the other one hears that its claim is stale, reads the hash, and renews the lease
    await wait_until_async(house.alive, description="it serves", timeout=10)
    assert time.monotonic() - began < 4.0
    assert (await house.record()).generation == 2


async def test_a_lease_ends_one_lease_after_the_last_word(house: House) -> None:
    # Given a gateway that answers no probe any more, whatever its line says
    dispatcher = await house.dispatcher("d1")
    await house.until_alive(boot_id=house.gateway.boot_id)
    connection = await dispatcher.links.open(house.config)
    assert isinstance(connection, AttendedConnection)
    silent_since = time.monotonic()

    async def refuse(instance_id: str) -> Probe:
        raise InstanceUnavailable(f"{instance_id} does not answer")

    connection.probe = refuse  # type: ignore[method-assign]
    connection.silent_s = lambda: time.monotonic() - silent_since  # type: ignore[method-assign]

    # Then its lease is over one lease after that, however often it is asked in vain
    async def over() -> bool:
        return not await house.alive()

    await wait_until_async(over, description="its lease is over", timeout=10)
    took_ms = (time.monotonic() - silent_since) * 1000
    assert took_ms <= CONFIG.attended_lease_ms + 500
