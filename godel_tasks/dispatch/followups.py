"""Followups: what follows from published ends is done beside the publisher, on a thread, and only
then their outbox entries go.

Celery's producers block. A step that has to wait (no room in a queue, a broker that is away) is
tried again, and holds up nothing else.
"""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor

from godel_tasks.dispatch.config import CellStore, Ports
from godel_tasks.dispatch.insist import insist_all
from godel_tasks.dispatch.outcome import Outcome
from godel_tasks.errors import WorkerError

_FIRST_PAUSE_S = 0.1
_LONGEST_PAUSE_S = 5.0


class Followups:
    """Of one dispatcher's outboxes. `run` raises what `follow` raises: a bug."""

    def __init__(self, ports: Ports, dispatcher: str) -> None:
        self._ports = ports
        self._dispatcher = dispatcher
        self._queue: asyncio.Queue[tuple[CellStore, str, Outcome, bytes]] = asyncio.Queue()
        self._known: dict[int, set[str]] = {}
        self._at_work = 0
        self._idle = asyncio.Event()
        self._idle.set()

    def add(self, cell: CellStore, task_id: str, outcome: Outcome, canvas: bytes) -> None:
        """The end of a task that is published."""
        known = self._known.setdefault(cell.cell, set())
        if task_id not in known:
            known.add(task_id)
            self._begin()
            self._queue.put_nowait((cell, task_id, outcome, canvas))

    def known(self, cell: int) -> set[str]:
        """Tasks whose following is not done."""
        return self._known.get(cell, set())

    async def drained(self) -> None:
        """Wait until everything was tried; what has to wait is left to who reaps us."""
        await self._idle.wait()

    async def run(self) -> None:
        pool = ThreadPoolExecutor(1, thread_name_prefix="godel-canvas")
        try:
            async with asyncio.TaskGroup() as group:
                while True:
                    cell, task_id, outcome, canvas = await self._queue.get()
                    group.create_task(self._follow(pool, cell, task_id, outcome, canvas))
        finally:
            # Not waited for: whatever it is at may be done again.
            pool.shutdown(wait=False, cancel_futures=True)

    async def _follow(
        self,
        pool: ThreadPoolExecutor,
        cell: CellStore,
        task_id: str,
        outcome: Outcome,
        canvas: bytes,
    ) -> None:
        follower = self._ports.follower
        if follower is None:
            raise WorkerError(f"something follows {task_id}, and this dispatcher cannot do it")
        loop = asyncio.get_running_loop()
        pause = _FIRST_PAUSE_S
        while not await loop.run_in_executor(pool, follower.follow, task_id, outcome, canvas):
            self._end()
            await self._ports.clock.sleep(pause * (0.5 + self._ports.rng.random()))
            pause = min(pause * 2, _LONGEST_PAUSE_S)
            self._begin()
        leases = cell.leases
        await insist_all(
            self._ports,
            lambda: [
                leases.forget_canvas(task_ids=[task_id]),
                leases.acknowledge_outbox(dispatcher=self._dispatcher, task_ids=[task_id]),
            ],
        )
        self._known[cell.cell].discard(task_id)
        self._end()

    def _begin(self) -> None:
        self._at_work += 1
        self._idle.clear()

    def _end(self) -> None:
        self._at_work -= 1
        if not self._at_work:
            self._idle.set()
