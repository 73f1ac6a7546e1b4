"""Attendant: keeps the registration of instances that do not register themselves.

A gateway knows nothing of Godel. So every dispatcher looks at those that it has a connection to,
and whoever finds a lease that is to be renewed asks the gateway how it is, and renews it. A gateway
that started anew is made ready by one dispatcher alone: what it resumed by itself is aborted, and
then it gets a new generation, which tells everybody that what ran there is lost.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from typing import Any

from godel_tasks.dispatch.config import DispatchConfig, Ports
from godel_tasks.dispatch.fleet import FleetView
from godel_tasks.dispatch.lease import LeaseKeeper
from godel_tasks.dispatch.links import Links
from godel_tasks.dispatch.seen import SeenInstance
from godel_tasks.domain.instance import InstanceRecord, InstanceStatus
from godel_tasks.errors import InstanceError, StoreUnavailable
from godel_tasks.instances.background import end_task
from godel_tasks.instances.instance import AttendedConnection, Probe
from godel_tasks.store.health import NotedProbe

log = logging.getLogger(__name__)

#: Seconds between two looks at the attended instances.
LOOK_EVERY_S = 1.0
#: The share of a lease that is over when it is renewed.
RENEW_AT = 0.3
#: Looks in a row that must find nobody at an endpoint before its lease is ended early.
REFUSALS = 2
#: How long a claim to make a boot ready holds, and how often it is renewed, in milliseconds.
HOLD_MS = 6000
HOLD_AGAIN_S = 2.0


class Attendant:
    """One dispatcher's part of it. What one instance does holds up no other."""

    def __init__(
        self,
        ports: Ports,
        config: DispatchConfig,
        dispatcher: str,
        fleet: FleetView,
        lease: LeaseKeeper,
        links: Links,
    ) -> None:
        self._ports = ports
        self._config = config
        self._dispatcher = dispatcher
        self._fleet = fleet
        self._lease = lease
        self._links = links
        self._at_work: dict[str, asyncio.Task[None]] = {}
        self._refusals: dict[str, int] = {}
        #: Whether each took new work when it was asked last.
        self._accepting: dict[str, bool] = {}

    async def run(self) -> None:
        try:
            while True:
                for instance_id, member in list(self._fleet.members.items()):
                    attended = self._fleet.attended(member.record.config.driver)
                    if attended and instance_id not in self._at_work:
                        self._begin(instance_id, self._attend(instance_id, member))
                pause_s = LOOK_EVERY_S * (0.75 + 0.5 * self._ports.rng.random())
                await self._ports.clock.sleep(pause_s)
        finally:
            for task in list(self._at_work.values()):
                await end_task(task)

    def _begin(self, instance_id: str, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.ensure_future(work)
        self._at_work[instance_id] = task

        def done(task: asyncio.Task[None]) -> None:
            self._at_work.pop(instance_id, None)
            error = None if task.cancelled() else task.exception()
            if error is not None and not isinstance(error, StoreUnavailable):
                log.error("attending %s: %r", instance_id, error, exc_info=error)

        task.add_done_callback(done)

    async def _attend(self, instance_id: str, member: SeenInstance) -> None:
        connection = await self._links.open(member.record.config)
        if not isinstance(connection, AttendedConnection):
            return
        if not connection.connected:
            await self._missed(instance_id, member, connection)
            return
        self._refusals.pop(instance_id, None)
        record = member.record
        if connection.boot_id != record.boot_id:
            await self._make_ready(record, connection)
            return
        dead = record.status is InstanceStatus.DEAD
        left_ms = member.lease_until_ms - self._lease.redis_now_ms()
        if dead or left_ms < self._config.attended_lease_ms * (1 - RENEW_AT):
            await self._renew(instance_id, record.generation, connection, dead=dead)

    async def _missed(
        self, instance_id: str, member: SeenInstance, connection: AttendedConnection
    ) -> None:
        """Nobody listens there: its lease need not run out before its tasks run elsewhere."""
        if not connection.refused or member.record.status is InstanceStatus.DEAD:
            self._refusals.pop(instance_id, None)
            return
        seen = self._refusals[instance_id] = self._refusals.get(instance_id, 0) + 1
        if seen >= REFUSALS:
            log.warning("instance %s is gone: nobody listens at its endpoint", instance_id)
            await self._ports.store.run(
                self._ports.registry.end_lease(
                    instance_id=instance_id, generation=member.record.generation
                )
            )

    async def _renew(
        self, instance_id: str, generation: int, connection: AttendedConnection, *, dead: bool
    ) -> None:
        """Ask how it is, and renew its lease. One that is too busy to answer lives as long as it
        says anything at all: its lease ends one lease after its last word."""
        lease_ms = self._config.attended_lease_ms
        try:
            probe = await connection.probe(instance_id)
        except InstanceError as error:
            lease_ms -= int(connection.silent_s() * 1000)
            if lease_ms <= 0:
                log.warning("instance %s does not answer: %s", instance_id, error)
                return
            probe = None
        if not await self._report(instance_id, generation, probe):
            self._fleet.doubt(instance_id)
            return
        accepting = probe is None or probe.accepting
        changed = dead or accepting != self._accepting.get(instance_id, True)
        self._accepting[instance_id] = accepting
        await self._ports.store.run(
            self._ports.registry.attend(
                instance_ids=[instance_id],
                lease_ms=lease_ms,
                event="instance.changed" if changed else "",
            )
        )

    async def _report(self, instance_id: str, generation: int, probe: Probe | None) -> bool:
        """Write down what it said; False when that registration is over."""
        if probe is None:
            fields = await self._ports.store.run(
                self._ports.registry.fields(instance_id=instance_id)
            )
            return fields.get("generation") == str(generation)
        return await self._ports.store.run(
            self._ports.registry.report(
                instance_id=instance_id,
                generation=generation,
                metrics=probe.metrics,
                draining=not probe.accepting,
                probed=NotedProbe.of(probe.health, self._lease.redis_now_ms()).text(),
            )
        )

    async def _make_ready(self, record: InstanceRecord, connection: AttendedConnection) -> None:
        """A new boot: abort what it resumed, and give it a new generation."""
        config, generation = record.config, record.generation
        instance_id, boot_id = config.instance_id, connection.boot_id
        if not await self._claim(instance_id, generation):
            return
        aborting = asyncio.ensure_future(connection.abort_strays())
        try:
            while not aborting.done():
                await asyncio.wait({aborting}, timeout=HOLD_AGAIN_S)
                if not await self._claim(instance_id, generation):
                    return
            aborted = aborting.result()
        except InstanceError as error:
            log.warning("instance %s cannot be made ready: %s", instance_id, error)
            return
        finally:
            await end_task(aborting)
        if connection.boot_id != boot_id or not connection.connected:
            return
        registry = self._ports.registry
        now = await self._ports.store.run(
            registry.reboot(
                instance_id=instance_id, generation=generation,
                dispatcher=self._dispatcher, boot_id=boot_id,
                strays_aborted=aborted,
            )
        )  # fmt: skip
        if not now:
            self._fleet.doubt(instance_id)
            return
        await self._ports.store.run(
            registry.enlist(config, generation=now, lease_ms=self._config.attended_lease_ms)
        )
        log.info(
            "instance %s serves as generation %d, boot %s; %d resumed runs aborted",
            instance_id, now, boot_id[:8], aborted,
        )  # fmt: skip
        await self._fleet.look()

    async def _claim(self, instance_id: str, generation: int) -> bool:
        answer = await self._ports.store.run(
            self._ports.registry.claim_boot(
                instance_id=instance_id, generation=generation,
                dispatcher=self._dispatcher, hold_ms=HOLD_MS,
            )
        )  # fmt: skip
        if answer == "stale":
            # Somebody made it ready, and may have died before the event that tells of it.
            self._fleet.doubt(instance_id)
        return answer == "ok"
