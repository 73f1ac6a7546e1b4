"""Least loaded, by the power of two choices.

Two candidates are drawn and the less loaded one is taken: nearly as even as looking at all of
them, and several dispatchers with slightly old figures do not all run to the same instance
(Mitzenmacher, "The Power of Two Choices in Randomized Load Balancing", 2001).
"""

from __future__ import annotations

import random
from collections.abc import Sequence

from godel_tasks.policy.strategy import Candidate


class LeastLoaded:
    """Power of two choices over the share of slots in use."""

    name = "least-loaded"

    def pick(self, candidates: Sequence[Candidate], rng: random.Random) -> Candidate:
        if len(candidates) == 1:
            return candidates[0]
        first, second = rng.sample(range(len(candidates)), 2)
        one, other = candidates[first], candidates[second]
        return other if other.load < one.load else one
