"""Counting heartbeats from the registry: who renewed its lease when, and what came too late."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from godel_tasks.runtime import Runtime

#: Seconds between two looks: several in each heartbeat, so that none is overlooked.
LOOK_EVERY_S = 0.2
#: A heartbeat that comes later than so many intervals after the one before is late.
LATE = 1.5


@dataclass
class Beats:
    """When each instance renewed its lease, by Redis's clock; from the lease ends that were seen.
    A renewal that no look saw makes a gap look longer, never shorter."""

    lease_ms: int
    every_ms: int
    renewed_ms: dict[str, list[int]] = field(default_factory=dict)

    def saw(self, leases: Mapping[str, int]) -> None:
        for name, ends_ms in leases.items():
            renewed_ms = ends_ms - self.lease_ms
            seen = self.renewed_ms.setdefault(name, [])
            if not seen or renewed_ms > seen[-1]:
                seen.append(renewed_ms)

    def gaps(self, names: Sequence[str], from_ms: int, until_ms: int) -> list[int]:
        """Times between two renewals of one instance, in ms, that reach into the window. The last
        one of each is still open: it counts up to the window's end. One that was never seen has
        the whole window."""
        found = []
        for name in names:
            seen = [at for at in self.renewed_ms.get(name, []) if at <= until_ms]
            times = [*seen, until_ms] if seen else [from_ms, until_ms]
            found += [
                later - earlier for earlier, later in itertools.pairwise(times) if later > from_ms
            ]
        return found

    def figures(self, names: Sequence[str], from_ms: int, until_ms: int) -> dict[str, int]:
        """`missed`: the lease was over before it was renewed; `late`: more than 1.5 intervals, and
        in time; `longest_ms`: the longest gap."""
        gaps = self.gaps(names, from_ms, until_ms)
        missed = sum(gap > self.lease_ms for gap in gaps)
        return {
            "intervals": len(gaps),
            "missed": missed,
            "late": sum(gap > LATE * self.every_ms for gap in gaps) - missed,
            "longest_ms": max(gaps, default=0),
        }


async def watch(runtime: Runtime, beats: Beats) -> None:
    """Look at the registry until cancelled."""
    while True:
        beats.saw(runtime.store.run(runtime.registry.fleet()).leases)
        await asyncio.sleep(LOOK_EVERY_S)
