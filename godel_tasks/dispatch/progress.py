"""ProgressWriter: what running attempts have said so far, kept where people can read it."""

from __future__ import annotations

import asyncio

from godel_tasks.dispatch.config import CellStore, Ports
from godel_tasks.dispatch.flights import Flight, Flights
from godel_tasks.domain.attempt import Progress
from godel_tasks.errors import StoreError
from godel_tasks.events import TaskProgressed

#: Words are written at most so often; of each task only the newest.
WRITE_EVERY_S = 0.25
#: Characters of a text that are kept: its end.
KEEP_TEXT = 65_536


class ProgressWriter:
    """Progress is worth less than anything else: what cannot be written is dropped."""

    def __init__(self, ports: Ports, flights: Flights) -> None:
        self._ports = ports
        self._flights = flights
        self._newest: dict[str, tuple[Flight, Progress]] = {}
        self._filled = asyncio.Event()

    def add(self, flight: Flight, progress: Progress) -> None:
        self._newest[flight.task_id] = (flight, progress)
        self._filled.set()

    async def run(self) -> None:
        while True:
            await self._filled.wait()
            await self._ports.clock.sleep(WRITE_EVERY_S)
            self._filled.clear()
            await self._write()

    async def _write(self) -> None:
        newest, self._newest = self._newest, {}
        cells = {cell.cell: cell for cell in self._ports.cells}
        by_cell: dict[int, list[Progress]] = {}
        for flight, progress in newest.values():
            # Somebody else's by now, or ended: its result says more.
            if self._flights.get(flight.task_id) is flight and not flight.settling:
                by_cell.setdefault(flight.cell, []).append(progress)
        for number, batch in by_cell.items():
            await self._write_cell(cells[number], batch)

    async def _write_cell(self, cell: CellStore, batch: list[Progress]) -> None:
        at_ms = self._ports.clock.wall_ms()
        try:
            await self._ports.store.pipeline(
                [cell.progress.put(p, keep_text=KEEP_TEXT, at_ms=at_ms) for p in batch]
            )
        except StoreError:
            # Refused, too: the newest words are tried when there are some. Nobody dies of it.
            return
        if self._ports.bus.wanted(TaskProgressed):
            for p in batch:
                self._ports.bus.emit(
                    TaskProgressed(p.task_id, p.attempt, p.instance_id, len(p.text), at_ms / 1000)
                )
