"""The contract of routing strategies, and how a strategy is written. Implementations stand in
`strategies/`; others may add theirs by the entry point group `godel.strategies`.

A strategy is written as its name, and where it takes a list, `name=item,item`:

| text | meaning |
|---|---|
| `least-loaded`, `round-robin`, `capability-aware` | by themselves |
| `geo-aware=eu,us` | regions in this order, then any other; without a list the deployment's order |
| `fallback=geo-aware,least-loaded@us,least-loaded/spare` | a chain of steps: a strategy each,
  and where given a region (`@`) and a pool (`/`) |
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import lru_cache
from typing import Protocol

from godel_tasks.domain.requirement import RequirementClass


@dataclass(slots=True)
class Candidate:
    """An instance while a tick's slots are planned: `free` goes down as slots are planned on it."""

    instance_id: str
    capacity: int
    free: int
    region: str = ""
    pool: str = ""
    capabilities: Mapping[str, str] = field(default_factory=dict)
    #: Moving average of its answers to probes; 0.0 while not known.
    latency_ms: float = 0.0
    #: How busy it says it is, 0-1, whatever its slots say.
    backpressure: float = 0.0
    degraded: bool = False
    #: What waits on it beside what it runs.
    queued: int = 0

    @property
    def load(self) -> float:
        """Share of its slots in use, 0-1."""
        return 1.0 - self.free / self.capacity if self.capacity else 1.0

    @property
    def strain(self) -> float:
        """Its load, or what it says of itself where that is more; and one whole load more when it
        is degraded, so that healthy ones are filled first."""
        return max(self.load, self.backpressure) + (1.0 if self.degraded else 0.0)

    def strain_text(self) -> str:
        """`strain` in words."""
        parts = [f"load {self.load:.2f}"]
        if self.backpressure > self.load:
            parts.append(f"backpressure {self.backpressure:.2f}")
        if self.degraded:
            parts.append("degraded")
        return ", ".join(parts)


@dataclass(frozen=True, slots=True)
class StrategySpec:
    """A strategy as it was written, taken apart."""

    name: str
    items: tuple[str, ...] = ()

    def __str__(self) -> str:
        return f"{self.name}={','.join(self.items)}" if self.items else self.name


@dataclass(frozen=True, slots=True)
class FallbackStep:
    """One step of `fallback`: "" means the default strategy, any region, the home pool."""

    strategy: str = ""
    region: str = ""
    pool: str = ""

    def __str__(self) -> str:
        region = f"@{self.region}" if self.region else ""
        pool = f"/{self.pool}" if self.pool else ""
        return f"{self.strategy}{region}{pool}"


@lru_cache(maxsize=1024)
def spec_of_strategy(text: str) -> StrategySpec:
    name, _, items = text.partition("=")
    return StrategySpec(name, tuple(items.split(",")) if items else ())


@lru_cache(maxsize=1024)
def steps_of(spec: StrategySpec) -> tuple[FallbackStep, ...]:
    """The steps of a `fallback`."""
    steps = []
    for item in spec.items:
        head, _, pool = item.partition("/")
        strategy, _, region = head.partition("@")
        steps.append(FallbackStep(strategy, region, pool))
    return tuple(steps)


@dataclass(frozen=True, slots=True)
class RoutingRequest:
    """What is to be routed: its class, and what the deployment says. `region_order` is where to
    go when the strategy does not say: the dispatcher's own region first."""

    wanted: RequirementClass
    spec: StrategySpec
    region_order: tuple[str, ...] = ()


#: Lower is better; tiers before scores. Equals take turns at random.
Score = tuple[int, float]


class Strategy(Protocol):
    """Scores candidates that passed every hard filter and have a free slot. It may keep a memory
    of its own picks: a dispatcher has one object of each, for as long as it lives."""

    name: str

    def score(self, candidate: Candidate, request: RoutingRequest) -> Score:
        """How well it suits right now; asked again after each pick."""
        ...

    def why(self, candidate: Candidate, request: RoutingRequest) -> str:
        """The score in words."""
        ...

    def picked(self, candidate: Candidate, count: int, request: RoutingRequest) -> None:
        """So many slots were planned on it."""
        ...
