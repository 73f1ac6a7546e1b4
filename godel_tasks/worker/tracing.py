"""TraceStep: a worker's dispatcher is traced from its start to its end, where traces are on.

Whether they are is looked up when the worker starts: Celery's signals that people set OpenTelemetry
up in (`worker_init`, and `worker_process_init` of the solo pool) come before that.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from celery import bootsteps

from godel_tasks.events import EventBus
from godel_tasks.telemetry.traces import start_traces

if TYPE_CHECKING:
    from godel_tasks.telemetry.spans import AttemptTracer


class TraceStep(bootsteps.StartStopStep):
    """Starts before the dispatcher and ends after it."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        super().__init__(worker, **kwargs)
        worker.godel_traces = self
        self._bus = EventBus()
        self._tracer: AttemptTracer | None = None

    def watch(self, bus: EventBus) -> None:
        """Trace what this one tells, from the start on."""
        self._bus = bus

    def start(self, worker: Any) -> None:
        self._tracer = start_traces(self._bus, worker.hostname)

    def stop(self, _worker: Any) -> None:
        if self._tracer is not None:
            self._tracer.stop()
