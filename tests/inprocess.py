"""A dispatcher in this process, on a thread of its own, for stories that look inside it."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from godel_tasks.events import EventBus
from godel_tasks.runtime import Runtime
from godel_tasks.worker.service import DispatchService


@contextmanager
def dispatching(runtime: Runtime, bus: EventBus, node: str = "here") -> Iterator[DispatchService]:
    """Runs until it is left; then it has drained, and it did not crash."""
    crashed: list[bool] = []
    service = DispatchService(runtime, node, bus, lambda: crashed.append(True))
    service.start()
    try:
        yield service
    finally:
        service.stop()
        assert not crashed
