"""kill -9, at a moment when it hurts, and a note of what it hit."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from collections.abc import Awaitable, Callable
from pathlib import Path

from godel_tasks.demo.house import House
from godel_tasks.demo.journal import Journal
from godel_tasks.demo.plan import LEAST_HELD
from godel_tasks.demo.processes import executions_of
from godel_tasks.errors import GodelError

#: Seconds to find the victim at work, and between two tries.
FIND_TIMEOUT_S = 5.0
FIND_EVERY_S = 0.02

Work = Callable[[], Awaitable[list[str]]]


class Killer:
    """Kills instances and dispatchers of a house while they hold running tasks."""

    def __init__(self, house: House) -> None:
        self._house = house
        self._journal = Journal(house.site.journals / "kills.jsonl")

    def close(self) -> None:
        self._journal.close()

    async def instance(self, name: str) -> int:
        """Kill an instance that runs something; how many tasks it ran."""
        path = executions_of(self._house.site, name)
        return await self._kill("instance", name, lambda: asyncio.to_thread(running_in, path))

    async def dispatcher(self, name: str) -> int:
        """Kill a dispatcher that holds something; how many tasks it held."""
        return await self._kill("dispatcher", name, lambda: held_by(self._house, name))

    async def _kill(self, kind: str, name: str, work: Work) -> int:
        """The victim is stopped for as long as it takes to see what it holds, so that it is seen
        for sure."""
        deadline = time.monotonic() + FIND_TIMEOUT_S
        while time.monotonic() < deadline:
            self._house.supervisor.signal(name, signal.SIGSTOP)
            try:
                ids = await work()
                if len(ids) >= LEAST_HELD:
                    self._kill_now(kind, name, ids)
                    return len(ids)
            finally:
                self._house.supervisor.signal(name, signal.SIGCONT)
            await asyncio.sleep(FIND_EVERY_S)
        raise GodelError(
            f"{name} never held {LEAST_HELD} running tasks, so killing it would show nothing",
            hint="use more --tasks",
        )

    def _kill_now(self, kind: str, name: str, ids: list[str]) -> None:
        self._house.killed.add(name)
        at = time.time_ns() // 1_000_000
        self._house.supervisor.signal(name, signal.SIGKILL)
        self._journal.append({"kind": kind, "target": name, "at": at, "affected": ids})
        self._journal.commit()


async def held_by(house: House, process: str) -> list[str]:
    """Tasks that a dispatcher process holds, as Redis has it."""
    ids: list[str] = []
    for cell in house.runtime.cells:
        for name in await house.store.run(cell.lookup.dispatchers()):
            if name.startswith(f"{process}@"):
                held = await house.store.run(cell.leases.held(dispatcher=name))
                ids += [task.record.task_id for task in held]
    return ids


def running_in(journal: Path) -> list[str]:
    """Tasks that an instance has started and not ended, by its own journal."""
    running: dict[tuple[str, int], None] = {}
    for line in journal.read_text(encoding="utf-8").splitlines():
        event = json.loads(line)
        key = (event["id"], event["attempt"])
        if event["event"] == "start":
            running[key] = None
        else:
            running.pop(key, None)
    return [task_id for task_id, _ in running]
