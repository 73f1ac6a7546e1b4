"""Pool: a trust domain of instances, and what its new instances are made from. Frozen, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class InstanceTemplate:
    """What a provider makes an instance of a pool from.

    `options` are the provider's own: `handler` (process, grpc), `image` (docker), `namespace` and
    `workload` (kubernetes), and so on; a provider refuses what it does not know.
    """

    pool: str
    provider: str = "process"
    driver: str = "grpc"
    capacity: int = 1
    region: str = ""
    capabilities: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class ProvidedInstance:
    """An instance as its provider sees it, whether or not the registry knows it."""

    instance_id: str
    pool: str
    running: bool
    #: The provider's own words: a pid, a container's or a pod's name.
    detail: str = ""
