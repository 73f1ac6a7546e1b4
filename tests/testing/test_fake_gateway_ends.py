"""Ends of the fake gateway's process: killed, terminated, restarted, cut off."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest

from godel_tasks.errors import InstanceUnavailable
from godel_tasks.instances.drivers.openclaw.credentials import Credentials
from godel_tasks.instances.drivers.openclaw.gateway import CallFailed, Gateway
from godel_tasks.instances.drivers.openclaw.handshake import SCOPES
from godel_tasks.testing.fake_gateway import FakeGateway
from tests.helpers import wait_until_async
from tests.testing.gateway_client import SESSION, client


@pytest.fixture
async def gateway():
    async with FakeGateway(token="t", resume_after_s=0.05, restart_s=0.05) as made:
        yield made


async def refused(gateway: FakeGateway) -> bool:
    try:
        await (await Gateway.connect(gateway.url, Credentials(token="t"), SCOPES)).close()
    except InstanceUnavailable as error:
        return "nobody listens" in str(error)
    return False


async def test_after_a_crash_it_knows_no_key_and_resumes_by_itself(gateway):
    boot_id = gateway.boot_id
    async with client(gateway.url) as one:
        one.agent("k:1", "x [[hang]]")
        await one.answer("k:1", nth=1)
        # When it is killed
        await gateway.crash()
        # Then the socket breaks without a word, and nobody listens
        await wait_until_async(lambda: one.ending, description="the socket to break")
        assert not [event for event in one.events if event["event"] == "shutdown"]
        assert await refused(gateway)
    await gateway.come_back()
    assert gateway.boot_id != boot_id
    async with client(gateway.url) as two:
        # Then the run is unknown, and its session says what happened
        assert "endedAt" not in await two.call("agent.wait", runId="k:1", timeoutMs=1)
        session = (await two.call("sessions.list", search="godel:"))["sessions"][0]
        assert (session["status"], session["hasActiveRun"]) == ("running", False)
        assert session["abortedLastRun"]
        task = (await two.call("tasks.list"))["tasks"][0]
        assert task["status"] == "cancelled"
        assert task["error"] == "Task execution process exited before restart."
        # And it goes on under a run id that nobody knows, which anybody may abort
        await wait_until_async(lambda: gateway.resumed == 1, description="the session to resume")
        run_id = gateway.starts[-1]
        session = (await two.call("sessions.list", search="godel:"))["sessions"][0]
        assert session["activeRunIds"] == [run_id]
        assert (await two.call("chat.abort", sessionKey=SESSION))["runIds"] == [run_id]
        session = (await two.call("sessions.list", search="godel:"))["sessions"][0]
        assert (session["status"], session["hasActiveRun"]) == ("killed", False)


async def test_terminated_it_ends_what_runs_and_takes_nothing(gateway):
    async with client(gateway.url) as one:
        one.agent("k:1", "x [[latency=0.2]]")
        await one.answer("k:1", nth=1)
        # When it is terminated in the middle of a turn
        ending = asyncio.get_running_loop().create_task(gateway.term())
        await wait_until_async(lambda: gateway.boot.draining, description="it to drain")
        # Then every method is refused, and new connections too
        with pytest.raises(CallFailed) as raised:
            await one.call("health")
        error = raised.value.error
        assert (error.code, error.reason) == ("UNAVAILABLE", "gateway-restarting")
        assert error.message == "health unavailable during gateway restart"
        with pytest.raises(InstanceUnavailable):
            await Gateway.connect(gateway.url, Credentials(token="t"), SCOPES)
        # And the turn is answered before the goodbye
        assert (await one.answer("k:1"))["status"] == "ok"
        await wait_until_async(lambda: one.ending, description="the goodbye")
        assert one.events[-1]["event"] == "shutdown"
        assert one.events[-1]["payload"] == {"reason": "gateway stopping"}
        assert one.ending == "closed with 1012: service restart"
    await ending
    assert await refused(gateway)


async def test_a_restart_that_was_asked_for_interrupts_nothing(gateway):
    boot_id = gateway.boot_id
    async with client(gateway.url, "t", "operator.admin") as one:
        one.agent("k:1", "x [[latency=0.1]]")
        answer = await one.call("gateway.restart.request", reason="story")
        assert answer["status"] == "deferred"
        assert (await one.answer("k:1"))["status"] == "ok"
        await wait_until_async(lambda: one.ending, description="the goodbye")
        assert one.events[-1]["payload"]["restartExpectedMs"] == 1500
    await wait_until_async(lambda: gateway.boot_id != boot_id, description="another boot")
    async with client(gateway.url) as two:
        messages = (await two.call("chat.history", sessionKey=SESSION))["messages"]
        assert [m["role"] for m in messages] == ["user", "assistant"]
    assert gateway.resumed == 0


async def test_cut_off_it_lives_on(gateway):
    async with client(gateway.url) as one:
        one.agent("k:1", "x [[hang]]")
        await one.answer("k:1", nth=1)
        await gateway.cut()
        await wait_until_async(lambda: one.ending, description="the socket to break")
    assert gateway.active == 1
    async with client(gateway.url) as two:
        assert two.gateway.hello.boot_id == gateway.boot_id


async def test_it_listens_before_it_takes_anybody(gateway):
    await gateway.crash()
    await gateway.come_back(starting_s=60)
    with pytest.raises(InstanceUnavailable, match="gateway starting"):
        await Gateway.connect(gateway.url, Credentials(token="t"), SCOPES)
    async with aiohttp.ClientSession() as session:
        assert (await session.get(gateway.url.replace("ws", "http", 1) + "/healthz")).status == 200
