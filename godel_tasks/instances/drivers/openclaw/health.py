"""What a gateway says of itself, in Godel's words. No I/O. What is not known is None."""

from __future__ import annotations

from typing import Any

from godel_tasks.domain.instance import Health, HealthComponents, HealthStatus, InstanceMetrics

#: Event-loop delay (99th percentile, ms) from which the gateway counts as fully loaded: a turn's
#: own steps block its one thread for half a second.
FULL_DELAY_MS = 1000.0
#: The lane that agent turns run in.
MAIN_LANE = "main"


def health_of(health: dict[str, Any], latency_ms: float) -> HealthStatus:
    """From `health`: degraded when it says so of its event loop or its model runtime."""
    loop = health.get("eventLoop") or {}
    runtime = health.get("modelRuntime") or {}
    plugins = health.get("plugins") or {}
    reasons = [str(reason) for reason in loop.get("reasons") or ()]
    if loop.get("degraded") and not reasons:
        reasons = ["its event loop is late"]
    if runtime.get("degraded"):
        reasons.append("its model runtime is degraded")
    if health.get("ok") is not True:
        status = Health.UNHEALTHY
        reasons = reasons or ["it says that it is not ok"]
    else:
        status = Health.DEGRADED if reasons else Health.HEALTHY
    return HealthStatus(
        status,
        latency_ms,
        ", ".join(reasons) or None,
        HealthComponents(
            # It answers for its sessions from the database.
            database=True if isinstance(health.get("sessions"), dict) else None,
            memory=None,
            agents=bool(health["agents"]) if "agents" in health else None,
            channels=not plugins["errors"] if "errors" in plugins else None,
        ),
    )


def main_lane(lanes: dict[str, Any]) -> dict[str, Any]:
    """The lane of agent turns, of `diagnostics.lanes`; empty when it is not told."""
    for lane in lanes.get("lanes") or ():
        if lane.get("lane") == MAIN_LANE:
            found: dict[str, Any] = lane
            return found
    return {}


def metrics_of(
    health: dict[str, Any],
    system: dict[str, Any],
    lanes: dict[str, Any],
    *,
    completed: int | None,
    failed: int | None,
) -> InstanceMetrics:
    """From `health`, `system.info` and `diagnostics.lanes`. `completed` and `failed` are what this
    connection saw: the gateway keeps no such counts."""
    lane = main_lane(lanes)
    loop = system.get("eventLoop") or {}
    memory = system.get("processMemory") or {}
    total = system.get("memoryTotalBytes") or 0
    sessions = health.get("sessions") or {}
    return InstanceMetrics(
        cpu_usage=_share(loop.get("cpuCoreRatio")),
        memory_usage=_share(memory.get("rssBytes", 0) / total) if total else None,
        active_sessions=sessions.get("count"),
        queued_tasks=lane.get("queuedCount"),
        completed_tasks=completed,
        failed_tasks=failed,
        backpressure=backpressure_of(lane, loop),
    )


def backpressure_of(lane: dict[str, Any], loop: dict[str, Any]) -> float | None:
    """0 (at ease) to 1: the worse of how full its lane is and how late its event loop is. A lane
    with a queue is full."""
    parts = []
    limit = lane.get("maxConcurrent")
    if limit:
        busy = lane.get("activeCount", 0) / limit
        parts.append(1.0 if lane.get("queuedCount") else busy)
    if isinstance(delay := loop.get("delayP99Ms"), int | float):
        parts.append(delay / FULL_DELAY_MS)
    return _share(max(parts)) if parts else None


def _share(value: Any) -> float | None:
    if not isinstance(value, int | float):
        return None
    return round(min(1.0, max(0.0, float(value))), 4)
