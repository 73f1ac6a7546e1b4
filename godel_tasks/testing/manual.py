"""ManualDispatcher: claims, settles and publishes when it is told to, by the real scripts."""

from __future__ import annotations

from dataclasses import replace

from celery import Celery

from godel_tasks.canvas.following import Follower
from godel_tasks.dispatch.config import CellStore
from godel_tasks.dispatch.flights import Flight, delivery_of
from godel_tasks.dispatch.verdict import settlement_of
from godel_tasks.domain.attempt import Completion, Delivery
from godel_tasks.domain.task import OnUncertain, TaskState
from godel_tasks.errors import TaskNotFound, TaskStateConflict
from godel_tasks.policy.retry import CancelCause, decide
from godel_tasks.runtime import Runtime
from godel_tasks.store.queue import Settlement, SlotRange, Verb
from godel_tasks.store.records import HeldTask
from godel_tasks.worker.jobs import PUBLISHER, reap

#: The instance that all attempts seem to run on.
INSTANCE = "offline"
#: Tenants may be as far behind as they like.
_MAX_LAG = 1e15
_LEASE_MS = 60_000


class ManualDispatcher:
    """Not safe to share between threads: its owner has a lock."""

    def __init__(self, runtime: Runtime, app: Celery) -> None:
        """What follows a task's end goes out through `app`."""
        self._runtime = runtime
        self._follower = Follower(app)
        self._config = runtime.dispatch_config()
        # The control job publishes what this one leaves in its outbox.
        self._name = PUBLISHER
        self._batch = 0
        self._sequence = 0

    def next(self) -> Flight | None:
        """The task whose turn it is, claimed; None when nothing waits."""
        for cell in self._runtime.cells:
            for held in self._claim(cell, 1):
                return _flight(cell, held)
        return None

    def take(self, task_id: str) -> Flight:
        """One task, claimed out of its turn; the others keep their places.

        Raises:
            TaskNotFound: no such task is known.
            TaskStateConflict: it does not wait.
        """
        for cell in self._runtime.cells:
            entry = self._runtime.store.run(cell.lookup.entry(task_id))
            if entry is None:
                continue
            if entry.state is not TaskState.WAITING:
                raise TaskStateConflict(
                    f"task {task_id} is {entry.state.value}, so nobody can run it now",
                    hint="godel.advance(seconds) makes delayed tasks due",
                )
            return self._take_from(cell, task_id)
        for cell in self._runtime.cells:
            ended = self._runtime.store.run(cell.lookup.settled(task_id))
            if ended is not None:
                raise TaskStateConflict(f"task {task_id} was settled already: {ended.value}")
        raise TaskNotFound(f"no task {task_id} is known", hint="see godel.submitted")

    def delivery(self, flight: Flight) -> Delivery:
        """What its instance would get."""
        body = flight.held.record.body
        timeout_ms = body.timeout_ms or self._config.attempt_timeout_ms
        return delivery_of(flight, timeout_ms=timeout_ms)

    def settle(self, flight: Flight, completion: Completion, *, last: bool) -> None:
        """The end of an attempt: what follows is decided as in production, but for the waiting
        between attempts. `last`: there is no other attempt."""
        record = flight.held.record
        decision = decide(
            completion,
            max_attempts=record.attempt if last else record.body.max_attempts,
            on_uncertain=OnUncertain.RETRY,
            cancel_cause=CancelCause.NONE,
            past_deadline=False,
            rules=self._config.retry,
            jitter=0.0,
        )
        now_ms = self._runtime.store.run(self._runtime.registry.fleet()).now_ms
        settlement, _ = settlement_of(
            flight, completion, replace(decision, after_s=0.0), at_ms=now_ms, hold_for_ms=0
        )
        self._settle(self._runtime.cells[flight.cell], [settlement])
        self.publish()

    def publish(self) -> None:
        """Publish what has ended, results and what else follows."""
        while reap(self._runtime, follower=self._follower):
            pass

    def _take_from(self, cell: CellStore, task_id: str) -> Flight:
        others: list[HeldTask] = []
        found: HeldTask | None = None
        count = 1
        while found is None:
            claimed = self._claim(cell, count)
            found = next((held for held in claimed if held.record.task_id == task_id), None)
            others += [held for held in claimed if held is not found]
            if not claimed:
                break
            count = min(2 * count, 500)
        back = [Settlement(h.record.task_id, h.epoch, Verb.BACK, h.estimate_ms) for h in others]
        if back:
            self._settle(cell, back)
        if found is None:
            raise TaskStateConflict(f"task {task_id} expired as it was looked for")
        return _flight(cell, found)

    def _claim(self, cell: CellStore, count: int) -> tuple[HeldTask, ...]:
        store = self._runtime.store
        classes, _ = store.pipeline(
            [
                cell.leases.classes(),
                cell.leases.renew(dispatcher=self._name, lease_ms=_LEASE_MS),
            ]
        )
        self._batch += 1
        reply = store.run(
            cell.queue.claim(
                dispatcher=self._name,
                batch=self._batch,
                max_take=count,
                ageing_ms=self._config.ageing_step_ms,
                max_lag=_MAX_LAG,
                slots=[SlotRange(INSTANCE, 1, 1, count)],
                preferences={name: [0] for name in classes},
            )
        )
        return reply.tasks

    def _settle(self, cell: CellStore, settlements: list[Settlement]) -> None:
        self._sequence += 1
        self._runtime.store.run(
            cell.queue.settle(
                dispatcher=self._name, sequence=self._sequence, settlements=settlements
            )
        )


def _flight(cell: CellStore, held: HeldTask) -> Flight:
    return Flight(cell.cell, held, "", may_have_run=True)
