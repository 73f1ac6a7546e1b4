"""Settler: decided ends are stored, a batch per cell, in one fenced script each."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from godel_tasks.dispatch.config import CellStore, Ports
from godel_tasks.dispatch.flights import Flight
from godel_tasks.dispatch.insist import insist
from godel_tasks.dispatch.outcome import Outcome
from godel_tasks.dispatch.publisher import Publisher
from godel_tasks.store.queue import Settlement, Verb

_BATCH = 500
#: Seconds that ends are collected while many tasks are in flight: one script for many of them.
COALESCE_S = 0.002


class Settler:
    """One writer per cell: batches of one dispatcher follow each other, numbered.

    `on_settled(flight, outcome, ours)` is told of each; `ours` is False when the fence
    refused it, because somebody else owns the task now.
    """

    def __init__(
        self,
        ports: Ports,
        dispatcher: str,
        publisher: Publisher,
        on_settled: Callable[[Flight, Outcome | None, bool], None],
        busy: Callable[[], bool],
    ) -> None:
        self._ports = ports
        self._dispatcher = dispatcher
        self._publisher = publisher
        self._on_settled = on_settled
        self._busy = busy
        self._queues: dict[int, list[tuple[Flight, Settlement, Outcome | None]]] = {
            cell.cell: [] for cell in ports.cells
        }
        self._work = {cell.cell: asyncio.Event() for cell in ports.cells}
        self._idle = {cell.cell: asyncio.Event() for cell in ports.cells}
        for idle in self._idle.values():
            idle.set()

    def add(self, flight: Flight, settlement: Settlement, outcome: Outcome | None) -> None:
        """Store this end soon. Each flight is given once."""
        flight.settling = True
        self._queues[flight.cell].append((flight, settlement, outcome))
        self._idle[flight.cell].clear()
        self._work[flight.cell].set()

    async def run(self, cell: CellStore) -> None:
        """The cell's writer."""
        queue, work = self._queues[cell.cell], self._work[cell.cell]
        sequence = 0
        while True:
            await work.wait()
            if self._busy():
                await self._ports.clock.sleep(COALESCE_S)
            work.clear()
            while queue:
                batch, queue[:] = queue[:_BATCH], queue[_BATCH:]
                sequence += 1
                await self._settle(cell, sequence, batch)
            if not work.is_set():
                self._idle[cell.cell].set()

    async def drained(self) -> None:
        """Wait until nothing is left to settle."""
        for idle in self._idle.values():
            await idle.wait()

    async def _settle(
        self,
        cell: CellStore,
        sequence: int,
        batch: list[tuple[Flight, Settlement, Outcome | None]],
    ) -> None:
        settlements = [settlement for _, settlement, _ in batch]
        answers = await insist(
            self._ports,
            lambda: cell.queue.settle(
                dispatcher=self._dispatcher, sequence=sequence, settlements=settlements
            ),
        )
        outcomes = {
            flight.task_id: outcome
            for (flight, settlement, outcome), ours in zip(batch, answers, strict=True)
            if ours and outcome is not None and settlement.verb is Verb.TERMINAL
        }
        if outcomes:
            self._publisher.add(cell.cell, outcomes)
        for (flight, _, outcome), ours in zip(batch, answers, strict=True):
            self._on_settled(flight, outcome, ours)
