"""StandingConnection: what every connection's start and stop have in common."""

from __future__ import annotations

import asyncio
from abc import abstractmethod

from godel_tasks.instances.background import end_task
from godel_tasks.instances.instance import Connection


class StandingConnection(Connection):
    """A task that connects, serves until the line breaks, waits, and connects again."""

    def __init__(self, endpoint: str) -> None:
        self._endpoint = endpoint
        self._task: asyncio.Task[None] | None = None

    @property
    def endpoint(self) -> str:
        return self._endpoint

    async def start(self) -> None:
        if self._task is None:
            self._task = asyncio.get_running_loop().create_task(self._run())

    async def stop(self) -> None:
        task, self._task = self._task, None
        if task is not None:
            await end_task(task)
        await self._fall()

    @abstractmethod
    async def _run(self) -> None:
        """Until it is cancelled."""

    @abstractmethod
    async def _fall(self) -> None:
        """The line is gone: let go of what belonged to it. Idempotent."""
