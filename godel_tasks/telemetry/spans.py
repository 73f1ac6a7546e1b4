"""AttemptTracer: every attempt as spans, in the trace of whoever submitted the task.

    <the producer's publish span>
      queued godel     from its lane's end to the claim
      process godel    from the claim until its end can be read; a handler may go on from here
        deliver godel  at the instance: sent, until its end came back
        settle godel   from there until the cell has it
        publish godel  from there until its result can be read

Only the start of an attempt's span, whose identity goes to the instance, is on the dispatcher's
loop. All else is done from events in a thread of its own, where exporters may take their time.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

import structlog
from opentelemetry import propagate, trace
from opentelemetry.context import Context
from opentelemetry.trace import Span, SpanKind, Status, StatusCode, Tracer

from godel_tasks.events import (
    AttemptEnded,
    Event,
    EventBus,
    TaskAdopted,
    TaskClaimed,
    TaskPublished,
    TaskStarted,
)
from godel_tasks.telemetry import conventions as c

if TYPE_CHECKING:
    from opentelemetry.util.types import AttributeValue

log = structlog.get_logger("godel.traces")

#: Seconds that a worker that ends waits for spans to be handed to their exporter.
GOODBYE_S = 5.0
_WATCHED = (TaskClaimed, TaskAdopted, TaskStarted, AttemptEnded, TaskPublished)


class _Attempt:
    """An attempt whose span is open. Times are wall time in ns; 0 for "not yet"."""

    __slots__ = ("attempt", "attributes", "claimed", "sent", "settled", "span")

    def __init__(
        self, span: Span, attempt: int, attributes: dict[str, AttributeValue], claimed: int
    ) -> None:
        self.span = span
        self.attempt = attempt
        self.attributes = attributes
        self.claimed = claimed
        self.sent = 0
        self.settled = 0


class AttemptTracer:
    """Makes spans of a dispatcher's events. `node` is the dispatcher's name in them."""

    def __init__(self, tracer: Tracer, node: str, now_ns: Callable[[], int] = time.time_ns) -> None:
        self._tracer = tracer
        self._node = node
        self._now_ns = now_ns
        self._events: queue.SimpleQueue[tuple[Event, int, _Begun | None] | None] = (
            queue.SimpleQueue()
        )
        self._open: dict[str, _Attempt] = {}
        self._thread = threading.Thread(target=self._run, name="godel-traces", daemon=True)

    def watch(self, bus: EventBus) -> None:
        bus.subscribe(self._on_event, *_WATCHED)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """End what is open, once what has happened is recorded."""
        if self._thread.is_alive():
            self._events.put(None)
            self._thread.join(GOODBYE_S)

    # -- on the dispatcher's loop ------------------------------------------------------------

    def _on_event(self, event: Event) -> None:
        now = self._now_ns()
        begun = None
        if isinstance(event, TaskClaimed | TaskAdopted):
            try:
                begun = self._begin(event, now)
            except Exception:  # a sampler, a propagator: the task goes on without a trace
                log.exception("traces.failed")
                return
        self._events.put((event, now, begun))

    def _begin(self, event: TaskClaimed | TaskAdopted, now: int) -> _Begun:
        parent = propagate.extract(event.headers)
        attributes = self._attributes_of(event)
        span = self._tracer.start_span(
            f"{c.PROCESS} {c.DESTINATION}",
            context=parent,
            kind=SpanKind.CONSUMER,
            attributes=attributes | operation(c.PROCESS),
            start_time=now,
        )
        propagate.inject(event.headers, trace.set_span_in_context(span, parent))
        return parent, span, attributes

    def _attributes_of(self, event: TaskClaimed | TaskAdopted) -> dict[str, AttributeValue]:
        attributes: dict[str, AttributeValue] = {
            c.MESSAGING_SYSTEM: "godel",
            c.MESSAGING_DESTINATION: c.DESTINATION,
            c.MESSAGING_MESSAGE_ID: event.task_id,
            c.MESSAGING_CLIENT_ID: self._node,
            c.TENANT: event.tenant_id,
            c.INSTANCE: event.instance_id,
            c.ATTEMPT: event.attempt,
        }
        if event.correlation_id:
            attributes[c.MESSAGING_CONVERSATION_ID] = event.correlation_id
        if isinstance(event, TaskAdopted):
            attributes[c.ADOPTED] = True
        return attributes

    # -- on the tracer's thread --------------------------------------------------------------

    def _run(self) -> None:
        while (item := self._events.get()) is not None:
            try:
                self._record(*item)
            except Exception:  # an exporter: the next spans may do better
                log.exception("traces.failed")
        for task_id in list(self._open):
            self._close(task_id, "left", self._now_ns())

    def _record(self, event: Event, now: int, begun: _Begun | None) -> None:
        if begun is not None and isinstance(event, TaskClaimed | TaskAdopted):
            self._claimed(event, now, *begun)
        elif isinstance(event, TaskStarted):
            attempt = self._open.get(event.task_id)
            if attempt is not None:
                attempt.sent = now
        elif isinstance(event, AttemptEnded):
            self._ended(event, now)
        elif isinstance(event, TaskPublished):
            attempt = self._open.get(event.task_id)
            if attempt is not None and attempt.settled:
                self._child(attempt, c.PUBLISH, attempt.settled, now)
                self._close(event.task_id, event.state.lower(), now)

    def _claimed(
        self,
        event: TaskClaimed | TaskAdopted,
        now: int,
        parent: Context,
        span: Span,
        attributes: dict[str, AttributeValue],
    ) -> None:
        self._close(event.task_id, "left", now)
        if not span.is_recording():
            return
        self._open[event.task_id] = _Attempt(span, event.attempt, attributes, now)
        if isinstance(event, TaskClaimed):
            known = trace.get_current_span(parent).get_span_context().is_valid
            queued = self._tracer.start_span(
                f"{c.QUEUED} {c.DESTINATION}",
                context=parent if known else trace.set_span_in_context(span),
                attributes=attributes | operation(c.QUEUED),
                start_time=now - int(event.queued_s * 1e9),
            )
            queued.end(now)

    def _ended(self, event: AttemptEnded, now: int) -> None:
        attempt = self._open.get(event.task_id)
        if attempt is None or attempt.attempt != event.attempt:
            return
        began = attempt.sent or attempt.claimed
        # Known to the millisecond only.
        back = min(max(began, int(event.ended_s * 1e9)), now)
        if attempt.sent:
            self._child(attempt, c.DELIVER, began, back, SpanKind.CLIENT)
        self._child(attempt, c.SETTLE, back, now, SpanKind.CLIENT, {c.OUTCOME: event.outcome})
        attempt.settled = now
        if event.error_type:
            attempt.span.set_attribute(c.ERROR_TYPE, event.error_type)
        if event.outcome in c.FAILURES:
            attempt.span.set_status(Status(StatusCode.ERROR, event.error_type or event.outcome))
        if event.outcome not in _PUBLISHED:
            self._close(event.task_id, event.outcome, now)

    def _child(
        self,
        attempt: _Attempt,
        name: str,
        start: int,
        end: int,
        kind: SpanKind = SpanKind.INTERNAL,
        more: dict[str, AttributeValue] | None = None,
    ) -> None:
        span = self._tracer.start_span(
            f"{name} {c.DESTINATION}",
            context=trace.set_span_in_context(attempt.span),
            kind=kind,
            attributes=attempt.attributes | operation(name) | (more or {}),
            start_time=start,
        )
        span.end(end)

    def _close(self, task_id: str, outcome: str, now: int) -> None:
        attempt = self._open.pop(task_id, None)
        if attempt is not None:
            attempt.span.set_attribute(c.OUTCOME, outcome)
            attempt.span.end(now)


def operation(name: str) -> dict[str, AttributeValue]:
    """Attributes that name what is done."""
    found: dict[str, AttributeValue] = {c.MESSAGING_OPERATION_NAME: name}
    if name in c.OPERATION_TYPES:
        found[c.MESSAGING_OPERATION_TYPE] = c.OPERATION_TYPES[name]
    return found


#: Context of the producer, span of the attempt, attributes of all its spans.
_Begun = tuple[Context, Span, dict[str, "AttributeValue"]]
#: Ends of tasks, which are published after they are settled.
_PUBLISHED = frozenset({"succeeded", "failed", "cancelled"})
