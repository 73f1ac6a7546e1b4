"""Instance: one agent server in the registry. Frozen values, no I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum

DEFAULT_POOL = "shared"
#: What may stand in keys, in held records and, as a session's pin, in classes.
INSTANCE_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,127}")


def is_instance_id(text: str) -> bool:
    return INSTANCE_ID.fullmatch(text) is not None


class InstanceStatus(StrEnum):
    """Where an instance stands in the registry."""

    UP = "up"
    DRAINING = "draining"
    DEAD = "dead"


class Health(StrEnum):
    """The roadmap's health words."""

    HEALTHY = "healthy"
    DEGRADED = "degraded"
    UNHEALTHY = "unhealthy"


@dataclass(frozen=True, slots=True)
class HealthComponents:
    """Parts of an instance. What is not known is None, never True."""

    database: bool | None = None
    memory: bool | None = None
    agents: bool | None = None
    channels: bool | None = None


@dataclass(frozen=True, slots=True)
class HealthStatus:
    """Answer of `Instance.health_check()`; `latency_ms` is the time the check took."""

    status: Health
    latency_ms: float
    error: str | None = None
    components: HealthComponents = field(default_factory=HealthComponents)


class Work(StrEnum):
    """What a work probe found: whether a no-op runs where attempts run."""

    DONE = "done"
    #: All slots run attempts that are within their time: nothing can be said.
    BUSY = "busy"
    FAILED = "failed"


@dataclass(frozen=True, slots=True)
class WorkProbe:
    """Answer of `Instance.work_probe()`; `detail` says why it failed."""

    outcome: Work
    detail: str = ""


@dataclass(frozen=True, slots=True)
class InstanceMetrics:
    """Answer of `Instance.get_metrics()`. Usages are shares 0-1, and so is `backpressure`: 0 is at
    ease, 1 is as busy as it can be. What is not known is None."""

    cpu_usage: float | None = None
    memory_usage: float | None = None
    active_sessions: int | None = None
    queued_tasks: int | None = None
    completed_tasks: int | None = None
    failed_tasks: int | None = None
    backpressure: float | None = None


@dataclass(frozen=True, slots=True)
class InstanceConfig:
    """What an instance says of itself when it registers.

    `credentials` is a reference (`env:NAME` or `file:/path`), never a value.
    """

    instance_id: str
    endpoint: str
    driver: str = "grpc"
    capacity: int = 1
    region: str = ""
    pool: str = DEFAULT_POOL
    capabilities: dict[str, str] = field(default_factory=dict)
    workspace_dir: str = ""
    provider: str = "static"
    credentials: str = ""


@dataclass(frozen=True, slots=True)
class InstanceRecord:
    """An instance as the registry holds it.

    `generation` rises by one at each registration. `lease_until_ms` is on Redis's clock.
    """

    config: InstanceConfig
    generation: int
    status: InstanceStatus
    lease_until_ms: int
    registered_ms: int = 0
    slots_used: int = 0
    #: Which start of its process this generation stands for; "" where the instance sees to that.
    boot_id: str = ""
    #: Runs that it took up by itself when it started anew, and that were aborted; of all boots.
    strays_aborted: int = 0
    metrics: InstanceMetrics = field(default_factory=InstanceMetrics)
    #: Judged from probes and from real attempts (policy/health.py), and why.
    health: Health = Health.HEALTHY
    health_reason: str = ""
    #: Moving average of its answers to probes; 0.0 while not known.
    latency_ms: float = 0.0
    components: HealthComponents = field(default_factory=HealthComponents)

    @property
    def instance_id(self) -> str:
        return self.config.instance_id


@dataclass(frozen=True, slots=True)
class HealthEvent:
    """What the registry tells of an instance: `instance.registered`, `.deregistered`, `.degraded`,
    `.unhealthy`, `.recovered`, `.drained`, `.lost` (or `.changed`). `at_ms` is Redis's clock;
    `event_id` is its place in the stream; `generation` is 0 where that is not told."""

    event: str
    instance_id: str
    generation: int
    reason: str
    at_ms: int
    event_id: str
