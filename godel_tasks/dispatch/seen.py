"""SeenInstance: what a dispatcher's snapshot keeps of one instance."""

from __future__ import annotations

from godel_tasks.domain.breaker import INSTANCE_BREAKER
from godel_tasks.domain.instance import Health, InstanceRecord
from godel_tasks.policy.blame import breakers_behind
from godel_tasks.policy.strategy import Candidate


class SeenInstance:
    """An instance in the view: its record, and how many slots seem to be used."""

    __slots__ = ("candidate", "cool_until", "guards", "lease_until_ms", "record", "used")

    def __init__(self, record: InstanceRecord) -> None:
        self.record = record
        self.candidate = candidate_of(record)
        #: Names of the breakers before it: its own, and those of what stands behind it.
        self.guards = guards_of(record)
        self.used = record.slots_used
        self.cool_until = 0.0
        #: As of the last look: the record's own is older.
        self.lease_until_ms = record.lease_until_ms


def guards_of(record: InstanceRecord) -> tuple[str, ...]:
    return INSTANCE_BREAKER + record.instance_id, *breakers_behind(record.config.capabilities)


def candidate_of(record: InstanceRecord) -> Candidate:
    """An instance as strategies score it; its free slots are for the tick to say."""
    config, metrics = record.config, record.metrics
    return Candidate(
        config.instance_id,
        config.capacity,
        0,
        config.region,
        config.pool,
        config.capabilities,
        record.latency_ms,
        metrics.backpressure or 0.0,
        record.health is Health.DEGRADED,
        metrics.queued_tasks or 0,
    )
