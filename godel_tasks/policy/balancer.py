"""LoadBalancer: on which instances a tick's slots should be (filter, score, pick). No I/O.

The filters have been applied by whoever gives the candidates (policy/filters.py): nothing here can
bring an instance back that one of them took out.
"""

from __future__ import annotations

import random
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from heapq import heapify, heappop, heapreplace, nsmallest

from godel_tasks.domain.requirement import RequirementClass
from godel_tasks.domain.routing import Filtered, RoutingDecision, Scored
from godel_tasks.errors import NoHealthyInstancesError
from godel_tasks.policy.strategies import make_strategies
from godel_tasks.policy.strategies.least_loaded import LeastLoaded
from godel_tasks.policy.strategy import (
    Candidate,
    RoutingRequest,
    Score,
    Strategy,
    spec_of_strategy,
)

#: A tick's slots go to about this many picks where instances are large enough, so that a large
#: batch costs few scripts ...
PICKS = 16
#: ... but one pick takes no more than this share of an instance, or the fleet would fill unevenly.
SHARE_OF_A_PICK = 8


@dataclass(frozen=True, slots=True)
class Demand:
    """One class with waiting tasks, and the instances that passed its filters."""

    wanted: RequirementClass
    waiting: int
    instance_ids: Sequence[str]

    @property
    def class_id(self) -> str:
        return self.wanted.class_id


@dataclass(frozen=True, slots=True)
class Plan:
    """Slots to reserve by instance, and per class its instances in order of preference. `picks`
    counts by class the slots that were planned for it."""

    slots: dict[str, int]
    preferences: dict[str, tuple[str, ...]]
    reason: str
    picks: dict[str, dict[str, int]]


#: Tier, score, a random number for equals, the candidate.
Entry = tuple[int, float, float, Candidate]


class Picker:
    """One class's candidates, the best on top; each is scored again once it was picked."""

    def __init__(
        self,
        strategy: Strategy,
        request: RoutingRequest,
        candidates: Iterable[Candidate],
        rng: random.Random,
    ) -> None:
        self._strategy = strategy
        self._request = request
        self._rng = rng
        self._heap: list[Entry] = [(*self._score(c), rng.random(), c) for c in candidates]
        heapify(self._heap)

    def _score(self, candidate: Candidate) -> Score:
        return self._strategy.score(candidate, self._request)

    def best(self) -> Candidate | None:
        """The best one that still has a slot; scores of others may have changed meanwhile."""
        heap = self._heap
        while heap:
            tier, score, _, candidate = heap[0]
            if candidate.free <= 0:
                heappop(heap)
                continue
            now = self._score(candidate)
            if now <= (tier, score):
                return candidate
            # Somebody else's class has taken slots of it.
            heapreplace(heap, (*now, self._rng.random(), candidate))
        return None

    def take(self, candidate: Candidate, count: int) -> None:
        """Plan slots on the one that `best` gave."""
        candidate.free -= count
        self._strategy.picked(candidate, count, self._request)
        if candidate.free > 0:
            entry = (*self._score(candidate), self._rng.random(), candidate)
            heapreplace(self._heap, entry)
        else:
            heappop(self._heap)


@dataclass(slots=True)
class _Turn:
    """A demand while a tick is planned."""

    demand: Demand
    picker: Picker
    waiting: int


class LoadBalancer:
    """Plans ticks, and routes single requests. `rng` is given so that a simulation can be repeated;
    `region_order` is what `geo-aware` goes by when a task does not say."""

    def __init__(
        self,
        rng: random.Random,
        default_strategy: str = LeastLoaded.name,
        region_order: tuple[str, ...] = (),
    ) -> None:
        self._rng = rng
        self._default = default_strategy
        self._region_order = region_order
        self._strategies = make_strategies()

    def _request(self, wanted: RequirementClass) -> RoutingRequest:
        spec = spec_of_strategy(self.strategy_of(wanted))
        return RoutingRequest(wanted, spec, self._region_order)

    def strategy_of(self, wanted: RequirementClass) -> str:
        """The text of the strategy in force for a class."""
        return wanted.strategy or self._default

    def _strategy(self, request: RoutingRequest) -> Strategy:
        """One that this dispatcher does not have (a package that is installed elsewhere) gives way
        to the default, and `reason_of` says so."""
        found = self._strategies.get(request.spec.name)
        return found or self._strategies[spec_of_strategy(self._default).name]

    def plan(self, demands: Sequence[Demand], free: Mapping[str, Candidate], wanted: int) -> Plan:
        """At most `wanted` slots over the free ones, classes taking turns by what they have
        waiting; a class prefers the instances that were picked for it, and may run on any that
        suits. `free` is used up in place."""
        slots: dict[str, int] = {}
        picked: dict[str, dict[str, int]] = {}
        turns = [
            _Turn(demand, self._picker(demand, free), demand.waiting)
            for demand in demands
            if demand.waiting > 0
        ]
        left = wanted
        while left > 0 and turns:
            picks = max(1, PICKS // len(turns))
            for turn in turns:
                order = picked.setdefault(turn.demand.class_id, {})
                for _ in range(picks):
                    chosen = turn.picker.best() if turn.waiting > 0 and left > 0 else None
                    if chosen is None:
                        break
                    chunk = min(wanted // PICKS, chosen.capacity // SHARE_OF_A_PICK)
                    count = min(max(1, chunk), chosen.free, turn.waiting, left)
                    turn.picker.take(chosen, count)
                    turn.waiting -= count
                    left -= count
                    slots[chosen.instance_id] = slots.get(chosen.instance_id, 0) + count
                    order[chosen.instance_id] = order.get(chosen.instance_id, 0) + count
            turns = [turn for turn in turns if turn.waiting > 0 and turn.picker.best() is not None]
        # Who is served is for claim to say: each slot is open to every class that may run there,
        # whichever class it was planned for, or one class would bar the way to the others.
        preferences: dict[str, dict[str, None]] = {
            name: dict.fromkeys(order) for name, order in picked.items() if order
        }
        for demand in demands:
            if suitable := [name for name in demand.instance_ids if name in slots]:
                preferences.setdefault(demand.class_id, {}).update(dict.fromkeys(suitable))
        return Plan(
            slots,
            {name: tuple(order) for name, order in preferences.items()},
            f"{wanted - left} of {wanted} slots over {len(slots)} instances",
            {name: order for name, order in picked.items() if order},
        )

    def _picker(self, demand: Demand, free: Mapping[str, Candidate]) -> Picker:
        request = self._request(demand.wanted)
        candidates = [
            candidate
            for instance_id in demand.instance_ids
            if (candidate := free.get(instance_id)) is not None and candidate.free > 0
        ]
        return Picker(self._strategy(request), request, candidates, self._rng)

    def route(
        self,
        wanted: RequirementClass,
        candidates: Sequence[Candidate],
        filtered: Sequence[Filtered] = (),
    ) -> RoutingDecision:
        """Where one task of this class would go right now; nothing is planned. `filtered` are the
        instances that were taken out before.

        Raises:
            NoHealthyInstancesError: there is no candidate; it names what stands against each.
        """
        request = self._request(wanted)
        strategy = self._strategy(request)
        ranked = self.ranked(wanted, candidates)
        if not ranked:
            against = [(f.instance_id, f.reason) for f in filtered]
            raise NoHealthyInstancesError(str(wanted), against)
        winner = next(c for c in candidates if c.instance_id == ranked[0].instance_id)
        strategy.picked(winner, 1, request)
        return RoutingDecision(
            winner.instance_id,
            winner.latency_ms,
            winner.capacity - winner.free + winner.queued,
            dict(winner.capabilities),
            self.reason_of(wanted, ranked, len(filtered)),
            str(request.spec),
            tuple(ranked),
            tuple(filtered),
        )

    def ranked(
        self, wanted: RequirementClass, candidates: Iterable[Candidate], most: int | None = None
    ) -> list[Scored]:
        """Candidates as the class's strategy would take them, the best first."""
        request = self._request(wanted)
        strategy = self._strategy(request)
        scored = [(*strategy.score(c, request), c.instance_id, c) for c in candidates]
        best = nsmallest(most if most is not None else len(scored), scored)
        return [
            Scored(c.instance_id, tier, round(score, 4), strategy.why(c, request), c.free)
            for tier, score, _, c in best
        ]

    def reason_of(
        self, wanted: RequirementClass, ranked: Sequence[Scored], filtered_count: int
    ) -> str:
        """The decision in a sentence."""
        spec = spec_of_strategy(self.strategy_of(wanted))
        known = "" if spec.name in self._strategies else " (not installed here: the default)"
        if not ranked:
            return f"{spec}{known}: no candidate, {filtered_count} filtered"
        best = ranked[0]
        return f"{spec}{known}: {best.instance_id} ({best.why})"
