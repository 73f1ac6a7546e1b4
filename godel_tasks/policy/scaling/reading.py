"""Policies as people write them: tables of TOML, checked whole before anything is stored. Pure."""

from __future__ import annotations

import dataclasses
import difflib
import math
from collections.abc import Callable, Iterator, Mapping
from typing import Any, get_type_hints
from zoneinfo import ZoneInfo

import msgspec

from godel_tasks.domain.scaling import ScalingPolicy, ScheduleFloor, StepLimit
from godel_tasks.domain.tenant import is_name
from godel_tasks.errors import InvalidScalingPolicy
from godel_tasks.policy.scaling.schedule import days_of, minute_of

_TYPES = get_type_hints(ScalingPolicy)
#: Tables within a policy.
_INNER: dict[str, type] = {
    "step_up": StepLimit,
    "step_down": StepLimit,
    "schedule": ScheduleFloor,
}
_SHARES = ("target_utilization", "scale_up_utilization", "scale_down_utilization")
_POSITIVE = ("target_utilization", "step", "start_timeout_s")


def policies_of(document: Mapping[str, Any]) -> list[ScalingPolicy]:
    """The policies of a document with tables `[scaling.POOL]`.

    Raises:
        InvalidScalingPolicy: with every problem there is, a line each.
    """
    found: list[ScalingPolicy] = []
    problems = [
        f"{key}: not known here; write [scaling.POOL]" for key in document if key != "scaling"
    ]
    tables = document.get("scaling")
    if not isinstance(tables, Mapping) or not tables:
        raise InvalidScalingPolicy([*problems, "expected at least one table [scaling.POOL]"])
    for pool, table in tables.items():
        try:
            found.append(policy_of(pool, table))
        except InvalidScalingPolicy as error:
            problems += error.problems
    if problems:
        raise InvalidScalingPolicy(problems)
    return found


def policy_of(pool: str, table: Any) -> ScalingPolicy:
    """The policy of one pool from its table.

    Raises:
        InvalidScalingPolicy: with every problem there is, a line each.
    """
    if not isinstance(table, Mapping):
        raise InvalidScalingPolicy([f"scaling.{pool}: expected a table, got {table!r}"])
    problems = list(_unknown(f"scaling.{pool}", table, ScalingPolicy, without="pool"))
    values: dict[str, Any] = {}
    for key, value in table.items():
        if key not in _TYPES or key == "pool":
            continue
        inner = value if isinstance(value, list) else [value]
        if key in _INNER:
            for part in inner:
                if isinstance(part, Mapping):
                    problems += _unknown(f"scaling.{pool}.{key}", part, _INNER[key])
        try:
            values[key] = msgspec.convert(value, _TYPES[key])
        except msgspec.ValidationError as error:
            problems.append(f"scaling.{pool}.{key}: {_plain(str(error))}, got {value!r}")
    if not problems:
        policy = ScalingPolicy(pool=pool, **values)
        problems = [f"scaling.{pool}.{line}" for line in _disagreements(policy)]
        if not problems:
            return policy
    raise InvalidScalingPolicy(problems)


def _unknown(where: str, table: Mapping[str, Any], of: type, without: str = "") -> Iterator[str]:
    legal = [field.name for field in dataclasses.fields(of) if field.name != without]
    for key in table:
        if key not in legal:
            near = difflib.get_close_matches(str(key), legal, n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(legal)}"
            yield f"{where}.{key}: not known; {advice}"


def _plain(text: str) -> str:
    return text[0].lower() + text[1:].replace("`", "")


def _disagreements(policy: ScalingPolicy) -> Iterator[str]:
    """What is wrong with values of the right kind, a line each."""
    if not is_name(policy.pool):
        yield "pool: expected letters, digits and . _ - @, at most 64"
    yield from _numbers(policy, "")
    for field in ("step_up", "step_down"):
        yield from _numbers(getattr(policy, field), f"{field}.")
    for name in _SHARES:
        if getattr(policy, name) > 1:
            yield f"{name}: expected a share, at most 1, got {getattr(policy, name):g}"
    for name in _POSITIVE:
        if getattr(policy, name) == 0:
            yield f"{name}: expected more than 0"
    if policy.scale_down_threshold > policy.scale_up_threshold:
        yield (
            f"scale_down_threshold: expected at most scale_up_threshold "
            f"({policy.scale_up_threshold}), got {policy.scale_down_threshold}"
        )
    if policy.scale_down_utilization >= policy.scale_up_utilization:
        yield (
            f"scale_down_utilization: expected less than scale_up_utilization "
            f"({policy.scale_up_utilization:g}), got {policy.scale_down_utilization:g}"
        )
    yield from _most(policy)
    for entry in policy.schedule:
        yield from _schedule(entry)


def _numbers(value: object, prefix: str) -> Iterator[str]:
    for field in dataclasses.fields(value):  # type: ignore[arg-type]
        number = getattr(value, field.name)
        if isinstance(number, int | float) and not (math.isfinite(number) and number >= 0):
            yield f"{prefix}{field.name}: expected a number that is not negative, got {number}"


def _most(policy: ScalingPolicy) -> Iterator[str]:
    most = policy.max_instances
    if policy.hourly_ceiling_usd is not None and policy.hourly_cost_usd > 0:
        payable = int(policy.hourly_ceiling_usd / policy.hourly_cost_usd + 1e-9)
        if payable < policy.min_instances:
            yield (
                f"hourly_ceiling_usd: pays for {payable} at ${policy.hourly_cost_usd:g} an hour, "
                f"and min_instances is {policy.min_instances}"
            )
    if most is None:
        return
    floors = {"min_instances": policy.min_instances, "warm_instances": policy.warm_instances}
    floors |= {f"schedule ({entry.days})": entry.floor for entry in policy.schedule}
    for name, floor in floors.items():
        if floor > most:
            yield f"{name}: expected at most max_instances ({most}), got {floor}"


def _schedule(entry: ScheduleFloor) -> Iterator[str]:
    checks: dict[str, tuple[Callable[[str], object], str]] = {
        "days": (days_of, "daily, mon-fri, or sat,sun"),
        "start": (minute_of, "HH:MM"),
        "end": (minute_of, "HH:MM"),
        "timezone": (ZoneInfo, "a name like Europe/Berlin"),
    }
    for name, (check, expected) in checks.items():
        try:
            check(getattr(entry, name))
        except (ValueError, KeyError, OSError):
            yield f"schedule.{name}: expected {expected}, got {getattr(entry, name)!r}"
    if entry.floor < 0:
        yield f"schedule.floor: expected a number that is not negative, got {entry.floor}"
