"""SignalSender: Celery's task signals, for what becomes of Godel's tasks.

They are sent by the process that publishes the end of a task: a dispatcher, or a worker that runs
control jobs. Receivers are users' code, which may block and raise: they run one after the other, in
a thread of their own, and never hold up what they are told of.
"""

from __future__ import annotations

import queue
import threading
from typing import Any

import msgspec
import structlog
from billiard.einfo import ExceptionInfo
from celery import Celery, bootsteps
from celery.app.task import Context
from celery.exceptions import Retry
from celery.signals import task_failure, task_retry, task_revoked, task_success

from godel_tasks.canvas.current import current
from godel_tasks.events import Event, EventBus, TaskPublished, TaskRetried
from godel_tasks.publishing import ROUTING_KEY
from godel_tasks.tasks import SUBMIT_TASK

log = structlog.get_logger("godel.signals")

#: Signals that wait for receivers; at that many the log says that these are too slow.
BACKLOG = 10_000
#: Seconds that a worker that ends gives receivers to hear of what waits.
GOODBYE_S = 5.0


class RemoteError(ExceptionInfo):
    """What Celery's receivers know as `einfo`, of an error that was raised in another process: the
    traceback is text, and there are no frames."""

    def __init__(self, exception: BaseException, traceback: str) -> None:
        kind = type(exception)
        self.type = kind  # type: ignore[misc]
        self.exception = exception
        self.traceback = traceback or f"{kind.__name__}: {exception}\n"


class SignalSender:
    """Sends signals for the events of the buses that it watches. `hostname` is the node's name."""

    def __init__(self, app: Celery, hostname: str) -> None:
        self._app = app
        self._hostname = hostname
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._behind = False
        self._thread = threading.Thread(target=self._run, name="godel-signals", daemon=True)

    def watch(self, bus: EventBus) -> None:
        """Only while somebody listens: else no event is even built."""
        bus.subscribe(
            self._on_event, TaskRetried, while_=lambda: bool(task_retry.receivers) and self._alive
        )
        bus.subscribe(
            self._on_event,
            TaskPublished,
            while_=lambda: (
                bool(task_success.receivers or task_failure.receivers or task_revoked.receivers)
                and self._alive
            ),
        )

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Send what waits, for a few seconds; what is left then is counted in the log."""
        if not self._alive:
            return
        self._events.put(None)
        self._thread.join(GOODBYE_S)
        if self._thread.is_alive():
            log.warning(
                "signals.lost", signals=self._events.qsize(), hint="receivers of task signals block"
            )

    @property
    def _alive(self) -> bool:
        return self._thread.is_alive()

    def _on_event(self, event: Event) -> None:
        self._events.put(event)
        behind = self._events.qsize() > BACKLOG
        if behind and not self._behind:
            log.warning(
                "signals.behind",
                waiting=self._events.qsize(),
                hint="receivers of task signals are slower than tasks end: let them hand over work",
            )
        self._behind = behind

    def _run(self) -> None:
        while (event := self._events.get()) is not None:
            try:
                with current(self._app):
                    self._send(event)
            except BaseException:  # whatever a receiver raises: the next one is to be told
                log.exception("signals.failed")

    def _send(self, event: Event) -> None:
        task = self._app.tasks[SUBMIT_TASK]
        # Receivers of task_success learn of the id only by `sender.request`.
        match event:
            case TaskPublished():
                request = context_of(event, self._hostname, event.state, event.run_s)
                task.request_stack.push(request)
                try:
                    self._send_end(task, request, event)
                finally:
                    task.request_stack.pop()
            case TaskRetried():
                request = context_of(event, self._hostname, "RETRY", 0.0)
                error = self._exception_of(event)
                reason = Retry(event.reason, error, event.after_s)  # type: ignore[arg-type]
                task.request_stack.push(request)
                try:
                    task_retry.send(
                        sender=task,
                        request=request,
                        reason=reason,
                        einfo=RemoteError(reason, event.traceback),
                    )
                finally:
                    task.request_stack.pop()

    def _send_end(self, task: Any, request: Context, event: TaskPublished) -> None:
        if event.state == "SUCCEEDED":
            result = msgspec.json.decode(event.result or b"null")
            task_success.send(sender=task, result=result, runtime=event.run_s)
        elif event.state == "FAILED":
            exception = self._exception_of(event)
            task_failure.send(
                sender=task,
                task_id=event.task_id,
                exception=exception,
                args=request.args,
                kwargs=request.kwargs,
                traceback=None,
                einfo=RemoteError(exception, event.traceback) if exception else None,
            )
        else:
            task_revoked.send(
                sender=task,
                request=request,
                terminated=bool(event.instance_id),
                signum=None,
                expired=event.state == "EXPIRED",
            )

    def _exception_of(self, event: TaskPublished | TaskRetried) -> BaseException | None:
        """As `.get()` raises it; None when the attempt ended without an error of its own."""
        if not event.error_type:
            return None
        found: BaseException | None = self._app.backend.exception_to_python(
            {
                "exc_type": event.error_type,
                "exc_message": [event.error_message],
                "exc_module": event.error_module or "builtins",
            }
        )
        return found


def context_of(
    event: TaskPublished | TaskRetried, hostname: str, state: str, run_s: float
) -> Context:
    """`request` of receivers. The payload is not kept with the end of a task: `args` is the tenant
    alone. `request.godel` says what Celery has no word for."""
    return Context(
        id=event.task_id,
        task=SUBMIT_TASK,
        args=(event.tenant_id,),
        kwargs={},
        headers={},
        retries=max(0, event.attempt - 1),
        hostname=hostname,
        correlation_id=event.correlation_id or event.task_id,
        root_id=event.task_id,
        delivery_info={"exchange": "", "routing_key": ROUTING_KEY},
        called_directly=False,
        godel={
            "state": state,
            "tenant": event.tenant_id,
            "instance": event.instance_id,
            "attempts": event.attempt,
            "run_ms": round(run_s * 1000, 3),
        },
    )


class SignalStep(bootsteps.StartStopStep):
    """Sends the signals of a worker's dispatcher and control jobs, from its start to its end."""

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        super().__init__(worker, **kwargs)
        self._sender = worker.godel_signals = SignalSender(worker.app, worker.hostname)
        self._sender.watch(worker.app.job_events)

    def start(self, _worker: Any) -> None:
        self._sender.start()

    def stop(self, _worker: Any) -> None:
        self._sender.stop()
