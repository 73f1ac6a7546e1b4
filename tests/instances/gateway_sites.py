"""Sites of OpenClaw gateways: a fake one in this process; the real one is in `tests/openclaw`."""

from __future__ import annotations

import os
import uuid
from typing import ClassVar

import msgspec

from godel_tasks.domain.attempt import Completion
from godel_tasks.domain.instance import HealthComponents, InstanceConfig
from godel_tasks.instances.drivers.openclaw.driver import OpenclawDriver
from godel_tasks.testing.fake_gateway import FakeGateway
from tests.instances.sites import Site

TOKEN_ENV = "FAKE_GATEWAY_TOKEN"


class GatewaySite(Site):
    """What fake and real gateways have in common."""

    instance_id = "gw-1"
    short_ms = 200
    names_instances = False
    may_delete_sessions = False
    labels: ClassVar[dict[str, str]] = {}
    components = HealthComponents(database=True, agents=True)

    def __init__(self) -> None:
        super().__init__()
        self.driver = OpenclawDriver()
        self.tag = f"-{uuid.uuid4().hex[:12]}"

    def config(self, instance_id: str = "") -> InstanceConfig:
        return InstanceConfig(
            instance_id or self.instance_id, self.endpoint, driver="openclaw",
            credentials=self.credentials,
        )  # fmt: skip

    @property
    def credentials(self) -> str:
        return f"env:{TOKEN_ENV}"

    def says(self, text: str) -> bytes:
        return msgspec.json.encode(f"[[reply={text}]] say it {self.tag}")

    def waits(self, text: str) -> bytes:
        return msgspec.json.encode(f"[[reply={text}]] [[latency=3]] say it late {self.tag}")

    def hangs(self) -> bytes:
        return msgspec.json.encode(f"[[hang]] think for ever {self.tag}")

    def release(self) -> None:
        """What waits ends after its latency."""

    async def until_forgotten(self, name: str) -> None:
        """The driver forgets at once."""

    def said(self, completion: Completion) -> str:
        text: str = msgspec.json.decode(completion.result)["text"]
        return text


class FakeGatewaySite(GatewaySite):
    """A `FakeGateway`: of this process, fast."""

    def __init__(self) -> None:
        super().__init__()
        self.gateway = FakeGateway(token="t-0123456789")

    def waits(self, text: str) -> bytes:
        return msgspec.json.encode(f"[[reply={text}]] [[latency=0.4]] say it late {self.tag}")

    async def open(self) -> None:
        os.environ[TOKEN_ENV] = "t-0123456789"
        await self.gateway.start()
        self.endpoint = self.gateway.url

    async def crash(self) -> None:
        await self.gateway.crash()

    async def come_back(self) -> None:
        await self.gateway.come_back()

    async def close(self) -> None:
        await self.close_connections()
        await self.gateway.stop()
        os.environ.pop(TOKEN_ENV, None)

    def ran(self, name: str) -> int:
        ids = [run_id.rpartition(":")[0] for run_id in self.gateway.starts]
        return ids.count(f"{name}{self.tag}")
