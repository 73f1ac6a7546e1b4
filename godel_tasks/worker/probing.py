"""ProbeJob: the control job `probe`, on an event loop of its own that lasts from run to run, so
that connections to instances do, too."""

from __future__ import annotations

import asyncio
import threading

from godel_tasks.fleet.health import HealthMonitor, tell_losses
from godel_tasks.instances.drivers import driver_named
from godel_tasks.runtime import Runtime
from godel_tasks.store.executor import AsyncExecutor
from godel_tasks.store.health import HealthCommands

#: A run that takes longer than this is given up; its batch is for others then.
PATIENCE_S = 30.0


class ProbeJob:
    """One for each process. Threads may call it at once: one runs, for the others there is nothing
    to do."""

    def __init__(self) -> None:
        self._busy = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._store: AsyncExecutor | None = None
        self._monitor: HealthMonitor | None = None

    def __call__(self, runtime: Runtime) -> int:
        """Tell of losses and look at all instances that are due; how many losses and changes were
        told."""
        if not self._busy.acquire(blocking=False):
            return 0
        try:
            run = asyncio.run_coroutine_threadsafe(self._run(runtime), self._running_loop())
            try:
                return run.result(PATIENCE_S)
            except TimeoutError:
                run.cancel()
                raise
        finally:
            self._busy.release()

    async def _run(self, runtime: Runtime) -> int:
        if self._store is None or self._monitor is None:
            self._store = runtime.async_store()
            self._monitor = HealthMonitor(
                self._store,
                driver_named,
                runtime.health_rules(),
                timeout_s=runtime.settings.probe_timeout_s,
                mass_share=runtime.settings.mass_loss_share,
            )
        told = await tell_losses(
            self._store, runtime.mass_loss_rules(), runtime.registry, HealthCommands()
        )
        return told + (await self._monitor.run_due()).changed

    def _running_loop(self) -> asyncio.AbstractEventLoop:
        if self._loop is None:
            loop = self._loop = asyncio.new_event_loop()
            threading.Thread(target=loop.run_forever, name="godel-probes", daemon=True).start()
        return self._loop
