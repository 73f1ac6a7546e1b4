"""A gateway does not register itself: whoever starts or adds it does, and dispatchers attend it."""

from __future__ import annotations

from typing import Any, Protocol

from godel_tasks.domain.instance import InstanceConfig, InstanceStatus
from godel_tasks.store.command import Command
from godel_tasks.store.executor import SyncExecutor
from godel_tasks.store.registry import RegistryCommands


class RegistryAccess(Protocol):
    """What is needed of a `Runtime`."""

    @property
    def registry(self) -> RegistryCommands: ...

    @property
    def store(self) -> SyncExecutor: ...


def register_instance(runtime: RegistryAccess, config: InstanceConfig, *, lease_ms: int = 0) -> int:
    """Register it; its new generation. With a lease of 0 it counts as dead until the first
    dispatcher reaches it: the lease of a gateway is the dispatchers' to give."""
    generation = runtime.store.run(runtime.registry.register(config))
    for command in listing(runtime.registry, config, generation, lease_ms=lease_ms):
        runtime.store.run(command)
    return generation


def drain_gateway(runtime: RegistryAccess, instance_id: str) -> bool:
    """From now on it is given nothing new. False when it is not registered."""
    registry, store = runtime.registry, runtime.store
    if not store.run(registry.change(instance_id=instance_id, draining=True)):
        return False
    store.run(registry.tell(instance_id=instance_id, event="instance.changed"))
    return True


def deregister_instance(runtime: RegistryAccess, instance_id: str) -> None:
    """Take it out of the registry; idempotent."""
    for command in deregistration(runtime.registry, instance_id):
        runtime.store.run(command)


def listing(
    registry: RegistryCommands, config: InstanceConfig, generation: int, *, lease_ms: int = 0
) -> list[Command[Any]]:
    """What `register_instance` says to the store after `register`, one after the other."""
    name = config.instance_id
    # Or it would be given work before what it runs by itself is looked at.
    dead = [registry.set_status(instance_id=name, status=InstanceStatus.DEAD)]
    return [
        *([] if lease_ms else dead),
        registry.enlist(config, generation=generation, lease_ms=lease_ms),
        registry.keep(instance_id=name),
    ]


def deregistration(
    registry: RegistryCommands, instance_id: str, *, event: str = "instance.deregistered"
) -> list[Command[Any]]:
    """What `deregister_instance` says to the store, one after the other."""
    return [
        registry.depart(instance_id=instance_id, event=event),
        registry.forget(instance_id=instance_id),
    ]
