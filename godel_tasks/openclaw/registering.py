"""A gateway does not register itself: whoever starts or adds it does, and dispatchers attend it."""

from __future__ import annotations

from typing import Protocol

from godel_tasks.domain.instance import InstanceConfig, InstanceStatus
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
    registry, store = runtime.registry, runtime.store
    generation = store.run(registry.register(config))
    if not lease_ms:
        # Or it would be given work before what it runs by itself is looked at.
        status = InstanceStatus.DEAD
        store.run(registry.set_status(instance_id=config.instance_id, status=status))
    store.run(
        registry.attend(
            instance_ids=[config.instance_id], lease_ms=lease_ms, event="instance.registered"
        )
    )
    store.run(registry.keep(instance_id=config.instance_id))
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
    registry, store = runtime.registry, runtime.store
    store.run(registry.depart(instance_id=instance_id))
    store.run(registry.forget(instance_id=instance_id))
