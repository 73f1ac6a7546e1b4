"""Outlet: the bounded backlog of events for monitors, and the thread that sends them.

Whoever puts events in never waits. While the broker is away they are kept, up to a bound: beyond
half of it no further tasks are shown, and beyond all of it events are dropped, and counted in the
log.
"""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Sequence

import structlog

from godel_tasks.worker.celery_events import CeleryEvent
from godel_tasks.worker.event_sender import EventSender
from godel_tasks.worker.sampling import Sampler

log = structlog.get_logger("godel.events")

#: Entries of the backlog: what happened to one task at one time, 1 to 4 events.
BACKLOG = 10_000
#: Seconds that events are collected before they are sent together.
COLLECT_S = 0.2
#: The same once a task is to run again: its next dispatcher must not be heard of first.
COLLECT_RETRY_S = 0.01
#: Events in one message at most, and those that are collected at once.
PER_MESSAGE = 200
PER_ROUND = 1_000
#: Seconds between two attempts to reach a broker that is away.
TRY_AGAIN_S = 1.0
#: Seconds without a hidden task after which sampling is over, and between two lines about losses.
CALM_S = 10.0
#: Seconds between two looks at what the log has to say.
LOOK_EVERY_S = 1.0
#: Seconds that a worker that ends gives the last events.
GOODBYE_S = 5.0


class Outlet:
    """`put` may be called from any thread. `sampler` is only looked at, for the log."""

    def __init__(self, sender: EventSender, sampler: Sampler, tasks_per_s: float) -> None:
        self._sender = sender
        self._sampler = sampler
        self._tasks_per_s = tasks_per_s
        self._backlog: queue.SimpleQueue[Sequence[CeleryEvent] | None] = queue.SimpleQueue()
        self._ending = threading.Event()
        self._thread = threading.Thread(target=self._run, name="godel-events", daemon=True)
        self._lost = 0
        self._lost_told = 0
        self._lost_told_at = -CALM_S
        self._hidden_seen = 0
        self._hidden_at = 0.0
        #: How many were hidden when sampling began; None while all tasks are shown.
        self._sampling_since: int | None = None

    @property
    def has_room(self) -> bool:
        """Whether another task may begin to be shown: half the backlog is for those that did."""
        return self._backlog.qsize() < BACKLOG // 2

    def put(self, events: Sequence[CeleryEvent]) -> None:
        """Send these soon, in this order."""
        if self._backlog.qsize() < BACKLOG:
            self._backlog.put(events)
        else:
            self._lost += len(events)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Send what is left, and wait for that a few seconds."""
        if self._thread.is_alive():
            self._ending.set()
            self._backlog.put(None)
            self._thread.join(GOODBYE_S)

    def _run(self) -> None:
        going, shown = True, False
        while going:
            events, going = self._collect()
            shown = shown or bool(events)
            for i in range(0, len(events), PER_MESSAGE):
                self._send(events[i : i + PER_MESSAGE])
            self._tell(time.monotonic())
        if shown:
            self._sender.say_goodbye()
        self._sender.close()

    def _collect(self) -> tuple[list[CeleryEvent], bool]:
        """What came within a moment, in order, and whether more can come."""
        batch: list[CeleryEvent] = []
        until = time.monotonic() + LOOK_EVERY_S
        while len(batch) < PER_ROUND and (left := until - time.monotonic()) > 0:
            try:
                events = self._backlog.get(timeout=left)
            except queue.Empty:
                break
            if events is None:
                return batch, False
            window = COLLECT_S if not batch else left
            if any(event["type"] == "task-retried" for event in events):
                window = COLLECT_RETRY_S
            until = min(until, time.monotonic() + window)
            batch.extend(events)
        return batch, True

    def _send(self, events: list[CeleryEvent]) -> None:
        try:
            while not self._sender.send(events):
                if self._ending.wait(TRY_AGAIN_S):
                    self._lost += len(events)
                    return
        except Exception:  # a bug must not end the thread: the next events may be fine
            log.exception("events.failed", events=len(events))
            self._lost += len(events)

    def _tell(self, now: float) -> None:
        """Of what monitors are not shown."""
        if self._lost > self._lost_told and now - self._lost_told_at >= CALM_S:
            log.warning(
                "events.lost",
                events=self._lost - self._lost_told,
                hint="more happened than could be sent; counts and results are whole",
            )
            self._lost_told, self._lost_told_at = self._lost, now
        hidden = self._sampler.hidden
        if hidden > self._hidden_seen:
            if self._sampling_since is None:
                self._sampling_since = self._hidden_seen
                log.warning(
                    "events.sampled",
                    tasks_per_s=self._tasks_per_s,
                    hint="monitors as Flower are shown about so many tasks a second, and all that "
                    "go wrong; results are whole. GODEL_FLOWER_TASKS_PER_S changes it",
                )
            self._hidden_seen, self._hidden_at = hidden, now
        elif self._sampling_since is not None and now - self._hidden_at >= CALM_S:
            log.info(
                "events.whole",
                tasks_per_s=self._tasks_per_s,
                hidden=hidden - self._sampling_since,
                hint="monitors are shown every task again",
            )
            self._sampling_since = None
