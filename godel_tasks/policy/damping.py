"""Flap damping, as BGP routers do it (RFC 2439): a penalty for each fall, halved by time. Pure.

Above `suppress` a thing may not rise; it may again below `reuse`. So what falls again and again
comes back rarely, and what fell once comes back at once.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import msgspec


@dataclass(frozen=True, slots=True)
class DampingRules:
    """Penalties are in the unit of `fall`. By default a third fall within about a minute is held
    down, for 1.5 to 2.3 minutes after it."""

    fall: float = 1000.0
    suppress: float = 2500.0
    reuse: float = 1000.0
    most: float = 5000.0
    half_life_ms: int = 60_000

    @property
    def shortest_hold_ms(self) -> float:
        """From suppressed to reusable, at least."""
        return self.half_life_ms * math.log2(self.suppress / self.reuse)


class Penalty(msgspec.Struct, frozen=True, omit_defaults=True):
    """`value` as of `at_ms`."""

    value: float = 0.0
    at_ms: int = 0
    suppressed: bool = False

    def at(self, now_ms: int, rules: DampingRules) -> Penalty:
        """What is left of it now."""
        passed = max(0, now_ms - self.at_ms)
        value = self.value * 2 ** (-passed / rules.half_life_ms)
        suppressed = self.suppressed and value >= rules.reuse
        return Penalty(value if value >= 1 else 0.0, now_ms, suppressed)

    def after_fall(self, rules: DampingRules) -> Penalty:
        """At the moment of `at_ms`."""
        value = min(rules.most, self.value + rules.fall)
        return Penalty(value, self.at_ms, self.suppressed or value > rules.suppress)

    def held_for_ms(self, rules: DampingRules) -> int:
        """How long it is suppressed from `at_ms` on, should it not fall again."""
        if not self.suppressed:
            return 0
        return math.ceil(rules.half_life_ms * math.log2(max(1.0, self.value / rules.reuse)))
