"""Capability aware: who fulfils the most of what the task would rather have."""

from __future__ import annotations

from godel_tasks.policy.capabilities import holds
from godel_tasks.policy.strategy import Candidate, RoutingRequest, Score


class CapabilityAware:
    """What is required was filtered before; here weighted preferences count, and equals are filled
    evenly. Without preferences it keeps special instances for those who need them: who offers the
    least goes first."""

    name = "capability-aware"

    def score(self, candidate: Candidate, request: RoutingRequest) -> Score:
        preferences = request.wanted.requirement.preferences
        if not preferences:
            return len(candidate.capabilities), candidate.strain
        return round(1000 * (1.0 - self._share(candidate, request))), candidate.strain

    def why(self, candidate: Candidate, request: RoutingRequest) -> str:
        preferences = request.wanted.requirement.preferences
        if not preferences:
            return f"offers {len(candidate.capabilities)} capabilities, {candidate.strain_text()}"
        share = self._share(candidate, request)
        return f"has {share:.0%} of what is preferred, {candidate.strain_text()}"

    def picked(self, candidate: Candidate, count: int, request: RoutingRequest) -> None:
        """Its load says it all."""

    @staticmethod
    def _share(candidate: Candidate, request: RoutingRequest) -> float:
        """Share of the preferences' weight that it fulfils, 0-1."""
        preferences = request.wanted.requirement.preferences
        total = sum(preference.weight for preference in preferences)
        held = sum(
            preference.weight
            for preference in preferences
            if holds(preference.capability, candidate.capabilities)
        )
        return held / total if total else 0.0
