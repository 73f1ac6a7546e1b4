"""What a dispatcher is told, and what it is given to work with."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from godel_tasks.clock import Clock
from godel_tasks.domain.breaker import BreakerConfig
from godel_tasks.domain.task import OnUncertain
from godel_tasks.events import EventBus
from godel_tasks.instances.instance import Driver
from godel_tasks.policy.massloss import MassLossRules
from godel_tasks.policy.retry import RetryRules
from godel_tasks.store.decisions import DecisionCommands
from godel_tasks.store.executor import Executor
from godel_tasks.store.leases import LeaseCommands
from godel_tasks.store.lookup import LookupCommands
from godel_tasks.store.progress import ProgressCommands
from godel_tasks.store.queue import GlobalTaskQueue
from godel_tasks.store.registry import RegistryCommands
from godel_tasks.store.sessions import SessionCommands
from godel_tasks.store.tenants import TenantCommands

if TYPE_CHECKING:
    from godel_tasks.dispatch.outcome import Outcome


@dataclass(frozen=True, slots=True)
class DispatchConfig:
    """Numbers of one dispatcher; see `Settings` for their meaning. Times are in the unit that
    the name says."""

    lease_ms: int = 3000
    renew_every_ms: int = 750
    lease_safety_ms: int = 2000
    instance_lease_ms: int = 3000
    #: Of instances that dispatchers attend: a busy gateway answers late.
    attended_lease_ms: int = 15_000
    #: Out of a dispatcher's reach for so long, an instance's attempts are lost to it.
    unreachable_after_ms: int = 6000
    ageing_step_ms: int = 60_000
    #: How far behind the served virtual time a tenant may lag when its class was blocked.
    max_lag: float = 10_000.0
    claim_batch: int = 256
    max_in_flight: int = 4000
    attempt_timeout_ms: int = 900_000
    drain_timeout_s: float = 30.0
    unroutable_after_ms: int = 600_000
    #: How long a hold without a deadline waits for a person.
    hold_for_ms: int = 86_400_000
    on_uncertain: OnUncertain = OnUncertain.RETRY
    strategy: str = "least-loaded"
    #: For `geo-aware` where no list is given: our own region, then the others in order.
    region_order: tuple[str, ...] = ()
    retry: RetryRules = field(default_factory=RetryRules)
    breaker: BreakerConfig = field(default_factory=BreakerConfig)
    #: Whether ends of attempts move the breakers of instances, and of what stands behind them.
    instance_breakers: bool = True
    provider_breakers: bool = True
    mass_loss: MassLossRules = field(default_factory=MassLossRules)


class ResultSink(Protocol):
    """Where terminal results go (Celery's result backend)."""

    async def publish(self, results: Sequence[tuple[str, bytes]]) -> None:
        """Write results (task id, encoded meta) and wake who waits for them. May be repeated with
        the same bytes.

        Raises:
            StoreUnavailable: nothing may be assumed; the caller repeats.
        """
        ...


class Follower(Protocol):
    """Does what follows from the end of a task: links, the next of a chain, its part in a chord."""

    def follow(self, task_id: str, outcome: Outcome, canvas: bytes) -> bool:
        """All of it; False when some has to wait: then call again, later. Blocks. May be repeated,
        also by another process."""
        ...


class Waker(Protocol):
    """Blocks until a cell has a token for us."""

    async def wait(self, wake_key: str, timeout_s: float) -> str | None:
        """The token that came within the time: "class tasks", or "-" for whatever waits.

        Raises:
            StoreUnavailable: Redis did not answer.
        """
        ...


class CellStore:
    """The groups of commands of one cell."""

    def __init__(self, cell: int = 0, now_ms: Callable[[], int] = lambda: 0) -> None:
        self.cell = cell
        self.queue = GlobalTaskQueue(cell, now_ms)
        self.leases = LeaseCommands(cell, now_ms)
        self.tenants = TenantCommands(cell, now_ms)
        self.lookup = LookupCommands(cell, now_ms)
        self.progress = ProgressCommands(cell, now_ms)
        self.decisions = DecisionCommands(cell, now_ms)
        self.sessions = SessionCommands(cell, now_ms)


@dataclass(frozen=True, slots=True)
class Ports:
    """What a dispatcher works with; a simulation gives its own."""

    store: Executor
    waker: Waker
    sink: ResultSink
    clock: Clock
    rng: random.Random
    driver_named: Callable[[str], Driver]
    cells: tuple[CellStore, ...]
    registry: RegistryCommands
    bus: EventBus
    #: None: no task that anything follows may be submitted.
    follower: Follower | None = None
