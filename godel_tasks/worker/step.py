"""DispatchStep: the bootstep that makes a Celery worker dispatch.

A step of the *worker*, not of its consumer: consumer steps start anew at every reconnect to the
broker.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, cast

from celery import bootsteps, signals
from celery.worker import state

from godel_tasks.canvas.following import Follower
from godel_tasks.errors import WorkerError
from godel_tasks.events import ClassUnroutable, DispatcherReaped, EventBus, SessionsMoved
from godel_tasks.runtime import runtime_of
from godel_tasks.worker.inspecting import TASK_NAME, settled, stats_of
from godel_tasks.worker.remote import ANSWER_WITHIN_S
from godel_tasks.worker.service import DispatchService, log_event

#: Flags of `celery worker` that make no sense for a dispatcher, and what to do instead.
_REFUSED = {
    ("-c", "--concurrency"): "a dispatcher is one event loop; start more workers to scale",
    ("--autoscale",): "start or stop workers to scale dispatch",
    ("-B", "--beat"): "run `celery -A godel_tasks beat` as a process of its own",
    ("-Q", "--queues"): "tenants' queues are Godel's own; a dispatcher serves all of them",
    ("-X", "--exclude-queues"): "tenants' queues are Godel's own; a dispatcher serves all of them",
    ("-O", "--optimization"): "it has no effect on a dispatcher",
}


def check_flags(argv: Sequence[str], *, only_dispatch: bool) -> None:
    """Refuse what cannot work.

    Raises:
        WorkerError: which flag, and what to do instead.
    """
    pool = _value(argv, "-P", "--pool")
    fit = ("solo", "threads")
    if pool is not None and pool not in fit:
        raise WorkerError(
            f"a dispatcher cannot run with the {pool} pool",
            hint="its event loop and connections do not survive a fork; leave -P out",
        )
    if not only_dispatch:
        return
    for names, hint in _REFUSED.items():
        if _value(argv, *names) is not None:
            raise WorkerError(f"a dispatcher does not take {' / '.join(names)}", hint=hint)


def _value(argv: Sequence[str], *names: str) -> str | None:
    for i, word in enumerate(argv):
        for name in names:
            if word == name:
                return argv[i + 1] if i + 1 < len(argv) else ""
            if name.startswith("--") and word.startswith(f"{name}="):
                return word.partition("=")[2]
            short = len(name) == 2 and word.startswith(name) and not word.startswith("--")
            if short and len(word) > 2:
                return word[2:]
    return None


class DispatchStep(bootsteps.StartStopStep):
    """Runs the dispatch service from the worker's start to its end."""

    requires = (
        "celery.worker.components:Pool",
        "godel_tasks.worker.signalling:SignalStep",
        "godel_tasks.worker.tracing:TraceStep",
        "godel_tasks.worker.mirror:MirrorStep",
    )

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        super().__init__(worker, **kwargs)
        try:
            check_flags(sys.argv, only_dispatch=worker.app.only_dispatch)
        except WorkerError as error:
            raise SystemExit(f"error: {error}") from None  # a traceback would hide the hint
        runtime = runtime_of(worker.app)
        bus = EventBus()
        bus.subscribe(log_event, ClassUnroutable, DispatcherReaped, SessionsMoved)
        worker.godel_mirror.watch(bus)
        worker.godel_signals.watch(bus)
        worker.godel_traces.watch(bus)
        self.service = DispatchService(
            runtime, worker.hostname, bus, self._on_crash, Follower(worker.app)
        )
        worker.dispatch_service = self.service
        self._told = 0

    def start(self, worker: Any) -> None:
        signals.worker_shutting_down.connect(self._on_told, sender=worker.hostname)
        self.service.start()

    def stop(self, _worker: Any) -> None:
        self.service.stop()

    def terminate(self, worker: Any) -> None:
        # Celery's soft shutdown counts its own requests only; it is 0 when it is turned off.
        self.service.stop(patience_s=worker.app.conf.worker_soft_shutdown_timeout)

    def info(self, _worker: Any) -> dict[str, Any]:  # type: ignore[override]
        """Its part of `inspect stats`."""
        try:
            view = self.service.view(ANSWER_WITHIN_S)
        except TimeoutError:
            return {"godel": {"state": "its loop does not answer"}}
        if view is None:
            return {"godel": {"state": "not at work"}}
        return {
            "godel": stats_of(view),
            "total": {**state.total_count, TASK_NAME: settled(view)},
        }

    def _on_told(self, **_: Any) -> None:
        """Celery says so at each TERM, INT and QUIT: who tells it again does not want to wait."""
        self._told += 1
        if self._told > 1:
            self.service.hurry()

    @staticmethod
    def _on_crash() -> None:
        # Ends the worker with a failure; whoever supervises it starts it anew.
        # Its type is that of its first value, None.
        cast("Any", state).should_terminate = 1
