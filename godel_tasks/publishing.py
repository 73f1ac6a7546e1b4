"""Publication: the signals that Celery's producers send around a publish, for tasks of Godel.

Receivers written for Celery get what Celery would give them, and the headers that they add travel
with the task. Nothing is built while nobody listens: ask `heard()` first.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from contextvars import Context, copy_context
from datetime import timedelta
from functools import cache
from itertools import islice
from types import TracebackType
from typing import Any

from celery import Celery
from celery.signals import after_task_publish, before_task_publish
from kombu import Exchange, Queue

from godel_tasks.canvas.current import current
from godel_tasks.canvas.pinning import unpin
from godel_tasks.domain.task import CELERY_PRIORITY_STEPS
from godel_tasks.errors import StoreUnavailable
from godel_tasks.policy.admission import (
    AdmissionRules,
    AdmittedTask,
    TaskRequest,
    admit,
    level_of,
)
from godel_tasks.runtime import Runtime
from godel_tasks.submission import SCRIPT_BATCH, Submission, new_id, submit_many
from godel_tasks.telemetry.publishing import end_refused_span

#: What receivers are told as the place that a task goes to: Godel's queues are none of a broker.
ROUTING_KEY = "godel"
#: Fields of a request that receivers are told as keyword arguments of the task. The others are its
#: positional arguments, or options that Celery has a place for.
_KWARGS = (
    "deadline", "capabilities", "prefer", "region", "instance", "session_id", "session_affinity",
    "strategy",
    "max_attempts", "timeout", "correlation_id", "on_uncertain",
)  # fmt: skip


def heard() -> bool:
    """Whether anybody listens."""
    return bool(before_task_publish.receivers or after_task_publish.receivers)


@cache
def _queue() -> Queue:
    return Queue(ROUTING_KEY, Exchange("", type="direct"), routing_key=ROUTING_KEY)


class Publication:
    """One task on its way: `before_task_publish` goes out when it is entered, which answers the
    task as it is to be sent; `after_task_publish` when it is left without an error."""

    def __init__(self, app: Celery, name: str, request: TaskRequest, rules: AdmissionRules) -> None:
        self._app = app
        self._name = name
        self._request = request
        self._rules = rules
        self.task_id = request.task_id or new_id()

    def __enter__(self) -> AdmittedTask:
        # What is refused here is refused before anybody hears of it, as far as can be known.
        admit(self._request, self.task_id, self._rules)
        message = message_of(self._app, self._name, self.task_id, self._request)
        own = self._request.headers or {}
        self._body, self._headers = message.body, {**own, **message.headers}
        with current(self._app):
            before_task_publish.send(
                sender=self._name,
                body=self._body,
                exchange="",
                routing_key=ROUTING_KEY,
                declare=[_queue()],
                headers=self._headers,
                properties=message.properties,
                retry_policy=dict(self._app.conf.task_publish_retry_policy),
            )
        # A header of the task's own that is called as one of Celery's is hidden from receivers.
        headers = {name: value for name, value in own.items() if name in message.headers}
        headers |= {n: value for n, value in self._headers.items() if n not in message.headers}
        try:
            return admit(self._request, self.task_id, self._rules, headers)
        except BaseException as error:
            self._refused(error)
            raise

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if error is not None:
            self._refused(error)
            return
        with current(self._app):
            after_task_publish.send(
                sender=self._name,
                body=self._body,
                headers=self._headers,
                exchange="",
                routing_key=ROUTING_KEY,
            )

    def _refused(self, error: BaseException) -> None:
        end_refused_span(self._app.tasks[self._name], self.task_id, error)


def message_of(app: Celery, name: str, task_id: str, request: TaskRequest) -> Any:
    """The message that Celery would send: a tuple of headers, properties, body, and no event.

    `args` are tenant and payload, `kwargs` the other fields that were given.
    """
    expires = request.expires
    options = {**request.celery, **(unpin(request.canvas) if request.canvas else {})}
    stamps = options.get("stamps") or {}
    message = app.amqp.as_task_v2(
        task_id,
        name,
        (request.tenant_id, request.payload),
        {field: value for field in _KWARGS if (value := getattr(request, field))},
        countdown=request.countdown,
        eta=request.eta,
        expires=expires.total_seconds() if isinstance(expires, timedelta) else expires,
        group_id=options.get("group_id"),
        group_index=options.get("group_index"),
        root_id=options.get("root_id"),
        parent_id=options.get("parent_id"),
        reply_to=options.get("reply_to"),
        chain=options.get("chain"),
        chord=options.get("chord"),
        callbacks=options.get("link"),
        errbacks=options.get("link_error"),
        ignore_result=request.ignore_result,
    )
    message.headers.update(stamps=stamps, stamped_headers=list(stamps) or None)
    given = request.priority
    priority = given if isinstance(given, int) else CELERY_PRIORITY_STEPS[level_of(given)]
    message.properties.update(priority=priority, correlation_id=request.correlation_id or task_id)
    return message


class _Batch:
    """Publications of a batch, each in a context of its own: what a receiver makes current for one
    task is not so for the next."""

    def __init__(self, app: Celery, name: str) -> None:
        self._app = app
        self._name = name
        self._on_way: dict[str, list[tuple[Publication, Context]]] = {}

    def announce(self, request: TaskRequest, rules: AdmissionRules) -> AdmittedTask:
        publication = Publication(self._app, self._name, request, rules)
        context = copy_context()
        task = context.run(publication.__enter__)
        self._on_way.setdefault(task.task_id, []).append((publication, context))
        return task

    def leave(self, task_id: str, error: BaseException | None) -> None:
        for publication, context in self._on_way.get(task_id, ())[:1]:
            del self._on_way[task_id][0]
            context.run(publication.__exit__, type(error) if error else None, error, None)

    def abandon(self, error: BaseException) -> None:
        for task_id, publications in self._on_way.items():
            for _ in list(publications):
                self.leave(task_id, error)


def submit_many_told(
    app: Celery, name: str, runtime: Runtime, items: Iterable[TaskRequest | Mapping[str, Any]]
) -> list[Submission]:
    """`submit_many` with both signals for each item that is sent, a batch of items at a time."""
    outcomes: list[Submission] = []
    left = iter(items)
    while some := list(islice(left, SCRIPT_BATCH)):
        batch = _Batch(app, name)
        try:
            sent = submit_many(runtime, some, batch.announce)
        except StoreUnavailable as error:
            batch.abandon(error)
            raise
        for outcome in sent:
            batch.leave(outcome.task_id, outcome.error)
        outcomes += sent
    return outcomes
