"""The `Provider` contract: how instances are made and unmade. Implementations in `providers/`.

One contract suite runs over every provider that can make instances (tests/providers).
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import NoReturn

from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.domain.pool import InstanceTemplate, ProvidedInstance
from godel_tasks.errors import Unsupported


class Provider(ABC):
    """Starts and stops the processes behind instances, and makes and removes them."""

    #: As the registry's `provider` field names it.
    name: str

    @abstractmethod
    async def start(self, config: InstanceConfig) -> None:
        """Start it; returns when it was started, not when it is registered. Idempotent.

        Raises:
            Unsupported: this provider cannot.
        """

    @abstractmethod
    async def stop(self, config: InstanceConfig) -> None:
        """As `start`, to stop it: it finishes what it runs, within its own limit of time."""

    @abstractmethod
    async def restart(self, config: InstanceConfig) -> None:
        """As `start`, to stop it and start it again."""

    async def spawn(self, template: InstanceTemplate, instance_id: str) -> None:
        """Make an instance and start it; it registers (or is registered) under this id. Idempotent
        by the id: one that is there already is left alone.

        Raises:
            Unsupported: this provider makes none.
            InstanceError: it could not be made; nothing of it is left behind.
        """
        self._cannot("make instances", template.pool, instance_id)

    async def remove(self, instance_id: str) -> None:
        """Stop it and remove what it was made of; idempotent. Whoever wants its work finished
        drains it first.

        Raises:
            Unsupported: this provider removes none.
        """
        self._cannot("remove instances", "", instance_id)

    async def provided(self, pool: str = "") -> Sequence[ProvidedInstance]:  # noqa: ARG002
        """The instances that this provider made, of one pool or of all; how a Godel that was
        started anew finds what runs already."""
        return ()

    def _cannot(self, act: str, pool: str, instance_id: str) -> NoReturn:
        of_pool = f" of pool {pool!r}" if pool else ""
        raise Unsupported(
            f"the provider {self.name!r} cannot {act}: {instance_id!r}{of_pool} stays as it is",
            hint="use a provider that can: process, docker or kubernetes",
        )
