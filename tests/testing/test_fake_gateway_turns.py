"""Turns on the fake gateway: answers, events, keys, waits, failures and stops."""

from __future__ import annotations

import pytest

from godel_tasks.instances.drivers.openclaw.gateway import CallFailed
from godel_tasks.testing.fake_gateway import FakeGateway
from godel_tasks.testing.standin.script import Turn
from tests.helpers import wait_until_async
from tests.testing.gateway_client import SESSION, client


@pytest.fixture
async def gateway():
    async with FakeGateway(token="t", retry_delay_s=0.01) as made:
        yield made


async def test_a_turn_is_taken_and_then_answered(gateway):
    async with client(gateway.url) as one:
        # When a turn runs in a session whose key has capitals
        one.agent("k:1", "hello there", sessionKey="agent:main:godel:Acme:x")
        taken, answer = await one.answer("k:1", nth=1), await one.answer("k:1")
        # Then it is taken under the folded key, and answered with text and usage
        assert taken["status"] == "accepted"
        assert taken["sessionKey"] == "agent:main:godel:acme:x"
        assert answer["result"]["payloads"] == [{"text": "echo: hello there", "mediaUrl": None}]
        usage = answer["result"]["meta"]["agentMeta"]["usage"]
        assert (usage["input"], usage["output"]) == (102, 3)
        assert usage["cost"]["total"] == pytest.approx(0.000108)
        # And all who may read were told, in this order, numbered
        assert one.streams("k:1") == [
            "lifecycle:start",
            "lifecycle:model",
            "assistant",
            "chat:delta",
            "usage",
            "lifecycle:finishing",
            "lifecycle:end",
            "chat:final",
        ]
        assert [event["seq"] for event in one.events] == list(range(1, 9))


async def test_a_key_runs_once(gateway):
    async with client(gateway.url) as one, client(gateway.url) as two:
        one.agent("k:1", "hi [[hang]]")
        await one.answer("k:1", nth=1)
        # When it comes again while it runs, from another connection too
        two.agent("k:1", "hi [[hang]]")
        assert (await two.answer("k:1", nth=1))["status"] == "in_flight"
        await one.call("chat.abort", sessionKey=SESSION, runId="k:1")
        ended = await one.answer("k:1")
        # Then after its end the same answer comes, at once
        two.agent("k:1", "hi [[hang]]", tag="again")
        assert await two.answer("again", nth=1) == ended
        assert gateway.starts == ["k:1"]
        assert gateway.calls_of("hi [[hang]]") == 1


async def test_a_run_outlives_its_connection(gateway):
    async with client(gateway.url) as one:
        one.agent("k:1", "hi [[latency=0.05]]")
        await one.answer("k:1", nth=1)
    async with client(gateway.url) as two:
        answer = await two.call("agent.wait", runId="k:1", timeoutMs=5000)
    assert (answer["status"], answer["terminalReply"]["text"]) == ("ok", "echo: hi")


async def test_a_wait_says_nothing_of_what_runs_and_what_is_unknown(gateway):
    async with client(gateway.url) as one:
        one.agent("k:1", "[[hang]] hi")
        for key in ("k:1", "unknown"):
            answer = await one.call("agent.wait", runId=key, timeoutMs=1)
            assert answer == {"runId": key, "status": "timeout"}


async def test_a_session_runs_one_at_a_time_and_the_lane_so_many(gateway):
    gateway.habits.lanes = 2
    async with client(gateway.url) as one:
        # Given two turns of one session, and two of others, in a lane of two
        for key, session in (("a:1", "a"), ("a:2", "a"), ("b:1", "b"), ("c:1", "c")):
            one.agent(key, "[[hang]] x", sessionKey=f"agent:main:{session}")
        await one.answer("c:1", nth=1)
        assert gateway.starts == ["a:1", "b:1"]
        lanes = (await one.call("diagnostics.lanes"))["lanes"]
        main = next(lane for lane in lanes if lane["lane"] == "main")
        assert (main["activeCount"], main["queuedCount"], main["maxConcurrent"]) == (2, 1, 2)
        statuses = [t["status"] for t in (await one.call("tasks.list"))["tasks"]]
        assert sorted(statuses) == ["queued", "queued", "running", "running"]
        # When the first ends
        await one.call("chat.abort", sessionKey="agent:main:a", runId="a:1")
        # Then who waited longest for the lane begins
        assert gateway.starts == ["a:1", "b:1", "c:1"]
        # And what is aborted before it began ends with an error
        await one.call("chat.abort", sessionKey="agent:main:a")
        assert (await one.answer("a:2")).message == "This operation was aborted | 20"


async def test_thousands_of_short_turns_wait_behind_a_long_one(gateway):
    gateway.habits.lanes = 1
    async with client(gateway.url) as one:
        one.agent("long:1", "[[hang]] x", sessionKey="agent:main:long")
        for n in range(2000):
            one.agent(f"s{n}:1", "x", sessionKey=f"agent:main:s{n}")
        await one.answer("s1999:1", nth=1)
        await one.call("chat.abort", sessionKey="agent:main:long")
        await one.answer("s1999:1")
    assert len(gateway.starts) == 2001


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({"agentId": "nosuch"}, 'invalid agent params: unknown agent id "nosuch"'),
        ({"message": ""}, "at /message: must not have fewer than 1 characters"),
        ({"model": "a/b"}, "provider/model overrides are not authorized for this caller."),
        ({"modl": "a/b"}, "at root: unexpected property 'modl'"),
        ({"sessionKey": "agent:nosuch:x"}, 'Agent "nosuch" no longer exists in configuration'),
    ],
)
async def test_a_turn_that_does_not_fit_is_refused(gateway, params, message):
    async with client(gateway.url) as one:
        one.agent("k:1", "x", **params)
        error = await one.answer("k:1", nth=1)
    assert error.code == "INVALID_REQUEST"
    assert message in error.message
    assert gateway.starts == []


@pytest.mark.parametrize(
    ("fail", "message", "calls"),
    [
        ("400", "rejected the request schema or tool payload", 1),
        ("401", "authentication failed, HTTP 401", 1),
        ("404", "The selected model was not found", 1),
        ("429", "rate limit", 3),
        ("500", "server error", 3),
        ("refused", "connection refused by the provider endpoint", 3),
    ],
)
async def test_a_model_that_fails_ends_the_turn_after_the_gateways_own_retries(
    gateway, fail, message, calls
):
    text = f"x [[fail={fail}]]"
    async with client(gateway.url) as one:
        one.agent("k:1", text)
        error = await one.answer("k:1")
        assert (error.code, message in error.message) == ("UNAVAILABLE", True)
        assert gateway.calls_of(text) == calls
        assert one.streams("k:1").count("run_status:retrying") == calls - 1
        waited = await one.call("agent.wait", runId="k:1", timeoutMs=1)
        assert (waited["status"], waited["error"]) == ("error", error.message)


async def test_a_failure_that_passes_is_not_seen(gateway):
    async with client(gateway.url) as one:
        one.agent("k:1", "x [[fail=500x1]]")
        assert (await one.answer("k:1"))["status"] == "ok"


async def test_time_that_is_up_ends_the_turn_without_an_error(gateway):
    gateway.habits.script = lambda _message, _session: Turn(hang=True)
    async with client(gateway.url) as one:
        one.agent("k:1", "x", timeout=1)
        answer = await one.answer("k:1")
        assert (answer["status"], answer["timeoutPhase"]) == ("timeout", "provider")


async def test_only_whoever_began_a_run_aborts_it(gateway):
    async with (
        client(gateway.url) as one,
        client(gateway.url) as two,
        client(gateway.url, "t", "operator.admin") as admin,
    ):
        for key in ("k:1", "k:2"):
            one.agent(key, "[[hang]] x", sessionKey=f"agent:main:{key}")
        await one.answer("k:2", nth=1)
        for params, why in (
            ({"sessionKey": "agent:main:k:1", "runId": "k:1"}, "unauthorized"),
            ({"sessionKey": "agent:main:k:1"}, "unauthorized"),
            ({"sessionKey": "agent:main:other", "runId": "k:1"}, "runId does not match"),
        ):
            with pytest.raises(CallFailed, match=why):
                await two.call("chat.abort", **params)
        nothing = await two.call("chat.abort", sessionKey="agent:main:other")
        assert nothing == {"ok": True, "aborted": False, "runIds": []}
        # But anybody who may write cancels its task, and an administrator aborts it
        tasks = (await two.call("tasks.list", status="running"))["tasks"]
        task_id = next(task["taskId"] for task in tasks if task["runId"] == "k:1")
        assert (await two.call("tasks.cancel", taskId=task_id))["cancelled"]
        assert not (await two.call("tasks.cancel", taskId=task_id))["cancelled"]
        assert (await admin.call("chat.abort", sessionKey="agent:main:k:2"))["runIds"] == ["k:2"]
        for key in ("k:1", "k:2"):
            answer = await one.answer(key)
            stopped = {"status": "timeout", "summary": "aborted", "stopReason": "rpc"}
            assert answer == {"runId": key} | stopped
        waited = await two.call("agent.wait", runId="k:1", timeoutMs=1)
        assert (waited["status"], waited["stopReason"]) == ("error", "rpc")


async def test_tasks_come_in_pages(gateway):
    async with client(gateway.url) as one:
        for n in range(3):
            one.agent(f"k{n}:1", "[[hang]] x", sessionKey=f"agent:main:{n}")
        first = await one.call("tasks.list", status=["running", "queued"], limit=2)
        rest = await one.call("tasks.list", status="running", limit=2, cursor=first["nextCursor"])
    assert [t["runId"] for t in first["tasks"] + rest["tasks"]] == ["k2:1", "k1:1", "k0:1"]
    assert "nextCursor" not in rest


async def test_words_come_one_by_one(gateway):
    async with client(gateway.url) as one:
        one.agent("k:1", "[[reply=one two three]] [[delay=0.01]] x")
        await one.answer("k:1")
        await wait_until_async(lambda: len(one.streams("k:1")) == 12, description="all events")
    said = [e["payload"]["data"] for e in one.events if e["payload"].get("stream") == "assistant"]
    assert [word["text"] for word in said] == ["one ", "one two ", "one two three"]
    assert [word["delta"] for word in said] == ["one ", "two ", "three"]
