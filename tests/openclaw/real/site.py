"""The site of a real gateway."""

from __future__ import annotations

import itertools
from typing import Any

import msgspec

from godel_tasks.domain.attempt import Delivery
from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.instances.instance import AttendedConnection
from tests.instances.gateway_sites import GatewaySite
from tests.openclaw.real.pair import Pair


class RealGatewaySite(GatewaySite):
    """`gw-1` of the pair. How often an attempt began is told by the model's calls."""

    short_ms = 1500
    patience_s = 60.0

    def __init__(self, pair: Pair) -> None:
        super().__init__()
        self.pair = pair
        self._numbers = itertools.count()
        self._prompts: dict[str, set[str]] = {}
        self._crashed = False

    def config(self, instance_id: str = "") -> InstanceConfig:
        return self.pair.config(self.instance_id, instance_id=instance_id or self.instance_id)

    async def open(self) -> None:
        self.endpoint = self.pair.config(self.instance_id).endpoint
        await self.pair.start(self.instance_id)

    async def crash(self) -> None:
        self._crashed = True
        await self.pair.kill(self.instance_id)

    async def come_back(self) -> None:
        await self.pair.start(self.instance_id)

    async def close(self) -> None:
        """Leave nothing running for the next story."""
        await self.come_back()
        connection, _ = await self.connect()
        assert isinstance(connection, AttendedConnection)
        if self._crashed:
            await connection.abort_strays()
        running = await connection.inventory(self.instance_id)
        connection.cancel(self.instance_id, sorted(running))

        async def idle() -> bool:
            return not await connection.inventory(self.instance_id)

        await self.until(idle, "nothing runs any more")
        await self.close_connections()

    def says(self, text: str) -> bytes:
        return self._numbered(super().says(text))

    def waits(self, text: str) -> bytes:
        return self._numbered(super().waits(text))

    def hangs(self) -> bytes:
        return self._numbered(super().hangs())

    def _numbered(self, payload: bytes) -> bytes:
        text = msgspec.json.decode(payload)
        return msgspec.json.encode(f"{text} no. {next(self._numbers)}.")

    def delivery(self, name: str, payload: bytes, **fields: Any) -> Delivery:
        made = super().delivery(name, payload, **fields)
        number = payload.rpartition(b" no. ")[2].decode().rstrip('"')
        self._prompts.setdefault(name, set()).add(f"{self.tag} no. {number}")
        return made

    def ran(self, name: str) -> int:
        return sum(self.pair.model.calls_of(part) for part in self._prompts[name])
