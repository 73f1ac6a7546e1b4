"""Signals: what this dispatcher sees of each instance's attempts, told to who judges its health.

Counted as attempts end, written once a second: one script for each instance where something ended.
What is counted when the dispatcher dies is lost; health is about shares of many.
"""

from __future__ import annotations

from collections import Counter

from godel_tasks.dispatch.config import Ports
from godel_tasks.dispatch.flights import Flight
from godel_tasks.domain.attempt import Completion, End
from godel_tasks.errors import StoreUnavailable
from godel_tasks.instances.attempts import Refusal
from godel_tasks.store.health import HealthCommands

#: Seconds between two writes.
WRITE_EVERY_S = 1.0


class Signals:
    """Counters by registration (instance and generation)."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self._health = HealthCommands(ports.registry.now_ms)
        self._counts: dict[tuple[str, int], Counter[str]] = {}

    def ended(self, flight: Flight, completion: Completion) -> None:
        """An attempt has come to an end, or was refused."""
        name = _name(completion)
        if not name or (completion.end is not End.REJECTED and not flight.may_have_run):
            return
        registration = (flight.held.instance_id, flight.held.generation)
        counts = self._counts.get(registration)
        if counts is None:
            counts = self._counts[registration] = Counter()
        counts[name] += 1
        counts["run_ms"] += int(completion.run_ms)

    async def run(self) -> None:
        while True:
            await self._ports.clock.sleep(WRITE_EVERY_S * (0.9 + 0.2 * self._ports.rng.random()))
            await self.write()

    async def write(self) -> None:
        """Tell what was counted since the last time; kept for the next time when Redis is away."""
        counted, self._counts = self._counts, {}
        if not counted:
            return
        commands = [
            self._health.count_ends(
                instance_id=instance_id,
                generation=generation,
                counts={name: count for name, count in counts.items() if count},
            )
            for (instance_id, generation), counts in counted.items()
        ]
        try:
            await self._ports.store.pipeline(commands)
        except StoreUnavailable:
            for registration, counts in counted.items():
                counts.update(self._counts.get(registration, {}))
                self._counts[registration] = counts


def _name(completion: Completion) -> str:
    """As policy/health.py knows it; "" for what says nothing about the instance."""
    if completion.end is End.REJECTED:
        return "refused" if completion.error_type == Refusal.FULL else ""
    return completion.end.value
