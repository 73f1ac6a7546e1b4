"""Remote: what Godel's remote control commands work with, in one worker.

Celery calls a command on the thread of its own event loop. What asks Redis runs on a thread beside,
and the command waits for it no longer than whoever asked does.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from typing import Any, TypeVar

import structlog
from celery import bootsteps

from godel_tasks.dispatch.view import DispatchView
from godel_tasks.errors import StoreUnavailable, WorkerError
from godel_tasks.runtime import Runtime, runtime_of
from godel_tasks.worker.service import DispatchService

log = structlog.get_logger("godel.control")

T = TypeVar("T")

#: Seconds that a command waits for Redis, or for the dispatcher: less than the second for which
#: `celery inspect` and `celery control` wait for answers.
ANSWER_WITHIN_S = 0.7


class Remote:
    """`dispatch` is None in a worker that does not dispatch."""

    def __init__(self, worker: Any) -> None:
        self._worker = worker
        self._beside = ThreadPoolExecutor(1, thread_name_prefix="godel-remote")

    @property
    def runtime(self) -> Runtime:
        return runtime_of(self._worker.app)

    @property
    def dispatch(self) -> DispatchService | None:
        service: DispatchService | None = getattr(self._worker, "dispatch_service", None)
        return service

    def view(self) -> DispatchView | None:
        """What this worker's dispatcher does right now; None when it has none.

        Raises:
            WorkerError: its loop does not answer.
        """
        if self.dispatch is None:
            return None
        try:
            return self.dispatch.view(ANSWER_WITHIN_S)
        except TimeoutError:
            raise WorkerError(
                f"the dispatcher has not answered within {ANSWER_WITHIN_S} s",
                hint="it is very busy, or was stopped for a while; ask again",
            ) from None

    def begin(self, work: Callable[[], T]) -> Future[T]:
        """Do `work` beside. It must be fit to be repeated: when the connection had died unnoticed
        (Redis was restarted) it is called once more."""
        return self._beside.submit(_twice, work)

    def ask(self, work: Callable[[], T]) -> T:
        """What `work` returns, which is done as `begin` does it.

        Raises:
            StoreUnavailable: no answer in time; the work may still be done.
        """
        try:
            return self.begin(work).result(ANSWER_WITHIN_S)
        except TimeoutError:
            raise StoreUnavailable(
                f"Redis has not answered within {ANSWER_WITHIN_S} s",
                hint="it may still be done; look, and ask again",
            ) from None


def _twice(work: Callable[[], T]) -> T:
    try:
        return work()
    except StoreUnavailable:
        return work()


class RemoteStep(bootsteps.Step):
    """Puts Godel's commands in the place of Celery's, in this worker."""

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        from godel_tasks.worker.panel import install

        super().__init__(worker, **kwargs)
        worker.godel_remote = Remote(worker)
        install()


def remote_of(state: Any) -> Remote | None:
    """Of the worker that a command is for; None when that worker is not Godel's."""
    remote: Remote | None = getattr(state.consumer.controller, "godel_remote", None)
    return remote
