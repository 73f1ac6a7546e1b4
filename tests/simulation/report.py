"""What a round says of itself, and where its results go."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Sequence
from dataclasses import dataclass, field

from godel_tasks.errors import StoreUnavailable
from tests.simulation.oracle import Oracle
from tests.simulation.process import SimProcess
from tests.simulation.server import SimServer


@dataclass
class Round:
    """What a round did and what was wrong with it."""

    seed: int
    tasks: int = 0
    commands: int = 0
    deaths: int = 0
    stalls: int = 0
    virtual_s: float = 0.0
    problems: list[str] = field(default_factory=list)

    def __str__(self) -> str:
        what = "; ".join(self.problems[:3]) or "all well"
        return (
            f"seed {self.seed}: {self.tasks} tasks, {self.commands} commands, "
            f"{self.deaths} deaths, {self.virtual_s:.0f} s: {what}"
        )


class Sink:
    """Where results go: told to the oracle, with faults of its own."""

    def __init__(
        self, server: SimServer, process: SimProcess, oracle: Oracle, rng: random.Random
    ) -> None:
        self._server, self._process, self._oracle, self._rng = server, process, oracle, rng

    async def publish(self, results: Sequence[tuple[str, bytes]]) -> None:
        if self._process.ghost:
            raise asyncio.CancelledError
        faults = self._server.faults
        await asyncio.sleep(self._rng.random() * faults.slowest_s)
        if self._rng.random() < faults.lost_request:
            raise StoreUnavailable("the results were lost")
        self._oracle.note_published(results)
        if self._rng.random() < faults.kill:
            self._process.kill()
        await asyncio.sleep(self._rng.random() * faults.slowest_s)
        if self._rng.random() < faults.lost_reply:
            raise StoreUnavailable("the answer was lost")
