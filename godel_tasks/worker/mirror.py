"""EventMirror: Godel's tasks as Celery events, so that Flower sees them.

Events are sent in batches from a thread of their own, only while somebody asked for them (Flower
does when it starts), and above `GODEL_EVENT_RATE` tasks a second only for a sample of the tasks,
which is said in the log.
"""

from __future__ import annotations

import queue
import threading
import time
from typing import Any

import structlog
from kombu.exceptions import KombuError
from redis import RedisError

from godel_tasks.events import Event, TaskClaimed, TaskRetried, TaskSettled, TaskStarted

log = structlog.get_logger("godel.events")

TASK_NAME = "godel_tasks.submit_task"
#: What is mirrored.
MIRRORED = (TaskClaimed, TaskStarted, TaskSettled, TaskRetried)
#: Seconds that events are collected before they are sent together.
FLUSH_EVERY_S = 0.2
#: Events that may wait to be sent; beyond that they are dropped, and the log says so.
BACKLOG = 20_000


class EventMirror:
    """Subscribes to the bus; `on_event` is cheap and called on the dispatcher's loop."""

    def __init__(self, worker: Any, rate: float) -> None:
        self._worker = worker
        self._rate = rate
        self._events: queue.SimpleQueue[Event | None] = queue.SimpleQueue()
        self._mirrored: set[str] = set()
        self._tokens = float(rate)
        self._refilled_at = time.monotonic()
        self._sampling = False
        self._thread = threading.Thread(target=self._run, name="godel-events", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        if self._thread.is_alive():
            self._events.put(None)
            self._thread.join(5)

    def on_event(self, event: Event) -> None:
        if isinstance(event, TaskClaimed):
            if not self._take_token():
                return
            self._mirrored.add(event.task_id)
        elif isinstance(event, TaskStarted | TaskSettled | TaskRetried):
            if event.task_id not in self._mirrored:
                return
            if not isinstance(event, TaskStarted):
                self._mirrored.discard(event.task_id)
        self._events.put(event)

    def wanted(self) -> bool:
        """Whether anybody asked for task events."""
        dispatcher = getattr(self._worker.consumer, "event_dispatcher", None)
        if dispatcher is None or not dispatcher.enabled:
            return False
        # Without -E only the group "worker" is sent; no groups at all means every one.
        return not dispatcher.groups or "task" in dispatcher.groups

    def _take_token(self) -> bool:
        now = time.monotonic()
        self._tokens = min(self._rate, self._tokens + (now - self._refilled_at) * self._rate)
        self._refilled_at = now
        if self._tokens >= 1 and self._events.qsize() < BACKLOG:
            self._tokens -= 1
            return True
        if not self._sampling:
            self._sampling = True
            log.warning(
                "events.sampled",
                hint=f"Flower sees about {self._rate:g} tasks a second of each dispatcher; "
                "counts and results are whole. Raise GODEL_EVENT_RATE to see more",
            )
        return False

    def _run(self) -> None:
        going = True
        while going:
            batch, going = self._collect()
            if batch:
                try:
                    self._send(batch)
                except (KombuError, RedisError, OSError) as error:
                    log.warning("events.lost", events=len(batch), error=str(error))

    def _collect(self) -> tuple[list[Event], bool]:
        first = self._events.get()
        if first is None:
            return [], False
        batch = [first]
        ends_at = time.monotonic() + FLUSH_EVERY_S
        while (left := ends_at - time.monotonic()) > 0:
            try:
                event = self._events.get(timeout=left)
            except queue.Empty:
                break
            if event is None:
                return batch, False
            batch.append(event)
        return batch, True

    def _send(self, batch: list[Event]) -> None:
        app = self._worker.app
        with (
            app.connection_for_write() as connection,
            app.events.Dispatcher(
                connection,
                hostname=self._worker.hostname,
                buffer_group=frozenset({"task"}),
                buffer_limit=200,
            ) as dispatcher,
        ):
            for event in batch:
                for kind, fields in celery_events(event):
                    dispatcher.send(kind, **fields)
            dispatcher.flush()


def celery_events(event: Event) -> list[tuple[str, dict[str, Any]]]:
    """An event of ours as Celery's monitors know it: type and fields."""
    match event:
        case TaskClaimed(task_id, tenant_id, attempt, instance_id, at_s):
            seen = f"({tenant_id!r},)"
            kwargs = repr({"tenant": tenant_id, "instance": instance_id})
            fields = {"name": TASK_NAME, "args": seen, "kwargs": kwargs, "retries": attempt - 1}
            return [("task-received", {"uuid": task_id, "timestamp": at_s, **fields})]
        case TaskStarted(task_id, at_s=at_s):
            return [("task-started", {"uuid": task_id, "timestamp": at_s})]
        case TaskRetried(task_id, reason=reason, at_s=at_s):
            return [("task-retried", {"uuid": task_id, "timestamp": at_s, "exception": reason})]
        case TaskSettled(task_id, state=state, run_s=run_s, at_s=at_s, result=result, error=error):
            base = {"uuid": task_id, "timestamp": at_s}
            if state == "SUCCEEDED":
                return [("task-succeeded", {**base, "result": result, "runtime": run_s})]
            if state == "FAILED":
                return [("task-failed", {**base, "exception": error, "traceback": ""})]
            return [("task-revoked", {**base, "terminated": True, "signum": "", "expired": False})]
    return []
