"""What is said about the comparison, before and after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from godel_tasks.demo.versus.plan import (
    SEND_EVERY_S,
    SLOTS_EACH,
    WORK_S,
    WORKERS,
    VersusPlan,
)


def before(plan: VersusPlan) -> str:
    return (
        f"Plain Celery, then Godel, each on a server of its own: tenant A dumps {plan.tasks:,} "
        f"tasks, tenant B sends one every {SEND_EVERY_S:g} s for {plan.phase_s:g} s, and after "
        f"{plan.kill_at_s:.0f} s a worker is killed with kill -9. {in_common(plan)} A side takes "
        f"{plan.phase_s:.0f} to {plan.cap_s:.0f} s."
    )


def planned(plan: VersusPlan) -> dict[str, Any]:
    """What the report says of the plan."""
    return {
        "tasks": plan.tasks,
        "sends": plan.sends,
        "every_s": SEND_EVERY_S,
        "task_ms": round((plan.pause_s + WORK_S) * 1000, 1),
        "plan": in_common(plan),
    }


def in_common(plan: VersusPlan) -> str:
    """What both sides are given."""
    return (
        f"Both: the same handler (about {WORK_S * 1000:.0f} ms of work, "
        f"{plan.pause_s * 1000:.0f} ms of waiting as for a model), {WORKERS} x {SLOTS_EACH} slots, "
        "one .delay() a task, a server of its own; what was killed is started again at once."
    )


def ratio(sides: Mapping[str, Mapping[str, Any]]) -> dict[str, float | None]:
    """How many times as long B's p99 is on Celery as on Godel."""
    celery, godel = (sides[name]["p99_s"] for name in ("celery", "godel"))
    return {"p99_ratio": round(celery / godel, 1) if godel else None}


def after(report: Mapping[str, Any]) -> str:
    lines = [
        f"{name:>6}: B waits {side['p50_s']:.3g} s (p50), {side['p99_s']:.3g} s (p99), "
        f"{side['max_s']:.3g} s at most; {side['accepted']:,} accepted, {side['lost']:,} lost, "
        f"{side['held']:,} not done, {side['reruns']:,} run again"
        for name, side in ((name, report[name]) for name in ("celery", "godel"))
    ]
    return "\n".join([*lines, "drawn: " + ", ".join(report["pictures"])])
