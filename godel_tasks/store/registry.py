"""RegistryCommands: instances in Redis hashes, with lease and generation.

An instance registers (a new generation each time), heartbeats, and leaves. Its hash is written
before its registry lease, so that nobody sees a half-written instance; a stale process, whose
generation is over, can write nothing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from godel_tasks.domain.instance import (
    InstanceConfig,
    InstanceMetrics,
    InstanceStatus,
    is_instance_id,
)
from godel_tasks.errors import InstanceError
from godel_tasks.policy.labels import labels_of
from godel_tasks.store.command import Command, call, pairs, plain, text
from godel_tasks.store.instance_hash import config_fields, metrics_fields, record_of
from godel_tasks.store.keys import (
    EVENTS_KEPT,
    REGISTRY_EVENTS,
    REGISTRY_GENERATIONS,
    REGISTRY_INSTANCES,
    REGISTRY_LABELS,
    REGISTRY_LOST,
    REGISTRY_PROBES,
    InstanceKeys,
)

__all__ = ["Fleet", "RegistryCommands", "SlotsReply", "record_of"]


@dataclass(frozen=True, slots=True)
class Fleet:
    """One look at the registry: Redis's time, the newest event's id, lease ends (ms) by id, and the
    instances that events since the last look name; None where some may have been missed."""

    now_ms: int
    newest_event: str
    leases: dict[str, int]
    changed: tuple[str, ...] | None = ()


@dataclass(frozen=True, slots=True)
class SlotsReply:
    """`status` is "up", "draining", "dead" or "gone" (not registered)."""

    status: str
    generation: int
    granted: int
    used: int
    capacity: int
    orphaned: int
    #: State of its breaker; "" when no slots were asked for.
    breaker: str = ""
    #: This very call made the breaker half-open.
    breaker_moved: bool = False


def _slots_reply(reply: Sequence[Any]) -> SlotsReply:
    generation, granted, used, capacity, orphaned = (int(n) for n in reply[1:6])
    breaker, moved = text(reply[6]), int(reply[7]) == 1
    return SlotsReply(text(reply[0]), generation, granted, used, capacity, orphaned, breaker, moved)


class RegistryCommands:
    """Commands about instances. `now_ms` as for `CellCommands`."""

    def __init__(self, now_ms: Callable[[], int] = lambda: 0) -> None:
        self.now_ms = now_ms

    def register(self, config: InstanceConfig) -> Command[int]:
        """A new generation of the instance, for a day; then `enlist` and `keep` it.

        Raises:
            InstanceError: its id cannot stand in keys and classes.
        """
        if not is_instance_id(config.instance_id):
            raise InstanceError(
                f"instance id {config.instance_id!r} cannot be used",
                hint="use letters, digits and . _ - @, at most 128",
            )
        keys = InstanceKeys.of(config.instance_id)
        return call(
            "register",
            keys=[keys.info, keys.slots, keys.orphans, keys.breaker],
            args=[self.now_ms(), *config_fields(config)],
            decode=int,
        )

    def keep(self, *, instance_id: str) -> Command[int]:
        """Its hash stays until it departs or is forgotten."""
        return plain("PERSIST", InstanceKeys.of(instance_id).info, decode=int)

    def enlist(self, config: InstanceConfig, *, generation: int, lease_ms: int) -> Command[bool]:
        """List a registration whose hash is written: lease, index of what it offers, event. False
        when a newer one is listed already."""
        return call(
            "enlist",
            keys=[
                REGISTRY_INSTANCES,
                REGISTRY_EVENTS,
                REGISTRY_LABELS,
                REGISTRY_GENERATIONS,
                REGISTRY_LOST,
                REGISTRY_PROBES,
            ],
            args=[self.now_ms(), config.instance_id, generation, lease_ms, *labels_of(config)],
            decode=lambda reply: int(reply) == 1,
        )

    def relabel(self, config: InstanceConfig, *, generation: int) -> Command[bool]:
        """Repair the index of a listed instance by its hash; whether it differed."""
        return call(
            "relabel",
            keys=[REGISTRY_INSTANCES, REGISTRY_LABELS, REGISTRY_GENERATIONS],
            args=[config.instance_id, generation, *labels_of(config)],
            decode=lambda reply: int(reply) == 1,
        )

    def find_labelled(self, groups: Sequence[Sequence[str]]) -> Command[tuple[str, ...]]:
        """Ids of instances that have a label of each group; all listed ones for no groups."""
        flat = [part for group in groups for part in (str(len(group)), *group)]
        return call(
            "find_labelled",
            keys=[REGISTRY_LABELS],
            args=[*flat],
            decode=lambda reply: tuple(sorted(map(text, reply))),
        )

    def report(
        self,
        *,
        instance_id: str,
        generation: int,
        metrics: InstanceMetrics,
        draining: bool,
        probed: str = "",
    ) -> Command[bool]:
        """A heartbeat's fields; False when another generation is in force. `probed` is what a
        dispatcher's own probe found, for who judges its health."""
        fields = ["status", "draining" if draining else "up", *metrics_fields(metrics)]
        if probed:
            fields += ["probed", probed]
        return call(
            "report",
            keys=[InstanceKeys.of(instance_id).info],
            args=[generation, *fields],
            decode=lambda reply: text(reply) == "ok",
        )

    def attend(
        self, *, instance_ids: Sequence[str], lease_ms: int, event: str = ""
    ) -> Command[int]:
        """Renew registry leases, never to an earlier end; `event` tells everybody of a change. One
        that was told to be lost is told to have recovered."""
        return call(
            "attend",
            keys=[REGISTRY_INSTANCES, REGISTRY_EVENTS, REGISTRY_GENERATIONS, REGISTRY_LOST],
            args=[self.now_ms(), lease_ms, event, *instance_ids],
            decode=int,
        )

    def claim_boot(
        self, *, instance_id: str, generation: int, dispatcher: str, hold_ms: int
    ) -> Command[str]:
        """Before a new boot is made ready: "ok", "busy" or "stale". Held for `hold_ms`: ask again
        to go on."""
        return call(
            "claim_boot",
            keys=[InstanceKeys.of(instance_id).info],
            args=[self.now_ms(), generation, dispatcher, hold_ms],
            decode=text,
        )

    def reboot(
        self,
        *,
        instance_id: str,
        generation: int,
        dispatcher: str,
        boot_id: str,
        strays_aborted: int = 0,
    ) -> Command[int]:
        """A new generation for a new boot, after `claim_boot`; 0 when it was not to be. Then
        `enlist` it."""
        keys = InstanceKeys.of(instance_id)
        return call(
            "reboot",
            keys=[keys.info, keys.slots, keys.orphans, keys.breaker],
            args=[self.now_ms(), generation, dispatcher, boot_id, strays_aborted],
            decode=int,
        )

    def lose(
        self, *, instance_id: str, generation: int, reason: str, end_now: bool = False
    ) -> Command[bool]:
        """Tell everybody, once for each registration, that its lease is over; `end_now` ends it.
        False when it lives, was told before, or another registration is in force."""
        return call(
            "lose",
            keys=[REGISTRY_INSTANCES, REGISTRY_EVENTS, REGISTRY_GENERATIONS, REGISTRY_LOST],
            args=[self.now_ms(), instance_id, generation, "now" if end_now else "", reason],
            decode=lambda reply: int(reply) == 1,
        )

    def end_lease(self, *, instance_id: str, generation: int) -> Command[bool]:
        """Nobody is there: end the lease of a registration, for all who judge by leases. False
        when another registration is in force."""
        return call(
            "lose",
            keys=[REGISTRY_INSTANCES, REGISTRY_EVENTS, REGISTRY_GENERATIONS, REGISTRY_LOST],
            args=[self.now_ms(), instance_id, generation, "quietly", ""],
            decode=lambda reply: int(reply) == 1,
        )

    def depart(
        self,
        *,
        instance_id: str,
        event: str = "instance.deregistered",
        generation: int = 0,
        reason: str = "",
    ) -> Command[bool]:
        """Take it (or that generation of it) out of the registry; its hash stays until
        `forget`."""
        return call(
            "depart",
            keys=[
                REGISTRY_INSTANCES,
                REGISTRY_EVENTS,
                REGISTRY_LABELS,
                REGISTRY_GENERATIONS,
                REGISTRY_LOST,
                REGISTRY_PROBES,
            ],
            args=[instance_id, generation or "", event, reason],
            decode=lambda reply: int(reply) == 1,
        )

    def forget(self, *, instance_id: str) -> Command[int]:
        keys = InstanceKeys.of(instance_id)
        own = (keys.info, keys.slots, keys.orphans, keys.breaker, keys.health, keys.signals)
        return plain("DEL", *own, decode=int)

    def set_status(self, *, instance_id: str, status: InstanceStatus) -> Command[int]:
        return plain("HSET", InstanceKeys.of(instance_id).info, "status", status.value, decode=int)

    def change(
        self, *, instance_id: str, draining: bool | None = None, capacity: int | None = None
    ) -> Command[bool]:
        """What an operator wants of it; heartbeats do not undo it. False when it is not
        registered. Then `tell` of it."""
        return call(
            "change_instance",
            keys=[InstanceKeys.of(instance_id).info],
            args=[
                "-" if draining is None else int(draining),
                "-" if capacity is None else capacity,
            ],
            decode=lambda reply: int(reply) == 1,
        )

    def tell(
        self, *, instance_id: str, event: str, generation: int = 0, reason: str = ""
    ) -> Command[str]:
        """Tell everybody who keeps a snapshot that the instance has changed."""
        fields = ("event", event, "instance", instance_id)
        more = ("generation", generation or "", "reason", reason)
        kept = ("MAXLEN", "~", EVENTS_KEPT, "*")
        return plain("XADD", REGISTRY_EVENTS, *kept, *fields, *more, decode=text)

    def expire_info(self, *, instance_id: str, after_ms: int) -> Command[int]:
        """Let the hash of a dead instance go by itself after a while."""
        return plain("PEXPIRE", InstanceKeys.of(instance_id).info, after_ms, decode=int)

    def fleet(self, *, since: str = "") -> Command[Fleet]:
        """`since` is the newest event of the look before; "" asks for no events."""
        return call(
            "fleet",
            keys=[REGISTRY_INSTANCES, REGISTRY_EVENTS],
            args=[self.now_ms(), since],
            decode=lambda reply: Fleet(
                int(reply[0]),
                text(reply[1]),
                {name: int(float(end)) for name, end in pairs(reply[2]).items()},
                tuple(map(text, reply[3])) if isinstance(reply[3], list) else None,
            ),
        )

    def fields(self, *, instance_id: str) -> Command[dict[str, str]]:
        """The instance's hash, empty when there is none."""
        return plain(
            "HGETALL",
            InstanceKeys.of(instance_id).info,
            decode=lambda reply: {text(k): text(v) for k, v in reply.items()},
        )

    def slots(
        self,
        *,
        instance_id: str,
        generation: int,
        dispatcher: str,
        first: int = 0,
        count: int = 0,
        free: Sequence[str] = (),
    ) -> Command[SlotsReply]:
        """Give slots back and take `count` new ones, numbered from `first`. May be repeated."""
        keys = InstanceKeys.of(instance_id)
        return call(
            "slots",
            keys=[keys.info, keys.slots, keys.orphans, keys.breaker],
            args=[self.now_ms(), generation, dispatcher, first, count, *free],
            decode=_slots_reply,
        )

    def slots_used(self, *, instance_id: str) -> tuple[Command[int], Command[int]]:
        """How many slots are held, and how many orphaned."""
        keys = InstanceKeys.of(instance_id)
        return plain("HLEN", keys.slots, decode=int), plain("HLEN", keys.orphans, decode=int)

    def slot_names(self, *, instance_id: str) -> Command[tuple[str, ...]]:
        """Names of the slots in use that are not orphaned: "<dispatcher>/<number>"."""
        return plain(
            "HKEYS",
            InstanceKeys.of(instance_id).slots,
            decode=lambda reply: tuple(map(text, reply)),
        )

    def orphan(
        self, *, instance_id: str, owner: str, slots: Mapping[str, str], free_rest: bool
    ) -> Command[int]:
        """Slots (name → attempt's key) whose run may go on unattended. `free_rest` frees the
        owner's other slots: after its death only."""
        keys = InstanceKeys.of(instance_id)
        flat = [part for pair in slots.items() for part in pair]
        return call(
            "orphan_slots",
            keys=[keys.slots, keys.orphans],
            args=[owner, int(free_rest), *flat],
            decode=lambda reply: int(reply[0]),
        )

    def orphans(self, *, instance_id: str) -> Command[dict[str, str]]:
        """Orphaned slots: name → attempt's key."""
        return plain(
            "HGETALL",
            InstanceKeys.of(instance_id).orphans,
            decode=lambda reply: {text(k): text(v) for k, v in reply.items()},
        )
