"""Routing strategies by name: five of ours, and those of the entry point group."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from importlib.metadata import entry_points

from godel_tasks.domain.tenant import is_name
from godel_tasks.policy.strategies.capability_aware import CapabilityAware
from godel_tasks.policy.strategies.fallback import Fallback
from godel_tasks.policy.strategies.geo_aware import GeoAware
from godel_tasks.policy.strategies.least_loaded import LeastLoaded
from godel_tasks.policy.strategies.round_robin import RoundRobin
from godel_tasks.policy.strategy import Strategy, spec_of_strategy, steps_of

#: Where packages name a class (or a function that makes one) with the contract of `Strategy`.
ENTRY_POINTS = "godel.strategies"

_OURS: Mapping[str, Callable[[], Strategy]] = {
    LeastLoaded.name: LeastLoaded,
    RoundRobin.name: RoundRobin,
    GeoAware.name: GeoAware,
    CapabilityAware.name: CapabilityAware,
}


@dataclass(frozen=True, slots=True)
class Wrong:
    """What is wrong with a strategy's text, and what to do."""

    message: str
    hint: str


@cache
def _makers() -> Mapping[str, Callable[[], Strategy]]:
    """Ours win: a package cannot change what a documented name means."""
    found = {point.name: point for point in entry_points(group=ENTRY_POINTS)}
    return {**{name: point.load() for name, point in found.items()}, **_OURS}


def strategy_names() -> tuple[str, ...]:
    """All that can be asked for here."""
    return (*_makers(), Fallback.name)


def make_strategies() -> dict[str, Strategy]:
    """A new object of each, for one dispatcher."""
    made: dict[str, Strategy] = {name: make() for name, make in _makers().items()}
    return {**made, Fallback.name: Fallback(made)}


@cache
def check_strategy(text: str) -> Wrong | None:
    """What is wrong with a strategy as it was written; None when nothing is."""
    spec = spec_of_strategy(text)
    wrong = _check_name(spec.name, strategy_names())
    if wrong is not None:
        return wrong
    if text.endswith("="):
        return Wrong(f"strategy {text!r}: the list behind = is empty", _HOW)
    if spec.name == Fallback.name:
        return _check_steps(text)
    if spec.name == GeoAware.name:
        bad = [region for region in spec.items if not is_name(region)]
        return Wrong(f"strategy {text!r}: {bad[0]!r} is no region's name", _HOW) if bad else None
    if "=" in text:
        return Wrong(f"strategy {text!r}: {spec.name} takes no list", f"write {spec.name!r}")
    return None


_HOW = "as in 'geo-aware=eu,us' or 'fallback=least-loaded@eu,least-loaded/spare'"


def _check_name(name: str, legal: tuple[str, ...]) -> Wrong | None:
    if name in legal:
        return None
    near = difflib.get_close_matches(name, legal, n=1)
    hint = f"did you mean {near[0]!r}?" if near else f"use one of {', '.join(legal)}"
    return Wrong(f"unknown strategy {name!r}", hint)


def _check_steps(text: str) -> Wrong | None:
    steps = steps_of(spec_of_strategy(text))
    if not steps:
        return Wrong(f"strategy {text!r} has no steps", _HOW)
    for step in steps:
        if step.strategy and (wrong := _check_name(step.strategy, tuple(_makers()))):
            return wrong
        for name in (step.region, step.pool):
            if name and not is_name(name):
                return Wrong(f"strategy {text!r}: {name!r} is no name", _HOW)
    return None


__all__ = ["Wrong", "check_strategy", "make_strategies", "strategy_names"]
