"""The `process` provider: OpenClaw gateways and local gRPC instances, as processes of this machine.

They are in sessions of their own and outlive whoever started them; what makes one of them known
again is its folder with the pid and the creation time of its process.
"""

from __future__ import annotations

import difflib
import socket
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path

from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.domain.pool import InstanceTemplate, ProvidedInstance
from godel_tasks.errors import Unsupported
from godel_tasks.instances.local.making import LocalInstances
from godel_tasks.instances.provider import Provider
from godel_tasks.openclaw import gateways
from godel_tasks.openclaw.making import Gateways
from godel_tasks.openclaw.owner import owner_of
from godel_tasks.openclaw.running import Command, Patience, gateway_command
from godel_tasks.settings import load_settings

LOCAL = "grpc"
GATEWAYS = gateways.DRIVER


class ProcessProvider(Provider):
    """Knows the instances of one data folder (default: the setting `data_dir`), by id."""

    name = gateways.PROVIDER

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        command: Command = gateway_command,
        patience: Patience | None = None,
    ) -> None:
        self._given_dir = data_dir
        self._command = command
        self._patience = patience or Patience()

    @property
    def place(self) -> str:
        return f"{socket.gethostname()}:{self._data_dir}"

    def check(self, template: InstanceTemplate) -> None:
        self._of(template.driver, f"pool {template.pool!r}").check(template)

    async def spawn(self, template: InstanceTemplate, instance_id: str) -> None:
        """As the contract has it; comes back when it is ready. A local instance is registered then.

        Raises:
            InstallFailed: OpenClaw is not installed here.
        """
        await self._of(template.driver, instance_id).spawn(template, instance_id)

    async def start(self, config: InstanceConfig) -> None:
        """Start it and wait until it is ready.

        Raises:
            UnknownInstance: this data folder has no such instance.
            GatewayFailed, SpawnFailed: it did not come up; the message carries its last words.
            InstallFailed: OpenClaw is not installed here.
        """
        await self._maker(config).start(config.instance_id)

    async def stop(self, config: InstanceConfig) -> None:
        """Let it finish what it runs, and end it. Raises as `start`."""
        await self._maker(config).stop(config.instance_id)

    async def restart(self, config: InstanceConfig) -> None:
        """`stop`, then `start` with the same folder (and port, of a gateway). Raises as `start`."""
        await self.stop(config)
        await self.start(config)

    async def kill(self, config: InstanceConfig) -> None:
        """End it at once, with what it runs. Raises as `start`."""
        await self._maker(config).kill(config.instance_id)

    async def remove(self, instance_id: str, *, grace_s: float | None = None) -> None:
        """As the contract has it. Raises: Unsupported, of a gateway that was made by hand."""
        for maker in self._makers.values():
            await maker.remove(instance_id, grace_s)

    async def provided(self, pool: str = "") -> Sequence[ProvidedInstance]:
        found = [each for maker in self._makers.values() for each in await maker.provided()]
        return [each for each in found if pool in ("", each.pool)]

    async def last_words(self, instance_id: str) -> str:
        for maker in self._makers.values():
            if any(each.instance_id == instance_id for each in await maker.provided()):
                return maker.last_words(instance_id)
        return ""

    async def tend(self) -> int:
        return sum([await maker.tend() for maker in self._makers.values()])

    @property
    def _data_dir(self) -> Path:
        return self._given_dir or load_settings().data_dir

    @cached_property
    def _makers(self) -> dict[str, LocalInstances | Gateways]:
        owner = owner_of(load_settings())
        return {
            LOCAL: LocalInstances(self._data_dir, owner),
            GATEWAYS: Gateways(self._data_dir, owner, self._command, self._patience),
        }

    def _maker(self, config: InstanceConfig) -> LocalInstances | Gateways:
        return self._of(config.driver, f"instance {config.instance_id!r}")

    def _of(self, driver: str, what: str) -> LocalInstances | Gateways:
        if driver not in self._makers:
            near = difflib.get_close_matches(driver, self._makers, n=1)
            raise Unsupported(
                f"{what} is of driver {driver!r}, and the provider {self.name!r} runs only "
                f"{LOCAL!r} and {GATEWAYS!r}",
                hint=f"did you mean {near[0]!r}?"
                if near
                else "register it with the provider static",
            )
        return self._makers[driver]
