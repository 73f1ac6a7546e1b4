"""A monitor in this process: Celery's own receiver of events, on a thread."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from celery import Celery
from celery.events import EventReceiver

from tests.helpers import wait_until

_KNOCK = "knock-knock"


class Monitor(EventReceiver):
    """`events` as they came, with the number of messages that they came in."""

    def __init__(self, connection: Any, app: Celery) -> None:
        self.events: list[dict[str, Any]] = []
        self.messages = 0
        self.hears = False
        super().__init__(connection, {"*": self._on_event}, app=app)

    def listen(self) -> None:
        """Until `should_stop` is set."""
        own: Any = self
        for _ in own.consume(None, safety_interval=0.1, wakeup=False):
            pass

    def _receive(self, body: Any, message: Any) -> None:
        self.messages += isinstance(body, list)
        super()._receive(body, message)  # type: ignore[misc]

    def _on_event(self, event: dict[str, Any]) -> None:
        if event["type"] == _KNOCK:
            self.hears = True
        else:
            self.events.append(event)

    def by_task(self) -> dict[str, list[str]]:
        """Types of the events of each task, in order."""
        found: dict[str, list[str]] = {}
        for event in list(self.events):
            if "uuid" in event:
                found.setdefault(event["uuid"], []).append(event["type"].removeprefix("task-"))
        return found


@contextmanager
def monitoring(app: Celery) -> Iterator[Monitor]:
    """Hears every event of the app's broker from the first line of the block on."""
    with app.connection_for_read() as connection:
        monitor = Monitor(connection, app=app)
        thread = threading.Thread(target=monitor.listen, daemon=True)
        thread.start()
        # It hears itself once it is subscribed.
        with app.connection_for_write() as own, app.events.Dispatcher(own, "here") as dispatcher:

            def heard() -> bool:
                dispatcher.send(_KNOCK)
                return monitor.hears

            wait_until(heard, description="the monitor hears", every=0.05)
        try:
            yield monitor
        finally:
            monitor.should_stop = True
            thread.join(5)
