"""Tenant: who owns tasks. Frozen values, no I/O."""

from __future__ import annotations

import re
from dataclasses import dataclass

from godel_tasks.domain.instance import DEFAULT_POOL
from godel_tasks.domain.requirement import POOLS
from godel_tasks.domain.task import OnUncertain

#: Names that may stand in keys and records: no spaces, no colons.
NAME_PATTERN = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@-]{0,63}")

DEFAULT_MAX_QUEUE = 100_000


def is_name(text: str) -> bool:
    return NAME_PATTERN.fullmatch(text) is not None


def are_pools(text: str) -> bool:
    """Whether it is a pool's name, or several joined by "+"."""
    return all(map(is_name, text.split(POOLS)))


@dataclass(frozen=True, slots=True)
class TenantConfig:
    """What an operator sets.

    `weight` is the share under contention, relative to the other tenants'; `max_queue` bounds the
    tasks that wait, are delayed or on hold.
    """

    tenant_id: str
    weight: float = 1.0
    max_queue: int = DEFAULT_MAX_QUEUE
    #: Its home pool, and behind "+" those that its tasks may spill over to by `fallback`.
    pool: str = DEFAULT_POOL
    on_uncertain: OnUncertain | None = None
    #: Of tasks that name none; "" means the deployment's.
    strategy: str = ""

    @property
    def pools(self) -> tuple[str, ...]:
        """Those that its tasks may run in, its home pool first."""
        return tuple(self.pool.split(POOLS))


@dataclass(frozen=True, slots=True)
class TenantStatus:
    """A tenant with its counters. `slot_ms` is slot time used so far; `average_ms` the moving
    average of one attempt."""

    config: TenantConfig
    depth: int = 0
    in_flight: int = 0
    succeeded: int = 0
    failed: int = 0
    expired: int = 0
    cancelled: int = 0
    slot_ms: float = 0.0
    average_ms: float = 0.0
    virtual_time: float = 0.0
    #: What its attempts used of models, all of them, the retried ones too; as far as instances say.
    tokens_in: int = 0
    tokens_out: int = 0
    tokens_cached: int = 0
    cost_usd: float = 0.0

    @property
    def tokens(self) -> int:
        """All of them."""
        return self.tokens_in + self.tokens_out + self.tokens_cached

    @property
    def submitted(self) -> int:
        """Tasks accepted so far: those that wait, those that run and those that ended."""
        ended = self.succeeded + self.failed + self.expired + self.cancelled
        return self.depth + self.in_flight + ended
