"""The runner: keeps a bounded window of tasks in flight, and writes their ends as they come."""

from __future__ import annotations

import contextlib
import time
from collections import Counter, deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING

from godel_tasks.cli.running.results import ResultFile
from godel_tasks.cli.running.source import Line, LineSource
from godel_tasks.errors import QueueFull, ResultExpired, StoreUnavailable, TaskNotFound
from godel_tasks.store.feed import ResultFeed
from godel_tasks.submission import SCRIPT_BATCH, submit_many
from godel_tasks.views.results import Ending, ending_of, endings

if TYPE_CHECKING:
    from godel_tasks.cli.running.progress import Progress
    from godel_tasks.runtime import Runtime

#: Seconds between looks at the results themselves, in case a message was missed.
_SWEEP_EVERY_S = 2.0
#: Seconds that a task may be neither unsettled nor have a result, before it counts as lost.
_PUBLISH_PATIENCE_S = 10.0
#: Seconds to wait for messages when nothing can be submitted now.
_READ_S = 0.1
#: Seconds that Redis may be away.
_STORE_PATIENCE_S = 60.0
_SWEEP_BATCH = 1000


class Runner:
    """One run. It may be cut off at any point: what was accepted is known by its id to the next
    run."""

    def __init__(
        self,
        runtime: Runtime,
        source: LineSource,
        results: ResultFile,
        *,
        window: int,
        progress: Progress,
        stop: Callable[[], bool] = lambda: False,
    ) -> None:
        self._runtime = runtime
        self._lines = self._fresh(source)
        self._more = True
        self._results = results
        self._window = window
        self._progress = progress
        self._stop = stop
        #: Read and not accepted yet, by tenant, in order.
        self._queues: dict[str, deque[Line]] = {}
        #: Until when a full queue is left alone.
        self._not_before: dict[str, float] = {}
        #: Accepted: task id → the lines that it stands for (one, unless ids repeat).
        self._flying: dict[str, list[int]] = {}
        self._gone_since: dict[str, float] = {}
        self._next_sweep = 0.0

    def run(self) -> None:
        """Until every line has a result, or `stop` says so.

        Raises:
            StoreUnavailable: for longer than a minute.
        """
        with contextlib.closing(ResultFeed(self._runtime.urls.result)) as feed:
            away_since = 0.0
            while (self._more or self._queued or self._flying) and not self._stop():
                try:
                    if away_since:
                        feed.reopen()
                        self._next_sweep = 0.0
                    self._step(feed)
                    away_since = 0.0
                except StoreUnavailable:
                    away_since = away_since or time.monotonic()
                    if time.monotonic() - away_since > _STORE_PATIENCE_S:
                        raise
                    self._show("Redis does not answer; waiting for it")
                    time.sleep(1.0)

    def _step(self, feed: ResultFeed) -> None:
        self._read_lines()
        sent = self._submit(feed)
        busy = sent and (self._more or self._queued) and len(self._flying) < self._window
        self._take(feed, feed.read(0.0 if busy else _READ_S))
        if time.monotonic() >= self._next_sweep:
            self._sweep(feed)
            self._next_sweep = time.monotonic() + _SWEEP_EVERY_S
        self._results.flush()
        self._show(self._waiting_for())

    # -- in ----------------------------------------------------------------------------------

    def _fresh(self, source: LineSource) -> Iterator[Line]:
        return (line for line in source.lines() if not self._results.has(line.number))

    @property
    def _queued(self) -> int:
        return sum(map(len, self._queues.values()))

    def _read_lines(self) -> None:
        room = self._window - len(self._flying) - self._queued
        while room > 0 and self._more:
            line = next(self._lines, None)
            if line is None:
                self._more = False
            elif line.error is not None:
                self._results.refused(line.number, line.task_id, line.error)
            elif line.request is not None:
                self._queues.setdefault(str(line.request.tenant_id), deque()).append(line)
                room -= 1

    def _submit(self, feed: ResultFeed) -> bool:
        """A batch of each tenant that is not to be left alone; whether there was any."""
        now, sent = time.monotonic(), False
        for tenant_id, queue in self._queues.items():
            if queue and self._not_before.get(tenant_id, 0.0) <= now:
                self._submit_batch(feed, tenant_id, queue)
                sent = True
        return sent

    def _submit_batch(self, feed: ResultFeed, tenant_id: str, queue: deque[Line]) -> None:
        batch = [queue[i] for i in range(min(SCRIPT_BATCH, len(queue)))]
        # Before they are submitted: an end that comes at once is heard, too.
        feed.watch([line.task_id for line in batch])
        requests = [line.request for line in batch if line.request is not None]
        outcomes = submit_many(self._runtime, requests)
        full: list[Line] = []
        for line, outcome in zip(batch, outcomes, strict=True):
            queue.popleft()
            if outcome.error is None:
                self._flying.setdefault(line.task_id, []).append(line.number)
            elif isinstance(outcome.error, QueueFull):
                full.append(line)
                wait_s = outcome.error.retry_after_s
                self._not_before[tenant_id] = time.monotonic() + wait_s
            else:
                self._results.refused(line.number, line.task_id, outcome.error)
        queue.extendleft(reversed(full))
        # Accepted by an earlier run, some may have ended already.
        accepted = [line.task_id for line in batch if line.task_id in self._flying]
        self._settle(feed, endings(self._runtime, accepted))

    # -- out ---------------------------------------------------------------------------------

    def _take(self, feed: ResultFeed, stored: dict[str, bytes]) -> None:
        found = {task_id: ending_of(data) for task_id, data in stored.items()}
        self._settle(feed, {i: ending for i, ending in found.items() if ending is not None})

    def _settle(self, feed: ResultFeed, found: dict[str, Ending]) -> None:
        done = [task_id for task_id in found if task_id in self._flying]
        for task_id in done:
            for number in self._flying.pop(task_id):
                self._results.settled(number, task_id, found[task_id])
            self._gone_since.pop(task_id, None)
        if done:
            feed.forget(done)

    def _sweep(self, feed: ResultFeed) -> None:
        """Look at the results of all that fly; and for those that are nowhere."""
        for batch in _batches(self._flying):
            self._settle(feed, endings(self._runtime, batch))
            missing = [task_id for task_id in batch if task_id in self._flying]
            self._look_for_gone(feed, missing)

    def _look_for_gone(self, feed: ResultFeed, task_ids: list[str]) -> None:
        now = time.monotonic()
        present = self._present(task_ids)
        for task_id in task_ids:
            if task_id in present:
                self._gone_since.pop(task_id, None)
                continue
            since = self._gone_since.setdefault(task_id, now)
            if now - since > _PUBLISH_PATIENCE_S:
                error = self._why_gone(task_id)
                for number in self._flying.pop(task_id):
                    self._results.lost(number, task_id, error)
                self._gone_since.pop(task_id)
                feed.forget([task_id])

    def _present(self, task_ids: list[str]) -> set[str]:
        """Those that a cell has as unsettled."""
        found: set[str] = set()
        for cell in self._runtime.cells:
            entries = self._runtime.store.pipeline([cell.lookup.entry(i) for i in task_ids])
            found.update(i for i, entry in zip(task_ids, entries, strict=True) if entry)
        return found

    def _why_gone(self, task_id: str) -> ResultExpired | TaskNotFound:
        for cell in self._runtime.cells:
            state = self._runtime.store.run(cell.lookup.settled(task_id))
            if state is not None:
                return ResultExpired(
                    f"it ended as {state.value}, and its result is no longer kept",
                    hint="give --again NAME to run it anew",
                )
        return TaskNotFound("it was accepted, and is not known any more", hint="give --resume")

    # -- told --------------------------------------------------------------------------------

    def _show(self, said: str) -> None:
        self._progress(self._results.total, said)

    def _waiting_for(self) -> str:
        full = Counter(
            tenant_id
            for tenant_id, queue in self._queues.items()
            if queue and self._not_before.get(tenant_id, 0.0) > time.monotonic()
        )
        if full:
            return f"the queue of {', '.join(sorted(full))} is full; waiting for room"
        return f"{len(self._flying):,} in flight"


def _batches(ids: Iterable[str]) -> Iterator[list[str]]:
    listed = list(ids)
    for i in range(0, len(listed), _SWEEP_BATCH):
        yield listed[i : i + _SWEEP_BATCH]
