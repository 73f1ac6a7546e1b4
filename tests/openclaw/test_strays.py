"""What a gateway takes up by itself after a crash, over a fake one."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from godel_tasks.clock import SystemClock
from godel_tasks.instances.background import end_task
from godel_tasks.instances.drivers.openclaw import strays
from godel_tasks.instances.drivers.openclaw.credentials import Credentials
from godel_tasks.instances.drivers.openclaw.gateway import Gateway
from godel_tasks.instances.drivers.openclaw.handshake import SCOPES
from godel_tasks.testing.fake_gateway import FakeGateway
from tests.helpers import wait_until_async


class Client:
    """A connection that is served beside the story."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self._serving = asyncio.ensure_future(gateway.serve(lambda _name, _text: None))

    @classmethod
    async def of(cls, fake: FakeGateway) -> Client:
        return cls(await Gateway.connect(fake.url, Credentials("t"), SCOPES))

    def begin(self, name: str, session_key: str) -> None:
        params = {"message": f"[[hang]] {name}", "sessionKey": session_key, "idempotencyKey": name}
        self.gateway.send("agent", params, lambda _frame: False)

    async def close(self) -> None:
        await end_task(self._serving)
        await self.gateway.close()


@pytest.fixture
async def fake() -> AsyncIterator[FakeGateway]:
    async with FakeGateway(token="t", resume_after_s=0.3) as gateway:
        yield gateway


async def _crash_with(fake: FakeGateway, *session_keys: str) -> Client:
    """Runs in these sessions, a crash, and a new boot to talk to."""
    client = await Client.of(fake)
    for number, key in enumerate(session_keys):
        client.begin(f"r{number}", key)
    await wait_until_async(lambda: fake.active == len(session_keys), description="all run")
    await fake.crash()
    await fake.come_back()
    await client.close()
    return await Client.of(fake)


async def test_all_that_was_resumed_in_our_sessions_is_aborted(fake: FakeGateway) -> None:
    # Given three runs at a crash, one of them somebody else's
    ours = ("agent:main:godel:acme:t:a:1", "agent:main:godel:acme:s:talk")
    client = await _crash_with(fake, *ours, "agent:main:main")
    # When the new boot is made ready
    assert await strays.abort_strays(client.gateway, SystemClock()) == len(ours)
    # Then only the other's goes on
    assert fake.active == 1
    assert fake.resumed == 3
    await client.close()


async def test_a_gateway_with_nothing_of_ours_is_ready_at_once(fake: FakeGateway) -> None:
    client = await Client.of(fake)
    client.begin("theirs", "agent:main:main")
    await wait_until_async(lambda: fake.active, description="it runs")
    async with asyncio.timeout(1.0):
        assert await strays.abort_strays(client.gateway, SystemClock()) == 0
    await client.close()


async def test_a_session_that_says_for_ever_that_it_runs_keeps_nobody_waiting(
    fake: FakeGateway, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a session that is to be resumed, and never is
    monkeypatch.setattr(strays, "PENDING_S", 0.5)
    fake.habits.resume_after_s = 3600
    client = await _crash_with(fake, "agent:main:godel:acme:t:a:1")
    # Then it is waited for, but not for ever
    async with asyncio.timeout(5):
        assert await strays.abort_strays(client.gateway, SystemClock()) == 0
    await client.close()
