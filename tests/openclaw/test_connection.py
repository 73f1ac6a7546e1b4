"""Lines that break, limits that are met, and rubbish on the wire, over a fake gateway."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from aiohttp import web
from msgspec.structs import replace

from godel_tasks.domain.attempt import End
from godel_tasks.errors import InstanceUnavailable
from godel_tasks.instances.drivers.openclaw import frames, keeper
from godel_tasks.instances.drivers.openclaw import gateway as gateway_module
from godel_tasks.instances.drivers.openclaw.adoption import Found, added, follow
from godel_tasks.instances.drivers.openclaw.credentials import Credentials
from godel_tasks.instances.drivers.openclaw.gateway import Gateway
from godel_tasks.instances.drivers.openclaw.handshake import SCOPES, Hello
from tests.helpers import wait_until_async
from tests.instances.gateway_sites import FakeGatewaySite


@pytest.fixture
async def site() -> AsyncIterator[FakeGatewaySite]:
    made = FakeGatewaySite()
    await made.open()
    yield made
    await made.close()


async def test_a_run_outlives_a_cut_line(site: FakeGatewaySite) -> None:
    # Given a run, and a line that is cut while it goes on
    connection, listener = await site.connect()
    delivery = site.delivery("t", site.waits("late"))
    connection.deliver([delivery])
    await site.until_running("t")
    await site.gateway.cut()
    await wait_until_async(lambda: "disconnected" in listener.events, description="cut")
    await wait_until_async(lambda: connection.connected, description="back")
    # When it is delivered again, as a dispatcher does
    connection.deliver([replace(delivery, may_have_run=True)])
    # Then its end comes, and it ran once
    assert site.said(await listener.completion(site.key("t"))) == "late"
    assert site.ran("t") == 1
    assert listener.events == ["connected", "disconnected", "connected"]


async def test_what_ended_long_ago_is_not_started_again(site: FakeGatewaySite) -> None:
    # Given a run that ended with nobody there, so long ago that the gateway has forgotten its key
    delivery = site.delivery("t", site.waits("late"))
    first, _ = await site.connect()
    first.deliver([delivery])
    await site.until_running("t")
    await first.stop()
    await wait_until_async(lambda: site.gateway.active == 0, description="ended")
    site.gateway.forget_keys()
    # When another dispatcher delivers it once more
    second, listener = await site.connect()
    second.deliver([replace(delivery, may_have_run=True)])
    # Then its answer is found in the transcript of its session, with what it used
    completion = await listener.completion(site.key("t"))
    assert site.said(completion) == "late"
    assert completion.usage is not None
    assert completion.usage.output_tokens == 1
    assert site.ran("t") == 1


async def test_a_gateway_too_busy_to_answer_is_asked_again(
    site: FakeGatewaySite, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a run of another dispatcher, and a gateway that does not answer at first
    delivery = site.delivery("t", site.waits("late"))
    first, _ = await site.connect()
    first.deliver([delivery])
    await site.until_running("t")
    asked = []

    async def busy(*arguments: Any) -> Found | None:
        asked.append(arguments)
        if len(asked) == 1:
            raise InstanceUnavailable("did not answer agent.wait within 10 s")
        return await follow(*arguments)

    monkeypatch.setattr(keeper, "follow", busy)
    monkeypatch.setattr(keeper, "ASK_AGAIN_S", 0.05)
    # When the run is delivered again
    second, listener = await site.connect()
    second.deliver([replace(delivery, may_have_run=True)])
    # Then its end comes all the same
    assert site.said(await listener.completion(site.key("t"))) == "late"
    assert len(asked) == 2


async def test_an_answer_that_cannot_be_read_leaves_no_run_behind(
    site: FakeGatewaySite, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def rubbish(*_arguments: Any) -> Found | None:
        raise KeyError("messages")

    monkeypatch.setattr(keeper, "follow", rubbish)
    connection, listener = await site.connect()
    connection.deliver([replace(site.delivery("t", site.says("x")), may_have_run=True)])
    lost = await listener.completion(site.key("t"))
    assert (lost.end, lost.error_type) == (End.LOST, "Unknown")
    assert "cannot be read" in lost.error_message


@pytest.mark.parametrize("usage", [None, "much", {"input": "many"}, {"cost": 3}])
def test_usage_that_is_none_as_we_know_it_is_not_counted(usage: Any) -> None:
    assert added(None, {"role": "assistant", "usage": usage}) is None


async def test_a_gateway_that_drains_answers_no_questions(site: FakeGatewaySite) -> None:
    # Given a gateway that finishes its last run
    connection, listener = await site.connect()
    connection.deliver([site.delivery("t", site.waits("late"))])
    await site.until_running("t")
    ending = asyncio.ensure_future(site.gateway.term())

    # Then who asks what it runs learns that it cannot be asked, and its run ends all the same
    async def refused() -> bool:
        try:
            return not await connection.inventory(site.instance_id)
        except InstanceUnavailable:
            return True

    await wait_until_async(refused, description="it is refused")
    with pytest.raises(InstanceUnavailable):
        await connection.inventory(site.instance_id)
    assert site.said(await listener.completion(site.key("t"))) == "late"
    await ending


async def test_a_payload_that_no_frame_can_carry_costs_nobody_else_anything(
    site: FakeGatewaySite, monkeypatch: pytest.MonkeyPatch
) -> None:
    connection, listener = await site.connect()
    assert Hello("b", "v", frozenset(), "main").payload_limit == 13_107_200
    big = b'"' + b"x" * 14_000_000 + b'"'
    connection.deliver([site.delivery("big", big), site.delivery("t", site.says("well"))])
    refused = await listener.completion(site.key("big"))
    assert (refused.end, refused.error_type) == (End.FAILED, "PayloadTooLarge")
    assert not refused.retryable
    assert site.said(await listener.completion(site.key("t"))) == "well"
    assert listener.events == ["connected"]


async def test_words_are_passed_on_seldom_enough(site: FakeGatewaySite) -> None:
    connection, listener = await site.connect()
    payload = f'"[[tokens=60]] [[delay=0.01]] speak {site.tag}"'.encode()
    connection.deliver([site.delivery("t", payload)])
    await listener.completion(site.key("t"))
    assert 2 <= len(listener.progress) <= 20


async def test_a_gateway_that_falls_silent_is_left(
    site: FakeGatewaySite, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a line on which nothing comes any more, and nobody says that it broke
    monkeypatch.setattr(gateway_module, "SILENCE_S", 0.2)
    _, listener = await site.connect()
    await wait_until_async(lambda: "disconnected" in listener.events, description="left")


@pytest.mark.parametrize("sends", ["[]", "no json", '{"type":"event","event":"agent"}', "{}"])
async def test_what_is_no_gateway_is_told_and_tried_again(sends: str) -> None:
    # Given a server that speaks WebSocket, and something else
    async def talk(request: web.Request) -> web.WebSocketResponse:
        socket = web.WebSocketResponse()
        await socket.prepare(request)
        await socket.send_str(sends)
        await socket.close()
        return socket

    app = web.Application()
    app.router.add_get("/", talk)
    runner = web.AppRunner(app)
    await runner.setup()
    listening = web.TCPSite(runner, "127.0.0.1", 0)
    await listening.start()
    port = runner.addresses[0][1]
    # Then that is an instance that cannot be reached, not a crash
    with pytest.raises(InstanceUnavailable):
        await Gateway.connect(f"ws://127.0.0.1:{port}", Credentials("t"), SCOPES)
    await runner.cleanup()


async def test_rubbish_after_the_handshake_costs_no_more_than_the_line(
    site: FakeGatewaySite, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a connection whose events cannot be read
    connection, listener = await site.connect()

    def broken(_text: str) -> str:
        raise ValueError("rubbish")

    monkeypatch.setattr(frames, "run_of", broken)
    delivery = site.delivery("t", site.says("well"))
    connection.deliver([delivery])
    await wait_until_async(lambda: "disconnected" in listener.events, description="line lost")
    # Then it comes back by itself, and what ran is found
    monkeypatch.undo()
    await wait_until_async(lambda: connection.connected, description="back")
    connection.deliver([replace(delivery, may_have_run=True)])
    assert site.said(await listener.completion(site.key("t"))) == "well"
    assert "rubbish" in caplog.text
