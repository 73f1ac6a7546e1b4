"""Sessions of the fake gateway, and what it says of itself."""

from __future__ import annotations

import pytest

from godel_tasks.domain.instance import Health, InstanceConfig
from godel_tasks.domain.session import SessionConfig
from godel_tasks.errors import MissingScope
from godel_tasks.instances.drivers.openclaw.driver import OpenclawDriver
from godel_tasks.instances.drivers.openclaw.gateway import CallFailed
from godel_tasks.testing.fake_gateway import FakeGateway
from tests.testing.gateway_client import SESSION, client


@pytest.fixture
async def gateway():
    async with FakeGateway(token="t") as made:
        yield made


async def test_a_transcript_keeps_who_said_what(gateway):
    async with client(gateway.url) as one:
        one.agent("k:1", "hello")
        await one.answer("k:1")
        one.agent("k:2", "[[hang]] still")
        one.agent("k:3", "later")
        history = await one.call("chat.history", sessionKey=SESSION.replace("godel", "Godel"))
        asked, said, _ = history["messages"]
        assert (asked["content"], asked["idempotencyKey"]) == ("hello", "k:1:user")
        assert said["content"] == [{"type": "text", "text": "echo: hello"}]
        assert (said["stopReason"], said["__openclaw"]["runId"]) == ("stop", "k:1")
        assert said["usage"]["totalTokens"] == 103
        assert [item["runId"] for item in history["pendingInputs"]["items"]] == ["k:3"]
        assert history["sessionInfo"]["activeRunIds"] == ["k:2"]
        newest = await one.call("chat.history", sessionKey=SESSION, limit=1)
        assert (len(newest["messages"]), newest["hasMore"]) == (1, True)
        unknown = await one.call("chat.history", sessionKey="agent:main:no")
        assert unknown["messages"] == []


async def test_sessions_come_in_pages(gateway):
    async with client(gateway.url) as one:
        for n in range(3):
            await one.call("sessions.create", key=f"agent:main:godel:acme:s:{n}")
        await one.call("sessions.create", key="agent:main:other")
        page = await one.call("sessions.list", search="godel:", limit=2, activeMinutes=5)
        assert (page["count"], page["totalCount"], page["nextOffset"]) == (2, 3, 2)
        rest = await one.call("sessions.list", search="godel:", limit=2, offset=2)
        assert (rest["count"], rest["hasMore"]) == (1, False)


async def test_a_reset_aborts_what_runs_and_forgets_what_was_said(gateway):
    async with client(gateway.url, "t", "operator.admin") as one:
        one.agent("k:1", "[[hang]] x")
        await one.answer("k:1", nth=1)
        await one.call("sessions.reset", key=SESSION)
        answer = await one.answer("k:1")
        assert (answer["stopReason"], answer["timeoutPhase"]) == ("restart", "gateway_draining")
        assert (await one.call("chat.history", sessionKey=SESSION))["messages"] == []
        assert (await one.call("sessions.delete", key=SESSION))["deleted"]
        assert not (await one.call("sessions.delete", key=SESSION))["deleted"]
        assert (await one.call("sessions.describe", key=SESSION))["session"] is None
        one.agent("k:2", "x", sessionKey="agent:main:main")
        await one.answer("k:2")
        with pytest.raises(CallFailed, match="main session"):
            await one.call("sessions.delete", key="agent:main:main")


async def test_the_driver_reads_its_health_and_keeps_sessions_on_it(gateway, monkeypatch):
    monkeypatch.setenv("FAKE_TOKEN", "t")
    config = InstanceConfig("gw", gateway.url, driver="openclaw", credentials="env:FAKE_TOKEN")
    view = OpenclawDriver().instance(config)
    try:
        assert (await view.health_check()).status is Health.HEALTHY
        metrics = await view.get_metrics()
        assert (metrics.queued_tasks, metrics.backpressure) == (0, 0.0222)
        made = await view.create_session(SessionConfig("One", "Acme"))
        assert await view.get_session("One") == made
        with pytest.raises(MissingScope):
            await view.terminate_session("One")
    finally:
        await view.aclose()
