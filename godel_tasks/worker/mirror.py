"""EventMirror: what happens to Godel's tasks, as Celery events, so that Flower sees it.

Only while a monitor has asked for events, as Flower does. Above a rate that is a setting only some
of the tasks are shown, each of them whole; those that go wrong always are.
"""

from __future__ import annotations

import time
from typing import Any

from celery import bootsteps

from godel_tasks.events import (
    AttemptEnded,
    Event,
    EventBus,
    TaskAdopted,
    TaskClaimed,
    TaskPublished,
    TaskRetried,
    TaskStarted,
)
from godel_tasks.runtime import runtime_of
from godel_tasks.worker import celery_events as words
from godel_tasks.worker.celery_events import Claim
from godel_tasks.worker.event_sender import EventSender
from godel_tasks.worker.outlet import Outlet
from godel_tasks.worker.sampling import Sampler

_MIRRORED = (TaskClaimed, TaskAdopted, TaskStarted, TaskRetried, AttemptEnded, TaskPublished)
#: Ends of attempts after which a task waits, without a retry.
_WAITS = ("handed_back", "held")


class _Known:
    """What we know of a task. That it has started is kept only while it is hidden."""

    __slots__ = ("claim", "hidden", "started")

    def __init__(self, claim: Claim, hidden: bool) -> None:
        self.claim = claim
        self.hidden = hidden
        self.started: TaskStarted | None = None


class EventMirror:
    """`tasks_per_s` are shown in full; the last `remembers` claimed tasks are remembered, which
    should be more than are ever in flight."""

    def __init__(self, worker: Any, tasks_per_s: float, remembers: int) -> None:
        self._worker = worker
        self._sampler = Sampler(tasks_per_s)
        self._remembers = remembers
        self._tasks: dict[str, _Known] = {}
        self._wanted = False
        sender = EventSender(worker.app, worker.hostname)
        self.outlet = Outlet(sender, self._sampler, tasks_per_s)

    def watch(self, bus: EventBus) -> None:
        """Show what this bus tells of. Claims may come from one thread only."""
        bus.subscribe(self._on_event, *_MIRRORED, while_=self._is_wanted)

    def _is_wanted(self) -> bool:
        """Whether a monitor asked for events of tasks."""
        dispatcher = getattr(self._worker.consumer, "event_dispatcher", None)
        # A worker that drains or connects anew has none, and what was asked for holds.
        if dispatcher is not None:
            # Without -E only the group "worker" is sent; no groups at all means every one.
            self._wanted = not dispatcher.groups or "task" in dispatcher.groups
        return self._wanted

    def _on_event(self, event: Event) -> None:
        match event:
            case TaskClaimed():
                self._claimed(event)
            case TaskAdopted():
                # Whether the dead dispatcher showed it is not known: in doubt it is shown.
                self._remember(event, hidden=False)
                self.outlet.put(words.received(event))
            case TaskStarted():
                self._started(event)
            case TaskRetried():
                self._show(event, words.retried(event, self._claim_of(event)))
            case AttemptEnded(outcome=outcome) if outcome in _WAITS:
                self._waits_again(event)
            case TaskPublished():
                self._published(event)

    def _claimed(self, claim: TaskClaimed) -> None:
        # What went wrong once is followed to its end.
        shown = claim.attempt > 1 or self._sampler.shows(claim.task_id, time.monotonic())
        hidden = not (shown and self.outlet.has_room)
        self._remember(claim, hidden=hidden)
        if not hidden:
            self.outlet.put(words.received(claim))

    def _started(self, event: TaskStarted) -> None:
        known = self._tasks.get(event.task_id)
        if known is not None and known.hidden:
            known.started = event
        else:
            self.outlet.put([words.started(event, self._claim_of(event))])

    def _waits_again(self, event: AttemptEnded) -> None:
        known = self._tasks.get(event.task_id)
        if event.outcome == "held" or known is None or not known.hidden:
            self._show(event, *words.waits_again(event, self._claim_of(event)))

    def _published(self, event: TaskPublished) -> None:
        known = self._tasks.get(event.task_id)
        if event.state != "SUCCEEDED" or known is None or not known.hidden:
            self._show(event, *words.ended(event, self._claim_of(event)))
        self._tasks.pop(event.task_id, None)

    def _show(
        self, event: TaskRetried | AttemptEnded | TaskPublished, *events: words.CeleryEvent
    ) -> None:
        """And what was hidden of the task until now, so that it is whole."""
        known = self._tasks.get(event.task_id)
        before: list[words.CeleryEvent] = []
        if known is not None and known.hidden:
            known.hidden = False
            before = words.received(known.claim)
            if known.started is not None:
                before.append(words.started(known.started, known.claim))
        self.outlet.put([*before, *events])

    def _claim_of(
        self, event: TaskStarted | TaskRetried | AttemptEnded | TaskPublished
    ) -> Claim | None:
        known = self._tasks.get(event.task_id)
        return known.claim if known else None

    def _remember(self, claim: Claim, *, hidden: bool) -> None:
        self._tasks.pop(claim.task_id, None)
        self._tasks[claim.task_id] = _Known(claim, hidden)
        if len(self._tasks) > self._remembers:
            del self._tasks[next(iter(self._tasks))]


class MirrorStep(bootsteps.StartStopStep):
    """Shows monitors what a worker's dispatcher and its control jobs do, from its start to its
    end."""

    def __init__(self, worker: Any, **kwargs: Any) -> None:
        super().__init__(worker, **kwargs)
        settings = runtime_of(worker.app).settings
        mirror = EventMirror(worker, settings.flower_tasks_per_s, 2 * settings.max_in_flight)
        mirror.watch(worker.app.job_events)
        worker.godel_mirror = mirror
        self._outlet = mirror.outlet

    def start(self, _worker: Any) -> None:
        self._outlet.start()

    def stop(self, _worker: Any) -> None:
        self._outlet.stop()

    def terminate(self, _worker: Any) -> None:
        self._outlet.stop()
