"""Scaling: how many instances a pool should have, who is taken, and when a drained one may go."""

from __future__ import annotations

from godel_tasks.policy.scaling.decide import decide
from godel_tasks.policy.scaling.drains import DrainStep, drain_step
from godel_tasks.policy.scaling.taking import choose

__all__ = ["DrainStep", "choose", "decide", "drain_step"]
