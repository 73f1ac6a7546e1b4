"""Capabilities: conditions as producers write them, and whether they hold. No I/O."""

from __future__ import annotations

# Producers pass what they like, whatever the fields' types say: that is what is checked here.
# mypy: disable-error-code="redundant-expr"
import difflib
from collections.abc import Collection, Mapping
from typing import Any

from packaging.specifiers import InvalidSpecifier, SpecifierSet
from packaging.version import InvalidVersion, Version

from godel_tasks.domain.requirement import NUMERIC, Capability, Operator, Preference
from godel_tasks.domain.tenant import is_name
from godel_tasks.errors import InvalidTask


def capabilities_of(wanted: Mapping[str, Any]) -> tuple[Capability, ...]:
    """Conditions from `{"gpu": "yes", "model": ["a", "b"], "memory_gb": {">=": 16}}`.

    Raises:
        InvalidTask: an unknown operator, a bound that is no number, a name that is none.
    """
    if not isinstance(wanted, Mapping):
        raise InvalidTask(
            f"capabilities {wanted!r} is not a dict", hint='for example {"memory_gb": {">=": 16}}'
        )
    legal = tuple(Operator)
    found = []
    for name, condition in wanted.items():
        if not isinstance(name, str) or not is_name(name):
            raise InvalidTask(f"capability name {name!r} is not a name")
        if isinstance(condition, Mapping):
            pairs = list(condition.items())
        elif isinstance(condition, list | tuple | set | frozenset):
            pairs = [("in", list(condition))]
        else:
            pairs = [("=", condition)]
        for operator, bound in pairs:
            if operator not in legal:
                near = difflib.get_close_matches(str(operator), [*map(str, legal)], n=1)
                raise InvalidTask(
                    f"unknown capability operator {operator!r}",
                    hint=f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(legal)}",
                )
            values = bound if isinstance(bound, list | tuple | set | frozenset) else [bound]
            if operator in (">", ">=", "<", "<="):
                _numeric(name, operator, values)
            elif operator == Operator.VERSION:
                _version_range(name, values)
            found.append(Capability(name, str(operator), tuple(word_of(v) for v in values)))
    return tuple(sorted(found))


def preferences_of(wished: Mapping[str, Any]) -> tuple[Preference, ...]:
    """Preferences from `{"gpu": "yes", "memory_gb": {">=": 64, "weight": 3}}`.

    Raises:
        InvalidTask: as `capabilities_of`; a weight that is no number above 0.
    """
    if not isinstance(wished, Mapping):
        raise InvalidTask(f"prefer {wished!r} is not a dict", hint='for example {"gpu": "yes"}')
    found = []
    for name, condition in wished.items():
        weight: Any = 1.0
        if isinstance(condition, Mapping):
            weight = condition.get("weight", 1.0)
            condition = {k: v for k, v in condition.items() if k != "weight"}
        if isinstance(weight, bool) or not isinstance(weight, int | float) or not 0 < weight < 1e9:
            raise InvalidTask(
                f"the weight {weight!r} of preference {name} is out of range",
                hint="use a number above 0; twice the weight counts twice",
            )
        found += [Preference(c, float(weight)) for c in capabilities_of({name: condition})]
    return tuple(sorted(found))


def word_of(value: Any) -> str:
    """A value as capabilities are compared: text."""
    return {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)


def _numeric(name: str, operator: str, values: Collection[Any]) -> None:
    try:
        (value,) = values
        float(value)
    except (TypeError, ValueError):
        raise InvalidTask(
            f"capability {name} {operator} needs one number, got {list(values)!r}"
        ) from None


def _version_range(name: str, values: Collection[Any]) -> None:
    try:
        (value,) = values
        SpecifierSet(str(value))
    except (ValueError, InvalidSpecifier):
        raise InvalidTask(
            f"capability {name} version needs one version range, got {list(values)!r}",
            hint='for example {"version": ">=1.2,<2"}',
        ) from None


def _number(text: str) -> float | None:
    try:
        return float(text)
    except ValueError:
        return None


def _in_range(version: str, wanted: str) -> bool:
    try:
        return Version(version) in SpecifierSet(wanted, prereleases=True)
    except (InvalidVersion, InvalidSpecifier):
        return False


def holds(condition: Capability, offered: Mapping[str, str]) -> bool:
    """Whether a capability condition holds for what an instance offers. A capability that is not
    offered satisfies only `!=`."""
    value = offered.get(condition.name)
    operator = Operator(condition.operator)
    if value is None:
        return operator is Operator.NOT_EQUAL
    wanted = condition.values
    if operator in NUMERIC:
        have, bound = _number(value), _number(wanted[0])
        if have is None or bound is None:
            return False
        match operator:
            case Operator.GREATER:
                return have > bound
            case Operator.AT_LEAST:
                return have >= bound
            case Operator.LESS:
                return have < bound
            case _:
                return have <= bound
    if operator is Operator.NOT_EQUAL:
        return value not in wanted
    if operator is Operator.VERSION:
        return _in_range(value, wanted[0])
    return value in wanted
