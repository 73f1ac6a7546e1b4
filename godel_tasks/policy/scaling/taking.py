"""Who is taken when a pool shrinks. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import islice, takewhile

from godel_tasks.domain.scaling import InstanceLoad


def choose(
    instances: Sequence[InstanceLoad], count: int, *, take_pinned: bool
) -> tuple[InstanceLoad, ...]:
    """At most `count`, in this order: idle ones first, those with the fewest sessions, the sick
    ones, those that run least, the newest. Pinned ones only where `take_pinned` says so.

    Where they are numbered only the last one can go, and nobody gets past one that may not."""
    if any(one.number is not None for one in instances):
        line = sorted(instances, key=_number, reverse=True)
        free = line if take_pinned else takewhile(lambda one: one.sessions == 0, line)
        return tuple(islice(free, max(0, count)))
    may_go = [one for one in instances if take_pinned or one.sessions == 0]
    return tuple(sorted(may_go, key=_rank)[: max(0, count)])


def behind_pinned(instances: Sequence[InstanceLoad]) -> int:
    """How many are pinned, or stand behind one that is where they are numbered."""
    return len(instances) - len(choose(instances, len(instances), take_pinned=False))


def _number(one: InstanceLoad) -> int:
    return -1 if one.number is None else one.number


def _rank(one: InstanceLoad) -> tuple[bool, int, bool, int, int, str]:
    return one.used > 0, one.sessions, one.healthy, one.used, -one.registered_ms, one.instance_id
