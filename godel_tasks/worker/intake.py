"""Intake: takes `submit_task` messages of Celery clients out of the broker into Godel's queues.

It is the strategy of the task: Celery's consumer hands it every such message before anything of
Celery's own happens to it, an ETA kept in memory above all. A message is acknowledged after its
task was enqueued; the id is the client's, so that a message that comes twice is one task. What is
refused goes on to Celery's worker pool, where it fails as any task does (`refuse_to_run`): result,
link_error, chord, signals and events are Celery's.

Everything here runs on the thread of the consumer's event loop.
"""

from __future__ import annotations

import copy
import json
import logging
import random
import time
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import structlog
from celery import signals, states
from celery.worker import request as worker_request
from celery.worker import state
from kombu import Message

from godel_tasks.errors import GodelError, InvalidTask, StoreError, TaskConflict
from godel_tasks.policy.intake import Wait, after_failure
from godel_tasks.runtime import Runtime, runtime_of
from godel_tasks.store.command import Command, plain
from godel_tasks.store.keys import result_key
from godel_tasks.store.queue import Admission
from godel_tasks.submission import check_routable, prepare, settle_reply, submit_command
from godel_tasks.tasks import REFUSAL, SubmitTask
from godel_tasks.worker.sent import Sent, headers_of, read, task_id_of

log = structlog.get_logger("godel.intake")
#: What kombu says to when the broker does not take an acknowledgement.
_broker_log = logging.getLogger("godel.intake.broker")

#: Share of the messages that may wait for room in full queues which one tenant may have.
TENANT_SHARE = 3
#: A moment that has passed on every clock.
LONG_AGO = "1970-01-01T00:00:00+00:00"


@dataclass(slots=True, eq=False)
class Arrival:
    """A message that is not acknowledged yet."""

    message: Message
    headers: dict[str, Any]
    ack: Callable[..., Any]
    reject: Callable[..., Any]
    sent: Sent = field(default_factory=lambda: Sent([], {}, {}))
    tenant_id: str = ""
    tries: int = 0
    since: float = field(default_factory=time.monotonic)

    @property
    def task_id(self) -> str:
        return str(self.headers["id"])


def _final_state(stored: bytes | None) -> str:
    try:
        found = str(json.loads(stored or b"{}")["status"])
    except (ValueError, TypeError, KeyError):
        return ""
    return found if found in states.READY_STATES else ""


class Refused(Exception):
    """How an arrival ends that is not enqueued and not to be tried again."""

    def __init__(self, error: GodelError, *, expired: bool = False) -> None:
        self.error = error
        self.expired = expired


def strategy(task: SubmitTask, app: Any, consumer: Any, **_: Any) -> Callable[..., None]:
    """What Celery asks for at each connection to the broker."""
    return Intake(task, app, consumer).on_message


class Intake:
    """The intake of one connection to the broker."""

    def __init__(self, task: SubmitTask, app: Any, consumer: Any) -> None:
        self._task = task
        self._consumer = consumer
        self._runtime: Runtime = runtime_of(app)
        self._connected = consumer.restart_count
        # Celery's types do not know of it.
        make_class = worker_request.create_request_cls  # type: ignore[attr-defined]
        self._request_class = make_class(
            worker_request.Request,
            task,
            consumer.pool,
            consumer.hostname,
            consumer.event_dispatcher,
            app=app,
        )
        self._app = app
        self._waiting_for_room: Counter[str] = Counter()

    @property
    def _is_current(self) -> bool:
        """Whether the messages can still be acknowledged: the broker gives those of a connection
        that was lost to somebody again."""
        return bool(self._consumer.restart_count == self._connected)

    def on_message(
        self,
        message: Message,
        body: Any,
        ack: Callable[..., Any],
        reject: Callable[..., Any],
        _callbacks: Any,
    ) -> None:
        headers = headers_of(message, body)
        arrival = Arrival(message, headers, ack, reject)
        if task_id_of(headers) is None:
            self._reject(arrival, InvalidTask("the message has no task id"))
            return
        try:
            arrival.sent = read(message, body, headers)
        except InvalidTask as error:
            self._settle(arrival, Refused(error))
            return
        if self._revoked(arrival):
            return
        self._try(arrival)

    # -- enqueue -----------------------------------------------------------------------------

    def _try(self, arrival: Arrival) -> None:
        arrival.tries += 1
        try:
            self._enqueue(arrival)
        except Refused as refused:
            self._settle(arrival, refused)
        except GodelError as error:
            self._failed(arrival, error)
        except Exception as error:
            # A message that ends the worker would come again, and end the next one.
            log.exception("intake.failed", task=arrival.task_id)
            self._settle(arrival, Refused(InvalidTask(f"it cannot be enqueued: {error!r}")))
        else:
            self._acknowledge(arrival)

    def _enqueue(self, arrival: Arrival) -> None:
        """One try. Enqueuing what is enqueued already does nothing.

        Raises:
            Refused: its time is past.
            GodelError: not enqueued.
        """
        runtime, sent = self._runtime, arrival.sent
        request, require_routable = self._task.request_from(sent.args, sent.kwargs, sent.options)
        arrival.tenant_id = str(request.tenant_id)
        ended = self._ended(arrival.task_id)
        if ended:
            # Revoked before it came here; or it ran, and its message comes once more.
            log.info("intake.ended_already", task=arrival.task_id, state=ended)
            return
        task = prepare(request, runtime.rules)
        if require_routable:
            check_routable(runtime, request.tenant_id, task)
        reply = runtime.store.run(
            submit_command(runtime, request.tenant_id, [task], repeated=False)
        )
        try:
            settle_reply(request, task, reply)
        except InvalidTask as error:
            if reply.admissions[0] is Admission.PAST:
                raise Refused(error, expired=True) from error
            raise

    def _ended(self, task_id: str) -> str:
        """The final state of the id's result, "" when there is none."""
        return self._runtime.results.run(plain("GET", result_key(task_id), decode=_final_state))

    # -- when it does not succeed --------------------------------------------------------------

    def _failed(self, arrival: Arrival, error: GodelError) -> None:
        decision = after_failure(
            error,
            tries=arrival.tries,
            waited_s=time.monotonic() - arrival.since,
            patience_s=self._runtime.settings.intake_patience_s,
            crowded=self._crowded(arrival.tenant_id),
            jitter=random.random(),
        )
        if isinstance(decision, Wait):
            wait = log.warning if isinstance(error, StoreError) else log.debug
            wait("intake.waits", task=arrival.task_id, why=decision.reason, error=error.message)
            self._wait(arrival, decision.after_s, for_room=not isinstance(error, StoreError))
        else:
            self._settle(arrival, Refused(error))

    def _crowded(self, tenant_id: str) -> bool:
        """What waits for room must not keep other tenants' messages out: it does not count as
        taken from the broker, up to Celery's limit, of which a tenant may have a share."""
        most = self._consumer.qos.max_prefetch or 0
        room = max(0, most - self._consumer.initial_prefetch_count)
        waiting = self._waiting_for_room
        return bool(waiting.total() >= room or waiting[tenant_id] >= room // TENANT_SHARE)

    def _wait(self, arrival: Arrival, after_s: float, *, for_room: bool) -> None:
        """Keep it, unacknowledged, and try again later. While the store is away the broker's
        messages stay there: no more are taken than a worker takes at once."""
        qos = self._consumer.qos
        if for_room:
            self._waiting_for_room[arrival.tenant_id] += 1
            qos.increment_eventually()

        def again() -> None:
            if for_room:
                self._waiting_for_room[arrival.tenant_id] -= 1
                qos.decrement_eventually()
            if not self._revoked(arrival):
                self._try(arrival)

        self._consumer.timer.call_after(after_s, again)

    def _settle(self, arrival: Arrival, refused: Refused) -> None:
        """Refuse it for good. A task of that id that exists keeps its result."""
        error = refused.error
        if not self._is_current:
            return  # The same message comes again, and is decided on then.
        try:
            taken = isinstance(error, TaskConflict) or self._exists(arrival.task_id)
        except StoreError as away:
            self._failed(arrival, away)
            return
        if taken:
            self._reject(arrival, error)
            return
        tell = log.bind(task=arrival.task_id, tenant=arrival.tenant_id)
        if refused.expired:
            tell.info("intake.expired")
            self._request(arrival, expires=LONG_AGO).revoked()
        else:
            tell.warning("intake.refused", error=type(error).__name__, text=str(error))
            self._fail(arrival, error)

    def _exists(self, task_id: str) -> bool:
        lookups = [cell.lookup for cell in self._runtime.cells]
        commands: list[Command[Any]] = [x.entry(task_id) for x in lookups]
        commands += [x.settled(task_id) for x in lookups]
        return any(self._runtime.store.pipeline(commands))

    # -- Celery's side -------------------------------------------------------------------------

    def _request(self, arrival: Arrival, **headers: Any) -> Any:
        """The message as Celery's worker keeps it. It has no ETA: nothing waits in memory."""
        sent = arrival.sent
        made: Mapping[str, Any] = {**arrival.headers, "eta": None, "expires": None, **headers}
        return self._request_class(
            arrival.message,
            on_ack=arrival.ack,
            on_reject=arrival.reject,
            app=self._app,
            hostname=self._consumer.hostname,
            eventer=self._consumer.event_dispatcher,
            task=self._task,
            connection_errors=self._consumer.connection_errors,
            body=(sent.args, sent.kwargs, sent.embed),
            headers=made,
            decoded=True,
            utc=True,
        )

    def _revoked(self, arrival: Arrival) -> bool:
        """Whether somebody revoked it on its way; then it is REVOKED."""
        known = arrival.task_id in state.revoked or (
            state.revoked_stamps and arrival.headers.get("stamped_headers")
        )
        return bool(known and self._is_current and self._request(arrival).revoked())

    def _fail(self, arrival: Arrival, error: GodelError) -> None:
        told = copy.copy(error)
        told.args = (str(error),)  # The hint too: results carry no more than these.
        request = self._request(arrival, **{REFUSAL: told})
        signals.task_received.send(sender=self._consumer, request=request)
        request.send_event(
            "task-received",
            name=request.name,
            args=request.argsrepr,
            kwargs=request.kwargsrepr,
            root_id=request.root_id,
            parent_id=request.parent_id,
        )
        state.task_reserved(request)
        self._consumer.on_task_request(request)

    def _acknowledge(self, arrival: Arrival) -> None:
        if self._is_current:
            arrival.ack(_broker_log, self._consumer.connection_errors)

    def _reject(self, arrival: Arrival, error: GodelError) -> None:
        """Drop what has no result to write to, aloud."""
        log.warning("intake.dropped", task=arrival.headers.get("id"), text=str(error))
        arrival.reject(_broker_log, self._consumer.connection_errors)
        signals.task_rejected.send(sender=self._consumer, message=arrival.message, exc=error)
