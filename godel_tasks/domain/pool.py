"""Pool: a trust domain of instances, and what its new instances are made from. Frozen, no I/O."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from godel_tasks.domain.instance import DEFAULT_POOL, InstanceConfig


@dataclass(frozen=True, slots=True)
class InstanceTemplate:
    """What a provider makes an instance of a pool from.

    `options` are the provider's own: `handler` (process, grpc), `image` (docker), `workload`
    (kubernetes), and so on; a provider refuses what it does not know.
    """

    pool: str
    provider: str = "process"
    driver: str = "grpc"
    capacity: int = 1
    region: str = ""
    capabilities: dict[str, str] = field(default_factory=dict)
    options: dict[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class PoolConfig:
    """A pool as it was declared; `shared` is there without being declared.

    Without a template nothing is made in it: its instances come by themselves or are added by hand.
    A rolling restart leaves at least `min_available` instances that take work. With `replace`, an
    instance that was made here, died and is still dead after `replace_after_s` is removed and
    another one made in its place: the count stays, only the autoscaler changes it. How many there
    are to be, and how many of them idle (a warm pool), says the pool's scaling policy.
    """

    name: str = DEFAULT_POOL
    template: InstanceTemplate | None = None
    min_available: int = 0
    replace: bool = False
    replace_after_s: float = 10.0


@dataclass(frozen=True, slots=True)
class ProvidedInstance:
    """An instance as its provider sees it, whether or not the registry knows it."""

    instance_id: str
    #: "" where what was made is only half there: nothing is known of it but its id.
    pool: str
    running: bool
    #: The provider's own words: a pid, a container's or a pod's name.
    detail: str = ""
    #: How it is registered, where its driver's instances do not register by themselves.
    config: InstanceConfig | None = None


class Wanted(StrEnum):
    """What is to become of an instance that was made for a pool."""

    #: Somebody makes it at this moment, or has died over it (then `until_ms` is past).
    MAKING = "making"
    UP = "up"
    #: An operator has stopped it: it is not to be replaced.
    STOPPED = "stopped"
    #: It is being removed; whoever sees it later finishes that.
    LEAVING = "leaving"


@dataclass(frozen=True, slots=True)
class MadeInstance:
    """What is written down about an instance before it is made, until it is removed.

    `place` is the provider's (see `Provider.place`); times are on Redis's clock. `deaths` counts
    its forerunners that were replaced, each before it had lived for long.
    """

    instance_id: str
    pool: str
    provider: str
    driver: str
    place: str
    wanted: Wanted
    since_ms: int
    #: Until then whoever makes (or replaces) it is at it, and everybody else leaves it alone.
    until_ms: int = 0
    deaths: int = 0
    #: The dead one that this one was made to replace; "" for none.
    instead_of: str = ""
