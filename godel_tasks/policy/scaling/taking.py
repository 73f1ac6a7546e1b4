"""Who is taken when a pool shrinks. Pure."""

from __future__ import annotations

from collections.abc import Sequence

from godel_tasks.domain.scaling import InstanceLoad


def choose(
    instances: Sequence[InstanceLoad], count: int, *, take_pinned: bool
) -> tuple[InstanceLoad, ...]:
    """At most `count`, in this order: idle ones first, those with the fewest sessions, the sick
    ones, those that run least, the newest. Pinned ones only where `take_pinned` says so."""
    may_go = [one for one in instances if take_pinned or one.sessions == 0]
    return tuple(sorted(may_go, key=_rank)[: max(0, count)])


def _rank(one: InstanceLoad) -> tuple[bool, int, bool, int, int, str]:
    return one.used > 0, one.sessions, one.healthy, one.used, -one.registered_ms, one.instance_id
