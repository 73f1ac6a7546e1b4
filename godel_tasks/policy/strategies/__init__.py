"""Routing strategies by name. More come with the fleet."""

from __future__ import annotations

from godel_tasks.policy.strategies.least_loaded import LeastLoaded
from godel_tasks.policy.strategy import Strategy

STRATEGIES: dict[str, Strategy] = {LeastLoaded.name: LeastLoaded()}

__all__ = ["STRATEGIES"]
