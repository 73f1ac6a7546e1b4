"""The `static` provider: somebody else starts and stops these instances."""

from __future__ import annotations

from typing import NoReturn

from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.errors import Unsupported
from godel_tasks.instances.provider import Provider


class StaticProvider(Provider):
    """Refuses everything."""

    name = "static"

    async def start(self, config: InstanceConfig) -> None:
        self._refuse("started", config)

    async def stop(self, config: InstanceConfig) -> None:
        self._refuse("stopped", config)

    async def restart(self, config: InstanceConfig) -> None:
        self._refuse("restarted", config)

    def _refuse(self, act: str, config: InstanceConfig) -> NoReturn:
        raise Unsupported(
            f"instance {config.instance_id!r} cannot be {act} from here: its provider is static",
            hint="use whatever started it, or register it with a provider that can",
        )
