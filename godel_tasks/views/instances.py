"""Instances as they stand: the registry's records, judged by their leases on Redis's time."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from godel_tasks.domain.instance import InstanceConfig, InstanceRecord, InstanceStatus
from godel_tasks.errors import UnknownInstance
from godel_tasks.store.command import Command
from godel_tasks.store.registry import RegistryCommands, record_of

if TYPE_CHECKING:
    from godel_tasks.runtime import Runtime


@dataclass(frozen=True, slots=True)
class InstanceView:
    """`status` is DEAD when the lease is over, whatever the instance last said. `slots_used`
    counts orphaned ones too; `lease_left_ms` is below 0 when it is over."""

    record: InstanceRecord
    status: InstanceStatus
    slots_used: int
    slots_orphaned: int
    lease_left_ms: int

    @property
    def config(self) -> InstanceConfig:
        return self.record.config


def all_instances(runtime: Runtime) -> list[InstanceView]:
    """Every registered instance, by id."""
    fleet = runtime.store.run(runtime.registry.fleet())
    return _read(runtime, dict(sorted(fleet.leases.items())), fleet.now_ms)


def instance_named(runtime: Runtime, instance_id: str) -> InstanceView:
    """One instance; a dead one too, for an hour.

    Raises:
        UnknownInstance: with the nearest id that exists.
    """
    fleet = runtime.store.run(runtime.registry.fleet())
    found = _read(runtime, {instance_id: fleet.leases.get(instance_id, 0)}, fleet.now_ms)
    if not found:
        raise unknown_instance(instance_id, list(fleet.leases))
    return found[0]


def unknown_instance(instance_id: str, known: Sequence[str]) -> UnknownInstance:
    near = difflib.get_close_matches(instance_id, known, n=1)
    return UnknownInstance(
        f"no instance is called {instance_id!r}",
        hint=f"did you mean {near[0]!r}?" if near else "look with `godel instances list`",
    )


def _read(runtime: Runtime, leases: dict[str, int], now_ms: int) -> list[InstanceView]:
    replies = runtime.store.pipeline(view_commands(runtime.registry, leases))
    return views_of(leases, replies, now_ms)


def view_commands(registry: RegistryCommands, instance_ids: Iterable[str]) -> list[Command[Any]]:
    """What is to be asked for `views_of`."""
    commands: list[Command[Any]] = []
    for instance_id in instance_ids:
        commands.append(registry.fields(instance_id=instance_id))
        commands.extend(registry.slots_used(instance_id=instance_id))
    return commands


def views_of(leases: Mapping[str, int], replies: Sequence[Any], now_ms: int) -> list[InstanceView]:
    """The instances of these registry leases, from the replies to `view_commands`."""
    views = []
    for i, (instance_id, lease_until) in enumerate(leases.items()):
        fields, held, orphaned = replies[3 * i : 3 * i + 3]
        if "generation" not in fields:
            continue
        record = record_of(instance_id, fields, lease_until)
        status = record.status if lease_until > now_ms else InstanceStatus.DEAD
        views.append(InstanceView(record, status, held + orphaned, orphaned, lease_until - now_ms))
    return views
