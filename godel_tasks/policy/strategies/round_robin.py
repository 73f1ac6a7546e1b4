"""Round robin, smooth and weighted by capacity.

Earliest deadline first over virtual time, as Envoy's EdfScheduler does it: who is picked moves its
deadline on by 1 / weight, and the earliest deadline goes next. That interleaves as evenly as
nginx's smooth weighted round robin, which looks at every instance for each pick.
"""

from __future__ import annotations

from godel_tasks.policy.strategy import Candidate, RoutingRequest, Score

#: Deadlines are kept for about so many instances; who is far behind has nothing to remember.
KEPT = 4096


class RoundRobin:
    """Takes turns, whatever the load. A degraded instance has half its weight."""

    name = "round-robin"

    def __init__(self) -> None:
        self._deadlines: dict[str, float] = {}
        #: Where virtual time stands: who was away joins here, and has no turns to catch up.
        self._now = 0.0

    def score(self, candidate: Candidate, request: RoutingRequest) -> Score:  # noqa: ARG002
        return 0, self._deadline(candidate)

    def why(self, candidate: Candidate, request: RoutingRequest) -> str:  # noqa: ARG002
        behind = self._deadline(candidate) - self._now
        half = ", degraded: half its weight" if candidate.degraded else ""
        return f"turn in {behind:.3f}, weight {candidate.capacity}{half}"

    def picked(self, candidate: Candidate, count: int, request: RoutingRequest) -> None:  # noqa: ARG002
        deadline = self._deadline(candidate)
        weight = max(1, candidate.capacity) * (0.5 if candidate.degraded else 1.0)
        self._now = max(self._now, deadline)
        self._deadlines[candidate.instance_id] = deadline + count / weight
        if len(self._deadlines) > KEPT:
            self._deadlines = {i: at for i, at in self._deadlines.items() if at > self._now}

    def _deadline(self, candidate: Candidate) -> float:
        known = self._deadlines.get(candidate.instance_id)
        if known is None:
            # A newcomer's first turn stands from now on, or it would move on with the others'.
            known = self._now + 1.0 / max(1, candidate.capacity)
            self._deadlines[candidate.instance_id] = known
        return max(known, self._now)
