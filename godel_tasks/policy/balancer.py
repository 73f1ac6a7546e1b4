"""LoadBalancer: on which instances a tick's slots should be (filter, score, pick). No I/O."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from godel_tasks.policy.strategies import STRATEGIES
from godel_tasks.policy.strategy import Candidate

#: A tick's slots go to at most about this many picks, so that a large batch costs few scripts.
PICKS = 16


@dataclass(frozen=True, slots=True)
class Demand:
    """One class with waiting tasks, and the instances that passed the hard filters for it."""

    class_id: str
    waiting: int
    instance_ids: Sequence[str]
    strategy: str


@dataclass(frozen=True, slots=True)
class Plan:
    """Slots to reserve by instance, and per class its instances in order of preference."""

    slots: dict[str, int]
    preferences: dict[str, tuple[str, ...]]
    reason: str


class LoadBalancer:
    """Plans a tick. `rng` is given so that a simulation can be repeated."""

    def __init__(self, rng: random.Random, default_strategy: str = "least-loaded") -> None:
        self._rng = rng
        self._default = default_strategy

    def plan(self, demands: Sequence[Demand], free: Mapping[str, Candidate], wanted: int) -> Plan:
        """At most `wanted` slots over the free ones, classes taking turns by what they have
        waiting; a class prefers the instances that were picked for it, and may run on any that
        suits. `free` is used up in place."""
        slots: dict[str, int] = {}
        preferences: dict[str, dict[str, None]] = {}
        chunk = max(1, wanted // PICKS)
        open_demands = [(demand, demand.waiting) for demand in demands if demand.waiting > 0]
        left = wanted
        while left > 0 and open_demands:
            still_open: list[tuple[Demand, int]] = []
            for demand, waiting in open_demands:
                candidates = [
                    candidate
                    for instance_id in demand.instance_ids
                    if (candidate := free.get(instance_id)) is not None and candidate.free > 0
                ]
                if not candidates or left <= 0:
                    continue
                strategy = STRATEGIES[demand.strategy or self._default]
                order = preferences.setdefault(demand.class_id, {})
                picks = max(1, PICKS // len(open_demands))
                while picks and candidates and waiting > 0 and left > 0:
                    picks -= 1
                    chosen = strategy.pick(candidates, self._rng)
                    count = min(chunk, chosen.free, waiting, left)
                    chosen.free -= count
                    waiting -= count
                    left -= count
                    slots[chosen.instance_id] = slots.get(chosen.instance_id, 0) + count
                    order[chosen.instance_id] = None
                    if chosen.free == 0:
                        candidates.remove(chosen)
                if waiting > 0 and candidates:
                    still_open.append((demand, waiting))
            open_demands = still_open
        # Who is served is for claim to say: each slot is open to every class that may run there,
        # whichever class it was planned for, or one class would bar the way to the others.
        for demand in demands:
            if suitable := [name for name in demand.instance_ids if name in slots]:
                preferences.setdefault(demand.class_id, {}).update(dict.fromkeys(suitable))
        return Plan(
            slots,
            {name: tuple(order) for name, order in preferences.items()},
            f"{wanted - left} of {wanted} slots over {len(slots)} instances",
        )
