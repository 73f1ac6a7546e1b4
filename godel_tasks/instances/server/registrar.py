"""What an instance process needs of the registry. The Redis-backed one stands in the store."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, Protocol

from godel_tasks.domain.instance import InstanceConfig, InstanceMetrics


class Heartbeat(NamedTuple):
    """One sign of life of one instance."""

    instance_id: str
    #: The registration that this process holds.
    generation: int
    metrics: InstanceMetrics
    #: It finishes what it runs and refuses anything new.
    draining: bool


class Registrar(Protocol):
    """The registry as an instance process sees it.

    Every method may raise `StoreUnavailable`; the process then goes on serving and tries again.
    """

    async def register(self, configs: Sequence[InstanceConfig]) -> dict[str, int]:
        """Make these instances known and alive.

        Returns: the generation of each id, higher than any that it had before.
        """
        ...

    async def heartbeat(self, beats: Sequence[Heartbeat]) -> None:
        """Renew the leases of these registrations and report their metrics.

        Raises:
            StaleWriter: one of them was registered again by somebody, or was declared dead.
        """
        ...

    async def deregister(self, generations: Mapping[str, int]) -> None:
        """Forget these registrations ({instance id: generation}); one that was replaced by a
        newer generation is left alone, without an error."""
        ...
