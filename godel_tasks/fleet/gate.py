"""The health gate: whether an instance is there, registered and healthy."""

from __future__ import annotations

from collections.abc import Callable

from godel_tasks.clock import Clock
from godel_tasks.domain.instance import Health, InstanceConfig, InstanceStatus
from godel_tasks.errors import SpawnFailed
from godel_tasks.fleet.records import FleetRecords
from godel_tasks.instances.instance import Driver

POLL_S = 0.05
#: An instance that is started registers within this; how long making it may take is its provider's.
REGISTERED_S = 60.0
#: A dispatcher that runs reaches a gateway that has started within a second or two.
ATTENDED_S = 30.0


class Gate:
    """Asks until it is so."""

    def __init__(
        self, records: FleetRecords, clock: Clock, driver_named: Callable[[str], Driver]
    ) -> None:
        self._records = records
        self._clock = clock
        self._driver_named = driver_named

    async def passed(
        self, instance_id: str, *, newer_than: int = 0, limit_s: float = REGISTERED_S
    ) -> None:
        """Come back when it is registered (under a generation above `newer_than`), alive where it
        registers by itself, and healthy by its own word.

        Raises:
            SpawnFailed: it was not, within `limit_s`.
        """
        deadline = self._clock.monotonic() + limit_s
        why = "it did not register"
        while True:
            view = await self._records.view(instance_id)
            if view is not None and view.record.generation > newer_than:
                alive = view.status is not InstanceStatus.DEAD
                if alive or not self._driver_named(view.config.driver).self_registering:
                    why = await self.trouble(view.config)
                    if not why:
                        return
            if self._clock.monotonic() > deadline:
                raise SpawnFailed(
                    f"instance {instance_id!r} was not ready within {limit_s:g} s: {why}"
                )
            await self._clock.sleep(POLL_S)

    async def attended(self, instance_id: str, *, limit_s: float = ATTENDED_S) -> None:
        """Come back when its lease is renewed: it takes work, if nobody drains it.

        Raises:
            SpawnFailed: it was not, within `limit_s`.
        """
        deadline = self._clock.monotonic() + limit_s
        while True:
            view = await self._records.view(instance_id)
            if view is not None and view.status is not InstanceStatus.DEAD:
                return
            if self._clock.monotonic() > deadline:
                raise SpawnFailed(
                    f"instance {instance_id!r} answers, and no dispatcher has reached it within "
                    f"{limit_s:g} s",
                    hint="does one run? `godel up`, or `celery -A workers.dispatcher worker`",
                )
            await self._clock.sleep(POLL_S)

    async def trouble(self, config: InstanceConfig) -> str:
        """What its health check says is wrong; "" when it answers."""
        instance = self._driver_named(config.driver).instance(config)
        try:
            health = await instance.health_check()
        finally:
            await instance.aclose()
        if health.status is Health.UNHEALTHY:
            return health.error or "it says that it is unhealthy"
        return ""
