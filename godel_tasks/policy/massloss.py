"""Mass loss: when most of the fleet falls silent at once, we are the likelier culprit. Pure.

A lease that is over says that nothing was heard, not that nobody is there: a network that is cut on
our side, or a registry that lost writes, silences everybody in the same moment. So the verdict on
instances whose leases ended together with more than a share of the fleet is held for a while, and
then believed. (Eureka's self-preservation is the model; theirs holds without end.)

Everything is decided from ends of leases on Redis's clock, so all dispatchers and jobs that look at
the same registry come to the same verdict, and none has to remember anything.
"""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class MassLossRules:
    """Times in milliseconds. `share` of the fleet (0-1) and at least `least` instances must be
    silent together; leases that end within `window_ms` end together, and one that ends within
    `margin_ms` from now has missed heartbeats already. 1 as the share turns the guard off."""

    share: float = 0.5
    least: int = 3
    window_ms: int = 5000
    margin_ms: int = 1000
    grace_ms: int = 15_000


@dataclass(frozen=True, slots=True)
class LossDecision:
    """Instances whose leases are over: `lost` are believed to be gone, about `held` nothing is
    concluded yet. `reason` says why they are held; "" when none is."""

    lost: frozenset[str]
    held: frozenset[str] = frozenset()
    reason: str = ""


def judge_losses(leases: Mapping[str, int], now_ms: int, rules: MassLossRules) -> LossDecision:
    """Who is lost, of `leases`: the end of each registered instance's lease (ms)."""
    over = {instance_id: end for instance_id, end in leases.items() if end <= now_ms}
    recent = [end for end in over.values() if end > now_ms - rules.grace_ms]
    if len(recent) == 0 or rules.share >= 1:
        return LossDecision(frozenset(over))
    ends = sorted(leases.values())
    held, most = set(), (0, 0)
    for instance_id, end in over.items():
        if end <= now_ms - rules.grace_ms:
            continue
        first = bisect_left(ends, end - rules.window_ms)
        past = bisect_right(ends, min(now_ms + rules.margin_ms, end + rules.window_ms))
        silent, known = past - first, len(ends) - first
        if silent >= rules.least and silent > rules.share * known:
            held.add(instance_id)
            most = max(most, (silent, known))
    if not held:
        return LossDecision(frozenset(over))
    reason = (
        f"{most[0]} of {most[1]} instances fell silent within {rules.window_ms / 1000:g} s, which "
        f"is more likely our fault; believed after {rules.grace_ms / 1000:g} s"
    )
    return LossDecision(frozenset(over.keys() - held), frozenset(held), reason)
