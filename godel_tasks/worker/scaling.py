"""ScalingService: the autoscaler of a control worker, on an event loop in a thread of its own.

Making an instance may take minutes, and control jobs have few threads: the job only says that it is
time to look, and what comes of it goes on here.
"""

from __future__ import annotations

import asyncio
import threading
from concurrent.futures import Future
from typing import Any

import structlog
from celery import bootsteps

from godel_tasks.fleet.autoscaler import AutoScaler
from godel_tasks.fleet.scaling_wiring import open_autoscaler
from godel_tasks.runtime import Runtime, runtime_of
from godel_tasks.store.scaling import ScalingCommands

log = structlog.get_logger("godel.scaling")

#: Seconds that a job waits for a look; the look goes on without it.
PATIENCE_S = 5.0

_services: dict[Runtime, ScalingService] = {}
_starting = threading.Lock()


class ScalingService:
    """Starts with the first look. Ends with its process, or by `stop`."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._ready: Future[tuple[asyncio.AbstractEventLoop, AutoScaler]] = Future()
        self._end: asyncio.Event
        self._looking: Future[int] | None = None
        self._thread = threading.Thread(target=self._run, name="godel-scaling", daemon=True)
        self._thread.start()

    def look(self) -> int:
        """Look once; how much was begun. 0, too, while the look before is not over.

        Raises:
            StoreUnavailable
        """
        loop, scaler = self._ready.result(PATIENCE_S)
        if self._looking is not None and not self._looking.done():
            return 0
        self._looking = asyncio.run_coroutine_threadsafe(_look(scaler), loop)
        try:
            return self._looking.result(PATIENCE_S)
        except TimeoutError:
            log.warning("scaling.slow", patience_s=PATIENCE_S)
            return 0

    def stop(self) -> None:
        """Give up what is under way and wait for the end; whoever leads next goes on with it."""
        loop, _ = self._ready.result(PATIENCE_S)
        loop.call_soon_threadsafe(self._end.set)
        self._thread.join()

    def _run(self) -> None:
        try:
            asyncio.run(self._main())
        except BaseException as error:
            if not self._ready.done():
                self._ready.set_exception(error)
            raise

    async def _main(self) -> None:
        self._end = asyncio.Event()
        async with open_autoscaler(self._runtime) as scaler:
            self._ready.set_result((asyncio.get_running_loop(), scaler))
            await self._end.wait()


async def _look(scaler: AutoScaler) -> int:
    return len(await scaler.look())


def scale(runtime: Runtime) -> int:
    """The job: one look at every pool that has a policy. Costs one command where none has."""
    if not runtime.store.run(ScalingCommands().wanted()):
        return 0
    with _starting:
        service = _services.get(runtime)
        if service is None:
            service = _services[runtime] = ScalingService(runtime)
    return service.look()


def stop_scaling(runtime: Runtime) -> None:
    """End the service of a runtime, where there is one."""
    service = _services.pop(runtime, None)
    if service is not None:
        service.stop()


class ScalingStep(bootsteps.StartStopStep):
    """Ends the autoscaler with its worker."""

    def stop(self, worker: Any) -> None:
        stop_scaling(runtime_of(worker.app))
