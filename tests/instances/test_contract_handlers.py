"""What instances that run a handler of ours promise beyond the contract, over their drivers."""

from __future__ import annotations

from typing import Any

import pytest

from godel_tasks.domain.attempt import End
from godel_tasks.domain.instance import Health
from tests.helpers import wait_until_async
from tests.instances.sites import CAPACITY, IDS, HandlerSite, delivery

WAIT = b'{"wait": "gate", "return": "late"}'


async def test_a_handlers_result_comes_back_as_json(handler_site: HandlerSite) -> None:
    # Given a connection
    connection, listener = await handler_site.connect()
    # When an attempt is delivered
    connection.deliver([delivery("t", b'{"return": {"n": [1, 2.5, null]}}')])
    # Then its completion carries the result and how long it ran
    completion = await listener.completion("t:1")
    assert completion.end is End.OK
    assert completion.result == b'{"n":[1,2.5,null]}'
    assert completion.instance_id == IDS[0]
    assert 0 <= completion.run_ms < 5000


async def test_bytes_reach_the_handler_as_bytes(handler_site: HandlerSite) -> None:
    connection, listener = await handler_site.connect()
    connection.deliver([delivery("t", b"\xc3\xa9", encoding="bytes")])
    assert (await listener.completion("t:1")).result == '"é"'.encode()


async def test_a_handler_sees_its_context(handler_site: HandlerSite) -> None:
    # Given an attempt with everything that a delivery can carry
    connection, listener = await handler_site.connect()
    given = delivery(
        "t", attempt=3, session_id="s", correlation_id="c", headers={"traceparent": "00-1"}
    )
    # When it runs
    connection.deliver([given])
    await listener.completion("t:3")
    # Then the handler was told all of it
    context = handler_site.work.contexts[0]
    assert (context.task_id, context.attempt, context.tenant_id) == ("t", 3, "acme")
    assert (context.session_id, context.correlation_id) == ("s", "c")
    assert context.headers == {"traceparent": "00-1"}
    assert not context.cancelled


async def test_what_a_handler_raises_is_told_with_its_traceback(handler_site: HandlerSite) -> None:
    connection, listener = await handler_site.connect()
    connection.deliver([delivery("t", b'{"raise": "no such page"}')])
    completion = await listener.completion("t:1")
    assert completion.end is End.FAILED
    assert (completion.error_type, completion.error_module) == ("ValueError", "builtins")
    assert completion.error_message == "no such page"
    assert "sites.py" in completion.traceback
    assert completion.retryable


async def test_a_handler_can_say_that_another_attempt_is_useless(handler_site: HandlerSite) -> None:
    connection, listener = await handler_site.connect()
    connection.deliver([delivery("t", b'{"raise": "gone", "retryable": false}')])
    assert not (await listener.completion("t:1")).retryable


async def test_a_handler_that_exits_fails_and_the_instance_lives(handler_site: HandlerSite) -> None:
    connection, listener = await handler_site.connect()
    connection.deliver([delivery("t", b'{"exit": 3}'), delivery("u", b'{"return": 1}')])
    assert (await listener.completion("t:1")).error_type == "SystemExit"
    assert (await listener.completion("u:1")).end is End.OK


@pytest.mark.parametrize("payload", [b'{"object": true}', b"{no json"], ids=["result", "payload"])
async def test_what_json_cannot_carry_fails_for_good(
    handler_site: HandlerSite, payload: bytes
) -> None:
    connection, listener = await handler_site.connect()
    connection.deliver([delivery("t", payload)])
    completion = await listener.completion("t:1")
    assert (completion.end, completion.error_type) == (End.FAILED, "PayloadNotSerializable")
    assert "JSON" in completion.error_message
    assert not completion.retryable


async def test_never_more_than_the_capacity_runs_whoever_delivers(
    handler_site: HandlerSite,
) -> None:
    # Given two dispatchers, each of which could fill the instance
    first, firsts = await handler_site.connect()
    second, seconds = await handler_site.connect()
    # When both deliver all at once
    first.deliver([delivery(f"f{n}", WAIT) for n in range(CAPACITY + 3)])
    second.deliver([delivery(f"s{n}", WAIT) for n in range(CAPACITY + 3)])

    # Then all but the capacity are refused, at no cost: none of those ran
    def refused() -> list[str]:
        both = firsts.completions + seconds.completions
        return [c.key for c in both if (c.end, c.error_type) == (End.REJECTED, "Full")]

    total = 2 * (CAPACITY + 3)
    await wait_until_async(lambda: len(refused()) == total - CAPACITY, description="refused")
    assert len(handler_site.work.calls) == CAPACITY
    assert handler_site.station.hosts[IDS[0]].table.peak == CAPACITY
    # And a refused one runs when it is delivered again to a free slot
    handler_site.work.gate("gate").set()
    await wait_until_async(lambda: handler_site.station.running == 0, description="free")
    again = refused()[0]
    connection, listener = (first, firsts) if again.startswith("f") else (second, seconds)
    connection.deliver([delivery(again.partition(":")[0], WAIT)])
    assert (await listener.completion(again, nth=2)).end is End.OK


async def test_instances_behind_one_endpoint_have_slots_of_their_own(
    handler_site: HandlerSite,
) -> None:
    connection, listener = await handler_site.connect()
    connection.deliver([delivery(f"a{n}", WAIT) for n in range(CAPACITY)])
    connection.deliver([delivery("b", b"1", instance_id=IDS[1])])
    assert (await listener.completion("b:1")).instance_id == IDS[1]


@pytest.mark.parametrize(
    ("fields", "refusal"),
    [
        ({"generation": 6}, "OtherGeneration"),
        ({"generation": 8}, "OtherGeneration"),
        ({"instance_id": "nobody"}, "UnknownInstance"),
    ],
)
async def test_a_delivery_to_something_else_is_refused(
    handler_site: HandlerSite, fields: dict[str, Any], refusal: str
) -> None:
    connection, listener = await handler_site.connect()
    connection.deliver([delivery("t", **fields)])
    completion = await listener.completion("t:1")
    assert (completion.end, completion.error_type) == (End.REJECTED, refusal)
    assert handler_site.work.calls == []


async def test_a_draining_instance_refuses_what_is_new_and_finishes_what_runs(
    handler_site: HandlerSite,
) -> None:
    connection, listener = await handler_site.connect()
    connection.deliver([delivery("t", WAIT)])
    await wait_until_async(lambda: handler_site.work.calls, description="running")
    # When it drains
    handler_site.station.drain()
    connection.deliver([delivery("u")])
    # Then
    assert (await listener.completion("u:1")).error_type == "Draining"
    handler_site.work.gate("gate").set()
    assert (await listener.completion("t:1")).end is End.OK


async def test_a_big_batch_arrives_whole(handler_site: HandlerSite) -> None:
    # Given more bytes than fit one message of the wire
    connection, listener = await handler_site.connect()
    text = b'"' + b"x" * 1_000_000 + b'"'
    deliveries = [
        delivery(f"t{n}", text, instance_id=IDS[n % 2], attempt=1) for n in range(2 * CAPACITY)
    ]
    connection.deliver(deliveries)
    for each in deliveries:
        assert (await listener.completion(each.key)).result == text


# The `Instance` view


async def test_a_draining_instance_is_degraded(handler_site: HandlerSite) -> None:
    instance = handler_site.driver.instance(handler_site.config())
    handler_site.station.drain()
    draining = await instance.health_check()
    assert (draining.status, draining.error) == (Health.DEGRADED, "the instance is draining")
    await instance.aclose()
