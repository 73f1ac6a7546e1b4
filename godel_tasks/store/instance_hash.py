"""An instance's hash: its fields from values, and the record that they make."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import msgspec

from godel_tasks.domain.instance import (
    Health,
    HealthComponents,
    InstanceConfig,
    InstanceMetrics,
    InstanceRecord,
    InstanceStatus,
)


def config_fields(config: InstanceConfig) -> list[str]:
    return [
        *("endpoint", config.endpoint, "driver", config.driver, "capacity", str(config.capacity)),
        *("region", config.region, "pool", config.pool, "provider", config.provider),
        *("workspace_dir", config.workspace_dir, "credentials", config.credentials),
        *("capabilities", msgspec.json.encode(config.capabilities).decode()),
    ]


def metrics_fields(metrics: InstanceMetrics) -> list[str]:
    fields: list[str] = []
    for name in msgspec.structs.fields(_Metrics):
        value = getattr(metrics, name.name)
        fields += (name.name, "" if value is None else str(value))
    return fields


_decode_components = msgspec.json.Decoder(dict[str, bool]).decode


class _Metrics(msgspec.Struct):
    cpu_usage: float | None
    memory_usage: float | None
    active_sessions: int | None
    queued_tasks: int | None
    completed_tasks: int | None
    failed_tasks: int | None
    backpressure: float | None


def _metrics(fields: Mapping[str, str]) -> InstanceMetrics:
    def number(name: str, kind: Callable[[str], Any]) -> Any:
        value = fields.get(name, "")
        return kind(value) if value else None

    return InstanceMetrics(
        number("cpu_usage", float),
        number("memory_usage", float),
        number("active_sessions", int),
        number("queued_tasks", int),
        number("completed_tasks", int),
        number("failed_tasks", int),
        number("backpressure", float),
    )


def record_of(instance_id: str, fields: Mapping[str, str], lease_until_ms: int) -> InstanceRecord:
    """An instance from its hash."""
    config = InstanceConfig(
        instance_id=instance_id,
        endpoint=fields["endpoint"],
        driver=fields["driver"],
        capacity=int(fields["capacity"]),
        region=fields["region"],
        pool=fields["pool"],
        capabilities=msgspec.json.decode(fields["capabilities"], type=dict[str, str]),
        workspace_dir=fields["workspace_dir"],
        provider=fields["provider"],
        credentials=fields["credentials"],
    )
    return InstanceRecord(
        config=config,
        generation=int(fields["generation"]),
        status=InstanceStatus(fields["status"]),
        lease_until_ms=lease_until_ms,
        registered_ms=int(fields.get("registered_ms", "0")),
        boot_id=fields.get("boot_id", ""),
        strays_aborted=int(fields.get("strays_aborted", "0")),
        metrics=_metrics(fields),
        health=Health(fields.get("health") or Health.HEALTHY),
        health_reason=fields.get("health_reason", ""),
        latency_ms=float(fields.get("latency_ms") or 0.0),
        components=HealthComponents(**_decode_components(fields.get("components") or "{}")),
    )
