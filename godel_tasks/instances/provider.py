"""The `Provider` contract: how instances are made and unmade. Implementations in `providers/`."""

from __future__ import annotations

from abc import ABC, abstractmethod

from godel_tasks.domain.instance import InstanceConfig


class Provider(ABC):
    """Starts and stops the processes behind instances."""

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
        """As `start`, to stop it."""

    @abstractmethod
    async def restart(self, config: InstanceConfig) -> None:
        """As `start`, to stop it and start it again."""
