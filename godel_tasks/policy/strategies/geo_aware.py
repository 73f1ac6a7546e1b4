"""Geo aware: the nearest region that has room; inside it the quickest, least loaded instance."""

from __future__ import annotations

from godel_tasks.policy.strategy import Candidate, RoutingRequest, Score

#: What an instance is taken to need for an answer while nobody knows.
UNKNOWN_LATENCY_MS = 50.0


class GeoAware:
    """Regions in their order, then any other: a region is left when it is full or sick. Where a
    task must not leave its region, it says so with the requirement `region`."""

    name = "geo-aware"

    def score(self, candidate: Candidate, request: RoutingRequest) -> Score:
        latency_ms = candidate.latency_ms or UNKNOWN_LATENCY_MS
        # As the latency that a task would meet where those that run share the instance.
        return self._tier(candidate, request), latency_ms * (1.0 + candidate.strain)

    def why(self, candidate: Candidate, request: RoutingRequest) -> str:
        place = self._tier(candidate, request) + 1
        region = candidate.region or "no region"
        known = f"{candidate.latency_ms:.1f} ms" if candidate.latency_ms else "latency not known"
        return f"{region}, choice {place}; {known}, {candidate.strain_text()}"

    def picked(self, candidate: Candidate, count: int, request: RoutingRequest) -> None:
        """Its load says it all."""

    @staticmethod
    def _tier(candidate: Candidate, request: RoutingRequest) -> int:
        order = request.spec.items or request.region_order
        return order.index(candidate.region) if candidate.region in order else len(order)
