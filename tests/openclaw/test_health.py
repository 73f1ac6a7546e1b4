"""What a gateway says of itself, in Godel's words."""

from __future__ import annotations

from typing import Any

import pytest

from godel_tasks.domain.instance import Health, HealthComponents, InstanceMetrics
from godel_tasks.instances.drivers.openclaw.health import (
    backpressure_of,
    health_of,
    main_lane,
    metrics_of,
)

#: Cut from a real gateway's answers.
HEALTH: dict[str, Any] = {
    "ok": True,
    "plugins": {"loaded": [], "errors": []},
    "agents": [{"agentId": "main"}],
    "sessions": {"count": 3, "recent": []},
    "modelRuntime": {"degraded": False},
    "eventLoop": {"degraded": False, "reasons": [], "delayP99Ms": 22},
}
SYSTEM: dict[str, Any] = {
    "memoryTotalBytes": 1000,
    "eventLoop": {"delayP99Ms": 250, "cpuCoreRatio": 0.5},
    "processMemory": {"rssBytes": 250},
}
LANES: dict[str, Any] = {
    "lanes": [
        {"lane": "cron", "activeCount": 8, "queuedCount": 3, "maxConcurrent": 8},
        {"lane": "main", "activeCount": 4, "queuedCount": 0, "maxConcurrent": 8},
    ]
}


def test_a_healthy_gateway() -> None:
    status = health_of(HEALTH, 4.0)
    assert (status.status, status.error, status.latency_ms) == (Health.HEALTHY, None, 4.0)
    assert status.components == HealthComponents(
        database=True, memory=None, agents=True, channels=True
    )


@pytest.mark.parametrize(
    ("change", "health", "says"),
    [
        (
            {"eventLoop": {"degraded": True, "reasons": ["event_loop_delay"]}},
            Health.DEGRADED,
            "event_loop_delay",
        ),
        ({"eventLoop": {"degraded": True}}, Health.DEGRADED, "event loop"),
        ({"modelRuntime": {"degraded": True}}, Health.DEGRADED, "model runtime"),
        ({"ok": False}, Health.UNHEALTHY, "not ok"),
    ],
)
def test_a_sick_one_says_why(change: dict[str, Any], health: Health, says: str) -> None:
    status = health_of(HEALTH | change, 1.0)
    assert status.status is health
    assert says in (status.error or "")


def test_what_it_does_not_say_is_not_known() -> None:
    status = health_of({"ok": True}, 1.0)
    assert status.components == HealthComponents()
    assert metrics_of({}, {}, {}, completed=None, failed=None) == InstanceMetrics()


def test_metrics_are_shares_and_counts() -> None:
    assert metrics_of(HEALTH, SYSTEM, LANES, completed=7, failed=1) == InstanceMetrics(
        cpu_usage=0.5,
        memory_usage=0.25,
        active_sessions=3,
        queued_tasks=0,
        completed_tasks=7,
        failed_tasks=1,
        backpressure=0.5,
    )


@pytest.mark.parametrize(
    ("lane", "loop", "expected"),
    [
        ({}, {}, None),
        ({"maxConcurrent": 8, "activeCount": 2}, {}, 0.25),
        ({"maxConcurrent": 8, "activeCount": 2, "queuedCount": 1}, {}, 1.0),
        ({"maxConcurrent": 8, "activeCount": 2}, {"delayP99Ms": 900}, 0.9),
        ({}, {"delayP99Ms": 5000}, 1.0),
    ],
)
def test_backpressure_is_the_worse_of_lane_and_event_loop(
    lane: dict[str, Any], loop: dict[str, Any], expected: float | None
) -> None:
    assert backpressure_of(lane, loop) == expected


def test_only_the_lane_of_agent_turns_counts() -> None:
    assert main_lane(LANES)["activeCount"] == 4
    assert main_lane({}) == {}
