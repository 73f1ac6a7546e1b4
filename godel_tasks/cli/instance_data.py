"""An instance as JSON shows it, the same for every command."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict
from typing import Any

from godel_tasks.cli.output import moment, when
from godel_tasks.views.instances import InstanceView


def as_data(view: InstanceView) -> dict[str, Any]:
    """An instance as JSON shows it. What is not known is null."""
    config, metrics = view.config, view.record.metrics
    return {
        "instance": config.instance_id,
        "status": view.status.value,
        "health": view.record.health.value,
        "health_reason": view.record.health_reason,
        "latency_ms": view.record.latency_ms or None,
        "components": {
            name: value
            for name, value in asdict(view.record.components).items()
            if value is not None
        },
        "endpoint": config.endpoint,
        "driver": config.driver,
        "capacity": config.capacity,
        "slots_used": view.slots_used,
        "slots_orphaned": view.slots_orphaned,
        "region": config.region,
        "pool": config.pool,
        "capabilities": config.capabilities,
        "workspace_dir": config.workspace_dir,
        "provider": config.provider,
        "credentials": config.credentials,
        "generation": view.record.generation,
        "boot_id": view.record.boot_id or None,
        "strays_aborted": view.record.strays_aborted,
        "registered": when(moment(view.record.registered_ms)),
        "lease_left_ms": view.lease_left_ms if view.record.lease_until_ms else None,
        "metrics": {
            "cpu_usage": metrics.cpu_usage,
            "memory_usage": metrics.memory_usage,
            "active_sessions": metrics.active_sessions,
            "queued_tasks": metrics.queued_tasks,
            "completed_tasks": metrics.completed_tasks,
            "failed_tasks": metrics.failed_tasks,
            "backpressure": metrics.backpressure,
        },
    }


def attempts_of(view: InstanceView, seen: Mapping[str, int]) -> dict[str, int]:
    """How its attempts ended, as dispatchers saw it since it registered."""
    counts = dict(seen)
    if counts.pop("generation", 0) != view.record.generation:
        return {}
    run_ms = counts.pop("run_ms", 0)
    ended = sum(count for name, count in counts.items() if name != "refused")
    return {**counts, "mean_run_ms": run_ms // max(1, ended)} if counts else {}
