"""The gateways of the demo: started from the provider, registered, killed, started again."""

from __future__ import annotations

import asyncio
import os
import shutil
import time

from godel_tasks.demo.house import House
from godel_tasks.demo.openclaw.plan import CAPACITY, PRICE_IN, PRICE_OUT, GatewaysPlan
from godel_tasks.domain.instance import InstanceRecord, InstanceStatus
from godel_tasks.errors import GodelError
from godel_tasks.instances.providers.process import ProcessProvider
from godel_tasks.openclaw import gateways
from godel_tasks.openclaw.folder import folder_of
from godel_tasks.openclaw.processes import main_process
from godel_tasks.openclaw.registering import register_instance
from godel_tasks.openclaw.running import Patience
from godel_tasks.openclaw.template import Model, Spec
from godel_tasks.store.registry import record_of

#: Seconds that one may take to be ready, while others start beside it.
READY_S = 150.0
#: Starting is work for a whole core, for ten seconds.
AT_ONCE = max(2, os.cpu_count() or 1)
#: Seconds in which dispatchers find a gateway that is ready.
FOUND_S = 60.0
LOOK_EVERY_S = 0.1


class Fleet:
    """All gateways of a house, by instance id."""

    def __init__(self, house: House, plan: GatewaysPlan, model_url: str) -> None:
        self._house = house
        self._data_dir = house.site.server
        self._provider = ProcessProvider(self._data_dir, patience=Patience(ready_s=READY_S))
        model = Model(model_url, "standin", "", PRICE_IN, PRICE_OUT, standin=True)
        self.configs = {
            each.instance_id: gateways.instance_config(
                self._data_dir,
                gateways.create(
                    self._data_dir, Spec(each.instance_id, model, CAPACITY, each.region)
                ),
            )
            for each in plan.instances()
        }
        self._turn = asyncio.Semaphore(AT_ONCE)
        self._pids: dict[str, int] = {}

    async def bring_up(self, instance_id: str) -> float:
        """Start one and register it; the seconds that it took."""
        async with self._turn:
            began = time.monotonic()
            await self.start(instance_id)
            took_s = time.monotonic() - began
        runtime = self._house.runtime
        await asyncio.to_thread(register_instance, runtime, self.configs[instance_id])
        return took_s

    async def start(self, instance_id: str) -> None:
        """Start one, known to the registry or not; come back when it is ready."""
        starting = asyncio.ensure_future(self._provider.start(self.configs[instance_id]))
        try:
            while not starting.done():
                self._guard(instance_id)
                await asyncio.wait({starting}, timeout=LOOK_EVERY_S)
            starting.result()
            self._house.killed.discard(instance_id)
        finally:
            starting.cancel()
            await asyncio.wait({starting})

    async def kill(self, instance_id: str) -> None:
        """kill -9."""
        self._house.killed.add(instance_id)
        await self._provider.kill(self.configs[instance_id])
        if (pid := self._pids.pop(instance_id, None)) is not None:
            self._house.guard.forget(pid)

    async def record(self, instance_id: str) -> InstanceRecord | None:
        """What the registry says of it; None when its lease is over, or it has none yet."""
        registry, store = self._house.runtime.registry, self._house.store
        fleet = await store.run(registry.fleet())
        fields = await store.run(registry.fields(instance_id=instance_id))
        until = fleet.leases.get(instance_id, 0)
        if until <= fleet.now_ms or "generation" not in fields:
            return None
        return record_of(instance_id, fields, until)

    async def generation(self, instance_id: str) -> int:
        """The newest one that the registry knows, of a dead gateway too."""
        registry = self._house.runtime.registry
        fields = await self._house.store.run(registry.fields(instance_id=instance_id))
        return int(fields.get("generation", "0"))

    async def strays_aborted(self) -> int:
        """Turns that gateways had resumed by themselves and that were aborted, as the registry has
        it."""
        registry = self._house.runtime.registry
        fields = await self._house.store.pipeline(
            [registry.fields(instance_id=each) for each in self.configs]
        )
        return sum(int(each.get("strays_aborted", "0")) for each in fields)

    async def until_serving(self, instance_id: str, after: int = 0) -> InstanceRecord:
        """Wait until dispatchers say that it is up, under a generation later than `after`."""

        deadline = time.monotonic() + FOUND_S
        while time.monotonic() < deadline:
            self._house.check()
            record = await self.record(instance_id)
            if record is not None and record.generation > after and _serves(record):
                return record
            await asyncio.sleep(LOOK_EVERY_S)
        words = "\n".join(self._house.book.last(name) for name in ("dispatcher1", "dispatcher2"))
        raise GodelError(
            f"{instance_id} is ready, but no dispatcher said so in {FOUND_S:g} s",
            hint=f"the last words were:\n{words}",
        )

    async def close(self) -> None:
        """End them all, at once: at the end nothing is left to be finished."""
        ended = await asyncio.gather(*map(self.kill, self.configs), return_exceptions=True)
        for instance_id in self.configs:
            await asyncio.to_thread(self._remove, instance_id)
        self._house.runtime.store.close()
        for each in ended:
            if isinstance(each, BaseException):
                raise each

    def _remove(self, instance_id: str) -> None:
        """All but what it said, which is kept where a failed demo names its logs."""
        folder = folder_of(self._data_dir, instance_id)
        for path in (folder.log, folder.console):
            if path.exists():
                shutil.copy(path, self._house.site.logs / f"{instance_id}-{path.name}")
        gateways.remove(self._data_dir, instance_id)

    def _guard(self, instance_id: str) -> None:
        """So that it does not outlive this process, even one that is killed."""
        process = main_process(folder_of(self._data_dir, instance_id))
        if process is not None and self._pids.get(instance_id) != process.pid:
            self._pids[instance_id] = process.pid
            self._house.guard.watch(process.pid)


def _serves(record: InstanceRecord) -> bool:
    """Whether a dispatcher has reached it."""
    return bool(record.boot_id) and record.status is InstanceStatus.UP
