"""HealthCommands: probes that are due, what dispatchers see of attempts, verdicts on instances."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass

import msgspec

from godel_tasks.domain.instance import Health, HealthComponents, HealthStatus
from godel_tasks.store.command import Command, call, plain, text
from godel_tasks.store.keys import (
    REGISTRY_GENERATIONS,
    REGISTRY_INSTANCES,
    REGISTRY_PROBES,
    InstanceKeys,
)

#: How long memory of an instance's health is kept after its last probe, in milliseconds.
KEPT_MS = 3_600_000


@dataclass(frozen=True, slots=True)
class DueProbes:
    """Instances that are ours to probe until `held_until_ms` on Redis's clock."""

    held_until_ms: int
    instance_ids: tuple[str, ...]


class NotedProbe(msgspec.Struct, frozen=True, omit_defaults=True):
    """What a dispatcher's own probe of an attended instance found, as its hash keeps it."""

    at_ms: int
    status: str
    latency_ms: float
    error: str = ""
    components: dict[str, bool] = {}

    @classmethod
    def of(cls, health: HealthStatus, at_ms: float) -> NotedProbe:
        parts = {k: v for k, v in asdict(health.components).items() if v is not None}
        error = health.error or ""
        return cls(int(at_ms), health.status.value, health.latency_ms, error, parts)

    def text(self) -> str:
        return msgspec.json.encode(self).decode()

    def answer(self) -> HealthStatus:
        components = HealthComponents(**self.components)
        return HealthStatus(Health(self.status), self.latency_ms, self.error or None, components)


class HealthCommands:
    """Commands about health. `now_ms` as for `CellCommands`."""

    def __init__(self, now_ms: Callable[[], int] = lambda: 0) -> None:
        self.now_ms = now_ms

    def claim_probes(self, *, limit: int, every_ms: int, hold_ms: int) -> Command[DueProbes]:
        """Take up to `limit` instances whose probe is due. Those that were never scheduled are
        spread over `every_ms`."""
        return call(
            "claim_probes",
            keys=[REGISTRY_INSTANCES, REGISTRY_PROBES],
            args=[self.now_ms(), limit, every_ms, hold_ms],
            decode=lambda reply: DueProbes(int(reply[0]), tuple(map(text, reply[1]))),
        )

    def probed(self, *, held_until_ms: int, next_in_ms: Mapping[str, int]) -> Command[int]:
        """When those that were taken are due again. One that somebody else took since is left
        alone."""
        flat = [part for pair in next_in_ms.items() for part in pair]
        return call(
            "probed",
            keys=[REGISTRY_PROBES],
            args=[self.now_ms(), held_until_ms, *flat],
            decode=int,
        )

    def note(
        self, *, instance_id: str, generation: int, memory: str, fields: Mapping[str, str]
    ) -> Command[bool]:
        """A verdict, into the instance's hash; False when another generation is in force."""
        keys = InstanceKeys.of(instance_id)
        flat = [part for pair in fields.items() for part in pair]
        return call(
            "note_health",
            keys=[keys.info, keys.health],
            args=[generation, memory, KEPT_MS, *flat],
            decode=lambda reply: text(reply) == "ok",
        )

    def told(self, *, instance_id: str, generation: int, health: str) -> Command[bool]:
        """Everybody was told of this health; fenced as `note`."""
        return call(
            "report",
            keys=[InstanceKeys.of(instance_id).info],
            args=[generation, *("health_told", health)],
            decode=lambda reply: text(reply) == "ok",
        )

    def memory(self, *, instance_id: str) -> Command[str]:
        """What the last judge remembered; "" when nothing."""
        key = InstanceKeys.of(instance_id).health
        return plain("GET", key, decode=lambda reply: text(reply) if reply else "")

    def count_ends(
        self, *, instance_id: str, generation: int, counts: Mapping[str, int]
    ) -> Command[bool]:
        """Add to what all dispatchers saw; False when another generation is in force."""
        keys = InstanceKeys.of(instance_id)
        flat = [part for pair in counts.items() for part in pair]
        return call(
            "count_ends",
            keys=[keys.info, keys.signals],
            args=[generation, KEPT_MS, *flat],
            decode=lambda reply: text(reply) == "ok",
        )

    def signals(self, *, instance_id: str) -> Command[dict[str, int]]:
        """What dispatchers saw: `generation`, and counts by name; empty when nothing."""
        return plain(
            "HGETALL",
            InstanceKeys.of(instance_id).signals,
            decode=lambda reply: {text(k): int(v) for k, v in reply.items()},
        )

    def listed(self) -> Command[dict[str, int]]:
        """Generations that the registry lists, by instance."""
        return plain(
            "HGETALL",
            REGISTRY_GENERATIONS,
            decode=lambda reply: {text(k): int(v) for k, v in reply.items()},
        )

    def declare_dead(self, *, instance_id: str, generation: int) -> Command[bool]:
        """End a registration whose process goes on: it must register anew. Then `lose` it. False
        when another generation is in force."""
        return call(
            "declare_dead",
            keys=[InstanceKeys.of(instance_id).info],
            args=[generation],
            decode=lambda reply: int(reply) == 1,
        )
