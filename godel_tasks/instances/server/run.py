"""Serve until told to stop: what `godel instance` does between its options and its end."""

from __future__ import annotations

import asyncio
import logging
import signal
from collections.abc import Callable

from godel_tasks.clock import Clock
from godel_tasks.instances.server.process import InstanceProcess, ProcessOptions
from godel_tasks.instances.server.registrar import Registrar

log = logging.getLogger(__name__)


async def serve_until_told(
    options: ProcessOptions,
    registrar: Registrar,
    clock: Clock,
    announce: Callable[[InstanceProcess], None],
) -> None:
    """Serve; the first TERM (or INT) drains, the second quits at once.

    `announce` is called when the process listens and is registered.

    Raises:
        WorkerError: the port cannot be had, or somebody else took the registration for good.
        StoreError: the registry cannot be reached at the start.
    """
    told, hurry = asyncio.Event(), asyncio.Event()
    _on_signals(lambda: hurry.set() if told.is_set() else told.set())
    process = InstanceProcess(options, registrar, clock)
    try:
        failed = await process.start()
        announce(process)
        failed.add_done_callback(lambda _: told.set())
        await told.wait()
        if failed.done():
            raise failed.result()
        log.info("draining: %d running", process.station.running)
        await process.drain(hurry)
    finally:
        await process.stop()


def _on_signals(act: Callable[[], None]) -> None:
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, act)
