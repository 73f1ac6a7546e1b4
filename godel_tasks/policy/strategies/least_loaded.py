"""Least loaded: who uses the smallest share of its slots, and says that it is at ease."""

from __future__ import annotations

from godel_tasks.policy.strategy import Candidate, RoutingRequest, Score


class LeastLoaded:
    """Fills the fleet evenly, like water. Several dispatchers with slightly old figures do so, too:
    each spreads what it has, and reserve says no where they meet."""

    name = "least-loaded"

    def score(self, candidate: Candidate, request: RoutingRequest) -> Score:  # noqa: ARG002
        return 0, candidate.strain

    def why(self, candidate: Candidate, request: RoutingRequest) -> str:  # noqa: ARG002
        return candidate.strain_text()

    def picked(self, candidate: Candidate, count: int, request: RoutingRequest) -> None:
        """Its load says it all."""
