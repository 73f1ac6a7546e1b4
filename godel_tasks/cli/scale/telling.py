"""Policies and decisions in words, and as JSON."""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Collection
from pathlib import Path
from typing import Any

import msgspec

from godel_tasks.cli.output import moment, when
from godel_tasks.domain.scaling import ScalingAct, ScalingDecision, ScalingMode, ScalingPolicy
from godel_tasks.errors import InvalidScalingPolicy, UnknownScalingPolicy
from godel_tasks.policy.scaling.reading import policies_of


def unknown_policy(pool: str, known: Collection[str]) -> UnknownScalingPolicy:
    near = difflib.get_close_matches(pool, known, n=1)
    return UnknownScalingPolicy(
        f"pool {pool!r} has no scaling policy",
        hint=f"did you mean {near[0]!r}?" if near else f"set one with `godel scale set {pool}`",
    )


def read_policies(path: Path) -> list[ScalingPolicy]:
    """The policies of a TOML file.

    Raises:
        InvalidScalingPolicy: it cannot be read, or says what is wrong.
    """
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except (OSError, UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise InvalidScalingPolicy([f"{path}: expected a TOML file, got: {error}"]) from error
    return policies_of(document)


def policy_data(policy: ScalingPolicy) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.to_builtins(policy)
    return {**data, "acts": policy.acts}


def does(policy: ScalingPolicy) -> str:
    """Whether it is acted on, and what is missing for that."""
    if policy.acts:
        return "acts"
    missing = []
    if policy.max_instances is None:
        missing.append("a maximum")
    if policy.hourly_cost_usd > 0 and policy.hourly_ceiling_usd is None:
        missing.append("an hourly ceiling")
    if not missing:
        return "recommends"
    wants = " until it has " + " and ".join(missing) if policy.mode is ScalingMode.ACT else ""
    return f"recommends{wants}"


def decision_data(decision: ScalingDecision) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.to_builtins(decision)
    inputs = data.pop("inputs")
    at = when(moment(decision.inputs.at_ms))
    return {"kind": "decision", "at": at, "size": decision.inputs.size, **data, "inputs": inputs}


def act_data(act: ScalingAct) -> dict[str, Any]:
    data: dict[str, Any] = msgspec.to_builtins(act)
    return {"kind": "act", "at": when(moment(data.pop("at_ms"))), **data}


def change(decision: ScalingDecision) -> str:
    """`2 → 5`, or `2` when nothing changes; in brackets what was only recommended."""
    size, result = decision.inputs.size, decision.result
    if size == result:
        return str(size)
    return f"{size} → {result}" if decision.acts else f"{size} (→ {result})"


def clock(at_ms: int) -> str:
    """A moment in a table: UTC, to the second."""
    at = moment(at_ms)
    return at.strftime("%Y-%m-%d %H:%M:%S") if at else ""
