"""A tenant's settings are checked in every field before anything is written."""

from __future__ import annotations

import difflib
import math

from godel_tasks.domain.task import OnUncertain
from godel_tasks.domain.tenant import are_pools, is_name
from godel_tasks.errors import InvalidTenant
from godel_tasks.policy.strategies import check_strategy

_NAME_HINT = "use letters, digits and . _ - @, at most 64, the first a letter or digit"


def tenant_fields(
    tenant_id: str,
    *,
    weight: float | None = None,
    max_queue: int | None = None,
    pool: str | None = None,
    on_uncertain: str | None = None,
    strategy: str | None = None,
) -> dict[str, str]:
    """The fields that are given (not None), as the store keeps them. `on_uncertain` and `strategy`
    "" mean the deployment's.

    Raises:
        InvalidTenant: what is wrong, what was expected, the nearest legal word.
    """
    if not is_name(tenant_id):
        raise InvalidTenant(f"{tenant_id!r} is not a tenant's name", hint=_NAME_HINT)
    fields: dict[str, str] = {}
    if weight is not None:
        if not (math.isfinite(weight) and weight > 0):
            raise InvalidTenant(
                f"weight {weight:g} is out of range",
                hint="use a number above 0; twice the weight gets twice the share",
            )
        fields["weight"] = f"{weight:g}"
    if max_queue is not None:
        if max_queue < 0:
            raise InvalidTenant(
                f"max_queue {max_queue} is out of range",
                hint="use a number of tasks; 0 lets nothing in",
            )
        fields["max_queue"] = str(max_queue)
    if pool is not None:
        if not are_pools(pool):
            raise InvalidTenant(
                f"{pool!r} is not a pool's name",
                hint=f'{_NAME_HINT}; several are joined by "+", the home pool first',
            )
        fields["pool"] = pool
    if on_uncertain is not None:
        if on_uncertain and on_uncertain not in tuple(OnUncertain):
            near = difflib.get_close_matches(on_uncertain, [*map(str, OnUncertain)], n=1)
            raise InvalidTenant(
                f"unknown on_uncertain {on_uncertain!r}",
                hint=f"did you mean {near[0]!r}?"
                if near
                else f"use one of {', '.join(OnUncertain)}",
            )
        fields["on_uncertain"] = on_uncertain
    if strategy is not None:
        if strategy and (wrong := check_strategy(strategy)):
            raise InvalidTenant(wrong.message, hint=wrong.hint)
        fields["strategy"] = strategy
    return fields
