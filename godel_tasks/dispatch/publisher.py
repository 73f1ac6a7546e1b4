"""Publisher: what follows from an outcome is done, and only then its outbox entry goes.

Publishing is at least once with the same bytes: whoever owns the entry repeats it until it is
acknowledged.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from itertools import islice

from godel_tasks.dispatch.config import CellStore, Ports
from godel_tasks.dispatch.followups import Followups
from godel_tasks.dispatch.insist import insist
from godel_tasks.dispatch.outcome import Outcome, celery_meta, decode_outcome
from godel_tasks.dispatch.telling import tell_published
from godel_tasks.errors import StoreUnavailable

_BATCH = 500
_PAUSE_S = 0.1


class Publisher:
    """Drains what this dispatcher's outboxes hold, a batch at a time."""

    def __init__(self, ports: Ports, dispatcher: str) -> None:
        self._ports = ports
        self._dispatcher = dispatcher
        self._pending: dict[int, dict[str, Outcome]] = {}
        #: Entries of the last look that we did not know of.
        self._strangers: dict[int, frozenset[str]] = {}
        self._work = asyncio.Event()
        self._idle = asyncio.Event()
        self._idle.set()
        self.followups = Followups(ports, dispatcher)

    def add(self, cell: int, outcomes: Mapping[str, Outcome]) -> None:
        """Outcomes whose entries are in this dispatcher's outbox already."""
        self._pending.setdefault(cell, {}).update(outcomes)
        self._idle.clear()
        self._work.set()

    async def take_over(self, cell: CellStore, source: str | None = None) -> None:
        """Make the shared outbox's entries (or a dead dispatcher's) ours, all of them."""
        leases = cell.leases
        while True:
            entries = await insist(
                self._ports,
                lambda: (
                    leases.take_outbox(dispatcher=self._dispatcher)
                    if source is None
                    else leases.take_outbox(dispatcher=self._dispatcher, source=source)
                ),
            )
            if not entries:
                return
            self.add(
                cell.cell, {task_id: decode_outcome(entry) for task_id, entry in entries.items()}
            )

    async def recover(self, cell: CellStore) -> None:
        """Publish entries that are ours without our knowing: the reply that named them was lost,
        or settle itself ended the task (it was to be cancelled). Seen at two looks in a row, for
        what is seen once is mostly on its way."""
        entries = await insist(
            self._ports, lambda: cell.leases.own_outbox(dispatcher=self._dispatcher)
        )
        known = self._pending.get(cell.cell, {}).keys() | self.followups.known(cell.cell)
        strange = entries.keys() - known
        again = strange & self._strangers.get(cell.cell, frozenset())
        self._strangers[cell.cell] = frozenset(strange)
        if again:
            self.add(cell.cell, {i: decode_outcome(entries[i]) for i in again})

    async def run(self) -> None:
        while True:
            await self._work.wait()
            self._work.clear()
            for cell in self._ports.cells:
                while self._pending.get(cell.cell):
                    await self._publish(cell)
            if not self._work.is_set():
                self._idle.set()

    async def drained(self) -> None:
        """Wait until nothing is left to publish, and what can follow now has followed."""
        await self._idle.wait()
        await self.followups.drained()

    async def _publish(self, cell: CellStore) -> None:
        pending = self._pending[cell.cell]
        batch = dict(islice(pending.items(), _BATCH))
        canvas = await self._canvas(cell, batch)
        results = [
            (task_id, celery_meta(task_id, outcome, canvas.get(task_id, b"")))
            for task_id, outcome in batch.items()
            if not outcome.ignore_result
        ]
        while results:
            try:
                await self._ports.sink.publish(results)
                break
            except StoreUnavailable:
                await self._ports.clock.sleep(_PAUSE_S)
        for task_id, what in canvas.items():
            self.followups.add(cell, task_id, batch[task_id], what)
        done = [task_id for task_id in batch if task_id not in canvas] if canvas else list(batch)
        if done:
            await insist(
                self._ports,
                lambda: cell.leases.acknowledge_outbox(dispatcher=self._dispatcher, task_ids=done),
            )
        for task_id in batch:
            pending.pop(task_id, None)
        tell_published(self._ports.bus, batch, self._ports.clock.wall_ms() / 1000)

    async def _canvas(self, cell: CellStore, batch: Mapping[str, Outcome]) -> dict[str, bytes]:
        followed = [task_id for task_id, outcome in batch.items() if outcome.followed]
        if not followed:
            return {}
        return await insist(self._ports, lambda: cell.leases.canvas(task_ids=followed))
