"""A load that goes on beside whatever is done to the fleet, and what became of all of it."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import time
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field

import redis.asyncio

from benchmarks.e2e import missing
from benchmarks.world import World
from godel_tasks.submission import submit_many

#: Seconds between two looks at how much is to be submitted.
EVERY_S = 0.1
#: Most tasks in one submit.
BATCH = 500


@dataclass
class Answers:
    """Every result that was announced: which instance's it was, its differing versions, and which
    tasks did not succeed."""

    settled_on: dict[str, str] = field(default_factory=dict)
    versions: dict[str, set[str]] = field(default_factory=dict)
    failed: set[str] = field(default_factory=set)

    def add(self, data: bytes) -> None:
        meta = json.loads(data)
        task_id = meta["task_id"]
        self.settled_on[task_id] = meta.get("godel", {}).get("instance", "")
        if meta["status"] != "SUCCESS":
            self.failed.add(task_id)
        self.versions.setdefault(task_id, set()).add(hashlib.sha256(data).hexdigest())

    @property
    def doubled(self) -> int:
        """Tasks of which differing results were announced."""
        return sum(len(versions) > 1 for versions in self.versions.values())


@contextlib.asynccontextmanager
async def listening(url: str) -> AsyncIterator[Answers]:
    """What the result server announces while the block runs."""
    answers = Answers()
    async with redis.asyncio.Redis.from_url(url) as client, client.pubsub() as pubsub:
        await pubsub.psubscribe("celery-task-meta-*")

        async def listen() -> None:
            async for message in pubsub.listen():
                if message["type"] == "pmessage":
                    answers.add(message["data"])

        listener = asyncio.ensure_future(listen())
        try:
            yield answers
        finally:
            listener.cancel()
            await asyncio.wait({listener})


class Load:
    """Submits for all tenants in turns; `wanted(load)` says how many tasks are due now."""

    def __init__(
        self, w: World, payload: Callable[[int], object], wanted: Callable[[Load], int]
    ) -> None:
        self._world = w
        self._payload = payload
        self._wanted = wanted
        self._task: asyncio.Task[None] | None = None
        self.ids: list[str] = []
        self.refused = 0

    def start(self) -> None:
        self._task = asyncio.ensure_future(self._run())

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            task.cancel()
            await asyncio.wait({task})
            if not task.cancelled():
                task.result()

    async def _run(self) -> None:
        tenants = self._world.tenants
        while True:
            first = len(self.ids) + self.refused
            items = [
                {"tenant_id": tenants[n % len(tenants)], "payload": self._payload(n)}
                for n in range(first, first + min(BATCH, self._wanted(self)))
            ]
            if items:
                # Not the default app's: it keeps the server of the first world.
                submissions = submit_many(self._world.runtime, items)
                self.ids += [s.task_id for s in submissions if s.ok]
                self.refused += sum(not s.ok for s in submissions)
            await asyncio.sleep(EVERY_S)

    async def unsettled(self, timeout_s: float) -> int:
        """How many are without a readable result, once all should have one."""
        ends_at = time.monotonic() + timeout_s
        while (left := missing(self._world, self.ids)) and time.monotonic() < ends_at:
            await asyncio.sleep(0.2)
        return left + self.refused

    def extra_settlements(self) -> int:
        """Ends that the cell counted beyond one per task."""
        cell = self._world.runtime.cells[0]
        statuses = self._world.runtime.store.pipeline(
            [cell.tenants.status(name) for name in self._world.tenants]
        )
        ends: int = sum(s.succeeded + s.failed + s.expired + s.cancelled for s in statuses if s)
        return max(0, ends - len(self.ids))


def keeping(w: World, backlog: int) -> Callable[[Load], int]:
    """So many tasks always wait: every slot that becomes free is taken at once."""
    cell = w.runtime.cells[0]

    def wanted(_: Load) -> int:
        statuses = w.runtime.store.pipeline([cell.tenants.status(name) for name in w.tenants])
        waiting: int = sum(status.depth for status in statuses if status)
        return max(0, backlog - waiting)

    return wanted


def steady(per_s: float) -> Callable[[Load], int]:
    """So many tasks a second."""
    began = time.monotonic()

    def wanted(load: Load) -> int:
        return int((time.monotonic() - began) * per_s) - len(load.ids) - load.refused

    return wanted
