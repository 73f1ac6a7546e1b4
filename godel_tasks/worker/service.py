"""DispatchService: dispatchers on an event loop in a thread of their own, in Celery's worker."""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import threading
from collections.abc import Callable
from concurrent.futures import Future

import structlog

from godel_tasks.dispatch.config import Follower
from godel_tasks.dispatch.dispatcher import Dispatcher, Ending
from godel_tasks.dispatch.view import DispatchView
from godel_tasks.domain.task import TERMINAL_STATES
from godel_tasks.embedded import masked
from godel_tasks.events import (
    ClassUnroutable,
    DispatcherReaped,
    Event,
    EventBus,
    SessionsMoved,
)
from godel_tasks.process import loop_factory, spare_start_up
from godel_tasks.runtime import Runtime

log = structlog.get_logger("godel.dispatcher")


def log_event(event: Event) -> None:
    """What an operator should read even when nobody looks at metrics."""
    match event:
        case ClassUnroutable(class_id, waiting, nearest):
            log.warning("class.unroutable", class_id=class_id, waiting=waiting, nearest=nearest)
        case SessionsMoved(instance_id, sessions, reason):
            log.warning("sessions.moved", instance=instance_id, sessions=sessions, reason=reason)
        case DispatcherReaped(dead, tasks):
            log.warning("dispatcher.reaped", dead=dead, tasks=tasks)


class DispatchService:
    """Starts, drains, ends. One dispatcher at a time; one that was reaped is followed by another
    under a new name. `on_crash` is called when a dispatcher ended by a bug."""

    def __init__(
        self,
        runtime: Runtime,
        node: str,
        bus: EventBus,
        on_crash: Callable[[], None],
        follower: Follower | None = None,
    ) -> None:
        self._runtime = runtime
        self._node = node
        self._bus = bus
        self._on_crash = on_crash
        self._follower = follower
        self._loop: asyncio.AbstractEventLoop | None = None
        self._current: Dispatcher | None = None
        self._stopping = False
        self._paused = False
        self._thread = threading.Thread(target=self._run, name="godel-dispatcher", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self, *, patience_s: float | None = None) -> None:
        """Drain and wait for the end. What has not ended after `patience_s` (None: as configured)
        is left to be adopted."""
        self._stopping = True
        self._tell_to_stop(patience_s)
        while self._thread.is_alive():
            # In short waits, so that a second signal is handled meanwhile.
            self._thread.join(0.1)

    def hurry(self) -> None:
        """End the draining: what runs is left to be adopted. For signal handlers, too."""
        self._tell_to_stop(0.0)

    def pause(self) -> None:
        """Claim nothing until `resume`, or until this process ends."""
        self._paused = True
        self._on_loop(self._heed_pause)

    def resume(self) -> None:
        self._paused = False
        self._on_loop(self._heed_pause)

    def numbers(self) -> tuple[int, int]:
        """Attempts in flight, and tasks that were brought to an end. For any thread, at once."""
        if self._current is None:
            return 0, 0
        flights = self._current.flights
        ends = (flights.counts.get(state.value.lower(), 0) for state in TERMINAL_STATES)
        return len(flights), sum(ends)

    def view(self, timeout: float) -> DispatchView | None:
        """What the dispatcher does right now; None when there is none (yet, or any more). For any
        thread but the dispatcher's own.

        Raises:
            TimeoutError: its loop is busy.
        """
        answer: Future[DispatchView | None] = Future()
        if not self._on_loop(lambda: answer.set_result(self._view_current())):
            return None
        return answer.result(timeout)

    def _view_current(self) -> DispatchView | None:
        return self._current.view() if self._current is not None else None

    def _tell_to_stop(self, patience_s: float | None) -> None:
        self._on_loop(lambda: self._stop_current(patience_s))

    def _on_loop(self, act: Callable[[], None]) -> bool:
        """Whether there is a loop that will do it."""
        if self._loop is None or not self._thread.is_alive():
            return False
        # It may end between the two lines.
        with contextlib.suppress(RuntimeError):
            self._loop.call_soon_threadsafe(act)
            return True
        return False

    def _heed_pause(self) -> None:
        if self._current is not None:
            if self._paused:
                self._current.pause()
            else:
                self._current.resume()

    def _stop_current(self, patience_s: float | None) -> None:
        if self._current is not None:
            self._current.stop(patience_s=patience_s)

    def _run(self) -> None:
        try:
            with asyncio.Runner(loop_factory=loop_factory) as runner:
                runner.run(self._main())
        except Exception:
            log.exception("dispatcher.crashed", node=self._node)
            self._on_crash()

    async def _main(self) -> None:
        self._loop = asyncio.get_running_loop()
        config = self._runtime.dispatch_config()
        async with self._runtime.dispatcher_ports(self._bus, self._follower) as ports:
            while not self._stopping:
                dispatcher = Dispatcher(ports, config, f"{self._node}-{secrets.token_hex(3)}")
                self._current = dispatcher
                self._heed_pause()
                spare_start_up()
                log.info(
                    "dispatcher.up",
                    dispatcher=dispatcher.name,
                    serves=f"tenants of {len(ports.cells)} cell(s)",
                    on=masked(self._runtime.urls.state),
                )
                ending = await dispatcher.run()
                log.info("dispatcher.down", dispatcher=dispatcher.name, ending=ending.value)
                if ending is Ending.DRAINED:
                    return
