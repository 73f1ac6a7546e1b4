"""InstanceThread: an instance process's code, on an event loop in a thread."""

from __future__ import annotations

import asyncio
import threading

from godel_tasks.clock import SystemClock
from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.instances.handlers import Handler
from godel_tasks.instances.server.process import InstanceProcess, ProcessOptions
from godel_tasks.process import loop_factory
from godel_tasks.runtime import open_registrar
from godel_tasks.settings import Settings


class InstanceThread:
    """Serves from `start` to `stop`, each of which waits until it is done."""

    def __init__(self, config: InstanceConfig, handler: Handler, settings: Settings) -> None:
        self._config = config
        self._handler = handler
        self._settings = settings
        self._ready = threading.Event()
        self._error: BaseException | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._told: asyncio.Event | None = None
        self._thread = threading.Thread(target=self._run, name="godel-instance", daemon=True)

    def __repr__(self) -> str:
        state = "runs" if self._thread.is_alive() else "does not run"
        return f"<InstanceThread {self._config.instance_id} {state}>"

    def start(self) -> None:
        """Raises: GodelError: it could not listen, or register."""
        self._thread.start()
        self._ready.wait()
        if self._error is not None:
            raise self._error

    def stop(self) -> None:
        """What its handlers still run is given up. A sync one goes on to its end all the same."""
        if self._loop is not None and self._told is not None and self._thread.is_alive():
            self._loop.call_soon_threadsafe(self._told.set)
        if self._thread.ident is not None:
            self._thread.join()

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=loop_factory) as runner:
                runner.run(self._serve())
        except BaseException as error:  # told to whoever starts it
            self._error = error
        finally:
            self._ready.set()

    async def _serve(self) -> None:
        self._loop, self._told = asyncio.get_running_loop(), asyncio.Event()
        options = ProcessOptions(
            instances=[self._config],
            handler=self._handler,
            heartbeat_every_s=self._settings.heartbeat_every_ms / 1000,
        )
        async with open_registrar(self._settings) as registrar:
            process = InstanceProcess(options, registrar, SystemClock())
            try:
                await process.start()
                self._ready.set()
                await self._told.wait()
            finally:
                await process.stop()
