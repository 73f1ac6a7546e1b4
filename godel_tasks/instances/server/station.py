"""Station: the instances of one process behind one endpoint, free of any transport."""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterable, Mapping, Sequence

from godel_tasks.domain.attempt import Delivery
from godel_tasks.domain.instance import Health, InstanceMetrics
from godel_tasks.errors import UnknownInstance
from godel_tasks.instances.attempts import Refusal, rejected, rejected_key
from godel_tasks.instances.server.host import InstanceHost, Peer

#: Shares of processor and memory in use, 0-1; None where it is not known.
Usage = Callable[[], tuple[float | None, float | None]]


def unknown_usage() -> tuple[None, None]:
    return None, None


class Station:
    """Hands batches to the hosts they name.

    `boot_id` changes with every new station: who sees another one knows that all was forgotten.
    """

    def __init__(
        self, hosts: Iterable[InstanceHost], usage: Usage = unknown_usage, *, boot_id: str = ""
    ) -> None:
        self.boot_id = boot_id or uuid.uuid4().hex
        self.hosts = {host.config.instance_id: host for host in hosts}
        self._usage = usage

    def __repr__(self) -> str:
        return f"<Station {self.boot_id[:8]} {', '.join(self.hosts)}: {self.running} running>"

    @property
    def running(self) -> int:
        """Attempts that hold a slot now."""
        return sum(len(host.table.running) for host in self.hosts.values())

    @property
    def draining(self) -> bool:
        return any(host.table.draining for host in self.hosts.values())

    def host(self, instance_id: str) -> InstanceHost:
        """Raises: UnknownInstance."""
        try:
            return self.hosts[instance_id]
        except KeyError:
            raise UnknownInstance(
                f"instance {instance_id!r} is not served here",
                hint=f"served here: {', '.join(self.hosts)}",
            ) from None

    def deliver(self, deliveries: Iterable[Delivery], peer: Peer) -> None:
        hosts = self.hosts
        for delivery in deliveries:
            host = hosts.get(delivery.instance_id)
            if host is not None:
                host.deliver(delivery, peer)
            else:
                message = f"instance {delivery.instance_id!r} is not served here"
                peer.send(rejected(delivery, Refusal.UNKNOWN_INSTANCE, message))

    def cancel(self, instance_id: str, keys: Sequence[str], peer: Peer) -> None:
        host = self.hosts.get(instance_id)
        for key in keys:
            if host is not None:
                host.cancel(key, peer)
            else:
                message = f"instance {instance_id!r} is not served here"
                peer.send(rejected_key(key, instance_id, Refusal.UNKNOWN_INSTANCE, message))

    def acknowledge(self, instance_id: str, keys: Sequence[str]) -> None:
        host = self.hosts.get(instance_id)
        if host is not None:
            host.acknowledge(keys)

    def detach(self, peer: Peer) -> None:
        for host in self.hosts.values():
            host.detach(peer)

    def register(self, generations: Mapping[str, int]) -> None:
        """The registry knows these instances under these generations from now on."""
        for instance_id, generation in generations.items():
            self.hosts[instance_id].table.generation = generation

    def drain(self) -> None:
        """Refuse everything new; what runs goes on."""
        for host in self.hosts.values():
            host.table.draining = True

    def close(self) -> None:
        for host in self.hosts.values():
            host.close()

    def health(self, instance_id: str) -> tuple[Health, str]:
        """Health with a reason. Raises: UnknownInstance."""
        host = self.host(instance_id)
        if host.table.draining:
            return Health.DEGRADED, "the instance is draining"
        if host.stuck:
            held = f"{host.stuck} of {host.table.capacity} slots are held"
            return Health.DEGRADED, f"{held} by attempts that were stopped, and go on"
        return Health.HEALTHY, ""

    def metrics(self, instance_id: str) -> InstanceMetrics:
        """Usages are those of the whole process. Raises: UnknownInstance."""
        host = self.host(instance_id)
        cpu, memory = self._usage()
        return InstanceMetrics(
            cpu_usage=cpu,
            memory_usage=memory,
            active_sessions=len(host.sessions),
            queued_tasks=0,  # it queues nothing: what it cannot start it refuses
            completed_tasks=host.completed,
            failed_tasks=host.failed,
        )
