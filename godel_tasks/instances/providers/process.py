"""The `process` provider: OpenClaw gateways as processes of this machine."""

from __future__ import annotations

from pathlib import Path

from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.errors import Unsupported
from godel_tasks.instances.provider import Provider
from godel_tasks.openclaw import gateways
from godel_tasks.openclaw.folder import folder_of
from godel_tasks.openclaw.running import Command, Gateway, Patience, gateway_command
from godel_tasks.settings import load_settings


class ProcessProvider(Provider):
    """Knows the gateways of one data folder (default: the setting `data_dir`), by instance id."""

    name = gateways.PROVIDER

    def __init__(
        self,
        data_dir: Path | None = None,
        *,
        command: Command = gateway_command,
        patience: Patience | None = None,
    ) -> None:
        self._data_dir = data_dir
        self._command = command
        self._patience = patience or Patience()

    async def start(self, config: InstanceConfig) -> None:
        """Start it and wait until it is ready.

        Raises:
            UnknownInstance: this data folder has no such gateway.
            GatewayFailed: it did not come up; the message carries its last words.
            InstallFailed: OpenClaw is not installed here.
        """
        await self._gateway(config).start()

    async def stop(self, config: InstanceConfig) -> None:
        """Let it finish what it runs, and end it. Raises as `start`."""
        await self._gateway(config).stop()

    async def restart(self, config: InstanceConfig) -> None:
        """`stop`, then `start` with the same folder and port. Raises as `start`."""
        gateway = self._gateway(config)
        await gateway.stop()
        await gateway.start()

    async def kill(self, config: InstanceConfig) -> None:
        """End it at once, with what it runs. Raises as `start`."""
        await self._gateway(config).kill()

    def _gateway(self, config: InstanceConfig) -> Gateway:
        if config.driver != gateways.DRIVER:
            raise Unsupported(
                f"instance {config.instance_id!r} is of driver {config.driver!r}, and the provider "
                f"{self.name!r} runs only {gateways.DRIVER!r} gateways",
                hint="register it with the provider static",
            )
        data_dir = self._data_dir or load_settings().data_dir
        return Gateway(
            gateways.find(data_dir, config.instance_id),
            folder_of(data_dir, config.instance_id),
            command=self._command,
            patience=self._patience,
        )
