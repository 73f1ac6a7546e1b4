"""Fallback: a chain of steps, each with a strategy, a region and a pool of its own."""

from __future__ import annotations

from collections.abc import Mapping

from godel_tasks.policy.strategies.least_loaded import LeastLoaded
from godel_tasks.policy.strategy import (
    Candidate,
    FallbackStep,
    RoutingRequest,
    Score,
    Strategy,
    StrategySpec,
    steps_of,
)

#: Tiers of a step: those of the strategy inside it come between.
STEP = 1_000_000


class Fallback:
    """The first step with room takes it: a step is left when all that it leads to is full or sick.
    Pools of other steps than the home pool need the tenant's leave; matching sees to that."""

    name = "fallback"

    def __init__(self, others: Mapping[str, Strategy]) -> None:
        self._others = others

    def score(self, candidate: Candidate, request: RoutingRequest) -> Score:
        place, step = self._step(candidate, request)
        tier, score = self._inner(step).score(candidate, self._request(step, request))
        return place * STEP + tier, score

    def why(self, candidate: Candidate, request: RoutingRequest) -> str:
        place, step = self._step(candidate, request)
        inner = self._inner(step)
        words = inner.why(candidate, self._request(step, request))
        return f"step {place + 1} ({step}): {words}"

    def picked(self, candidate: Candidate, count: int, request: RoutingRequest) -> None:
        _, step = self._step(candidate, request)
        self._inner(step).picked(candidate, count, self._request(step, request))

    def _step(self, candidate: Candidate, request: RoutingRequest) -> tuple[int, FallbackStep]:
        """The first step that leads to it; one behind the last where none does."""
        steps = steps_of(request.spec)
        for place, step in enumerate(steps):
            pool = step.pool or request.wanted.pool
            if pool == candidate.pool and step.region in ("", candidate.region):
                return place, step
        return len(steps), FallbackStep()

    def _inner(self, step: FallbackStep) -> Strategy:
        return self._others[step.strategy or LeastLoaded.name]

    @staticmethod
    def _request(step: FallbackStep, request: RoutingRequest) -> RoutingRequest:
        return RoutingRequest(
            request.wanted, StrategySpec(step.strategy or LeastLoaded.name), request.region_order
        )
