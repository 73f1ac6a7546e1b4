"""Labels: what the registry's index knows an instance by, and which of them a wish needs. Pure.

The index narrows down; `matching.match` decides. So a wish becomes groups of labels: an instance
that fits has at least one label of each group. `gpu = yes` is found by that very pair; a comparison
of numbers or versions by whoever offers the name at all; `!=` narrows nothing down.
"""

from __future__ import annotations

from collections.abc import Iterable

from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.domain.requirement import Capability, Operator


def labels_of(config: InstanceConfig) -> tuple[str, ...]:
    """All labels of an instance, in order."""
    labels = {pool_label(config.pool), region_label(config.region)}
    for name, value in config.capabilities.items():
        labels |= {_offers(name), _pair(name, value)}
    return tuple(sorted(labels))


def groups_of(
    capabilities: Iterable[Capability], *, pool: str = "", region: str = ""
) -> tuple[tuple[str, ...], ...]:
    """What an instance that fits has one of each of; "" is any pool, any region."""
    groups: list[tuple[str, ...]] = []
    if pool:
        groups.append((pool_label(pool),))
    if region:
        groups.append((region_label(region),))
    for condition in capabilities:
        operator = Operator(condition.operator)
        if operator in (Operator.EQUAL, Operator.IN):
            groups.append(tuple(_pair(condition.name, value) for value in condition.values))
        elif operator is not Operator.NOT_EQUAL:
            groups.append((_offers(condition.name),))
    return tuple(groups)


def pool_label(pool: str) -> str:
    return f"pool={_word(pool)}"


def region_label(region: str) -> str:
    return f"region={_word(region)}"


def _offers(name: str) -> str:
    return f"offers:{_word(name)}"


def _pair(name: str, value: str) -> str:
    return f"offers:{_word(name)}={_word(value)}"


def _word(text: str) -> str:
    """Labels are listed line by line."""
    return text.replace("\\", "\\\\").replace("\n", "\\n")
