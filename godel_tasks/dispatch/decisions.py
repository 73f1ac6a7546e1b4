"""DecisionKeeper: how ticks were planned, written down a few times a second, off the hot path.

A busy dispatcher ticks 200 times a second over the same fleet; nobody reads 200 rankings. So a
class is ranked at most every `RANK_EVERY_S`, and what is kept stands for the claims until the next.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence

from godel_tasks.dispatch.config import Ports
from godel_tasks.dispatch.fleet import FleetView
from godel_tasks.domain.routing import Routed
from godel_tasks.errors import StoreError
from godel_tasks.policy.balancer import Demand, LoadBalancer, Plan
from godel_tasks.policy.strategy import Candidate

RANK_EVERY_S = 0.25
#: Classes that are ranked in one tick at most: a thousand classes must not slow ticks down.
RANKED_PER_TICK = 4
#: Candidates that a kept decision names, and instances that were filtered.
KEPT_CANDIDATES = 8
KEPT_FILTERED = 16
#: Classes of which the time of the last ranking is remembered.
REMEMBERED = 1024


class DecisionKeeper:
    """Decisions are worth less than anything else: what cannot be written is dropped."""

    def __init__(
        self, ports: Ports, dispatcher: str, fleet: FleetView, balancer: LoadBalancer
    ) -> None:
        self._ports = ports
        self._dispatcher = dispatcher
        self._fleet = fleet
        self._balancer = balancer
        self._ranked_at: dict[str, float] = {}
        #: (cell, class) → first batch, last batch, decision: not written yet.
        self._newest: dict[tuple[int, str], tuple[int, int, Routed]] = {}
        self._filled = asyncio.Event()

    def rank(self, demands: Sequence[Demand], free: dict[str, Candidate]) -> dict[str, Routed]:
        """Rankings of the classes whose turn it is, before a plan uses `free` up."""
        now = self._ports.clock.monotonic()
        ranked: dict[str, Routed] = {}
        for demand in demands:
            if now - self._ranked_at.get(demand.class_id, float("-inf")) < RANK_EVERY_S:
                continue
            if len(self._ranked_at) >= REMEMBERED:
                self._ranked_at.clear()
            self._ranked_at[demand.class_id] = now
            ranked[demand.class_id] = self._rank(demand, free)
            if len(ranked) == RANKED_PER_TICK:
                break
        return ranked

    def _rank(self, demand: Demand, free: dict[str, Candidate]) -> Routed:
        wanted = demand.wanted
        candidates = [free[name] for name in demand.instance_ids if name in free]
        filtered, filtered_count = self._fleet.filtered(wanted, free, KEPT_FILTERED)
        scored = self._balancer.ranked(wanted, candidates, KEPT_CANDIDATES)
        reason = self._balancer.reason_of(wanted, scored, filtered_count)
        return Routed(
            wanted.class_id, self._balancer.strategy_of(wanted), reason, {},
            tuple(scored), len(candidates), tuple(filtered), filtered_count,
        )  # fmt: skip

    def claimed(self, cell: int, batch: int, ranked: Mapping[str, Routed], plan: Plan) -> None:
        """A claim goes by this plan."""
        for class_id, picked in plan.picks.items():
            place = (cell, class_id)
            known = self._newest.get(place)
            if class_id in ranked:
                first = known[0] if known else batch
                decision = ranked[class_id]
                kept = Routed(
                    class_id, decision.strategy, decision.reason, picked, decision.candidates,
                    decision.candidate_count, decision.filtered, decision.filtered_count,
                )  # fmt: skip
                self._newest[place] = (first, batch, kept)
                self._filled.set()
            elif known:
                self._newest[place] = (known[0], batch, known[2])

    async def run(self) -> None:
        while True:
            await self._filled.wait()
            await self._ports.clock.sleep(RANK_EVERY_S)
            self._filled.clear()
            await self._write()

    async def _write(self) -> None:
        newest, self._newest = self._newest, {}
        cells = {cell.cell: cell for cell in self._ports.cells}
        commands = [
            cells[cell].decisions.put(
                dispatcher=self._dispatcher, first_batch=first, last_batch=last, routed=routed
            )
            for (cell, _), (first, last, routed) in newest.items()
        ]
        try:
            await self._ports.store.pipeline(commands)
        except StoreError:
            return
