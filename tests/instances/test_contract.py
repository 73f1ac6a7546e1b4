"""The contract of instances, over every driver."""

from __future__ import annotations

from typing import Any

import pytest

from godel_tasks.domain.attempt import End
from godel_tasks.errors import InstanceUnavailable, UnknownInstance
from tests.helpers import wait_until_async
from tests.instances.sites import CAPACITY, IDS, Listener, Site, delivery

WAIT = b'{"wait": "gate", "return": "late"}'


async def test_a_handlers_result_comes_back_as_json(site: Site) -> None:
    # Given a connection
    connection, listener = await site.connect()
    # When an attempt is delivered
    connection.deliver([delivery("t", b'{"return": {"n": [1, 2.5, null]}}')])
    # Then its completion carries the result and how long it ran
    completion = await listener.completion("t:1")
    assert completion.end is End.OK
    assert completion.result == b'{"n":[1,2.5,null]}'
    assert completion.instance_id == IDS[0]
    assert 0 <= completion.run_ms < 5000


async def test_bytes_reach_the_handler_as_bytes(site: Site) -> None:
    connection, listener = await site.connect()
    connection.deliver([delivery("t", b"\xc3\xa9", encoding="bytes")])
    assert (await listener.completion("t:1")).result == '"é"'.encode()


async def test_a_handler_sees_its_context(site: Site) -> None:
    # Given an attempt with everything that a delivery can carry
    connection, listener = await site.connect()
    given = delivery(
        "t", attempt=3, session_id="s", correlation_id="c", headers={"traceparent": "00-1"}
    )
    # When it runs
    connection.deliver([given])
    await listener.completion("t:3")
    # Then the handler was told all of it
    context = site.work.contexts[0]
    assert (context.task_id, context.attempt, context.tenant_id) == ("t", 3, "acme")
    assert (context.session_id, context.correlation_id) == ("s", "c")
    assert context.headers == {"traceparent": "00-1"}
    assert not context.cancelled


async def test_what_a_handler_raises_is_told_with_its_traceback(site: Site) -> None:
    connection, listener = await site.connect()
    connection.deliver([delivery("t", b'{"raise": "no such page"}')])
    completion = await listener.completion("t:1")
    assert completion.end is End.FAILED
    assert (completion.error_type, completion.error_module) == ("ValueError", "builtins")
    assert completion.error_message == "no such page"
    assert "sites.py" in completion.traceback
    assert completion.retryable


async def test_a_handler_can_say_that_another_attempt_is_useless(site: Site) -> None:
    connection, listener = await site.connect()
    connection.deliver([delivery("t", b'{"raise": "gone", "retryable": false}')])
    assert not (await listener.completion("t:1")).retryable


async def test_a_handler_that_exits_fails_and_the_instance_lives(site: Site) -> None:
    connection, listener = await site.connect()
    connection.deliver([delivery("t", b'{"exit": 3}'), delivery("u", b'{"return": 1}')])
    assert (await listener.completion("t:1")).error_type == "SystemExit"
    assert (await listener.completion("u:1")).end is End.OK


@pytest.mark.parametrize("payload", [b'{"object": true}', b"{no json"], ids=["result", "payload"])
async def test_what_json_cannot_carry_fails_for_good(site: Site, payload: bytes) -> None:
    connection, listener = await site.connect()
    connection.deliver([delivery("t", payload)])
    completion = await listener.completion("t:1")
    assert (completion.end, completion.error_type) == (End.FAILED, "PayloadNotSerializable")
    assert "JSON" in completion.error_message
    assert not completion.retryable


async def test_an_attempt_is_stopped_at_its_time_limit(site: Site) -> None:
    # Given an attempt that never ends by itself
    connection, listener = await site.connect()
    connection.deliver([delivery("t", WAIT, timeout_ms=50)])
    # Then it is stopped, and its slot is free
    completion = await listener.completion("t:1")
    assert completion.end is End.TIMED_OUT
    assert completion.run_ms >= 45
    assert await connection.inventory(IDS[0]) == frozenset()


async def test_a_cancelled_attempt_stops_and_says_so(site: Site) -> None:
    connection, listener = await site.connect()
    connection.deliver([delivery("t", WAIT)])
    await wait_until_async(lambda: site.work.calls, description="running")
    connection.cancel(IDS[0], ["t:1"])
    assert (await listener.completion("t:1")).end is End.CANCELLED
    assert site.work.contexts[0].cancelled
    assert site.station.running == 0


async def test_a_cancel_in_the_same_breath_as_the_delivery_stops_it_too(site: Site) -> None:
    connection, listener = await site.connect()
    connection.deliver([delivery("t", WAIT)])
    connection.cancel(IDS[0], ["t:1"])
    assert (await listener.completion("t:1")).end is End.CANCELLED


async def test_a_cancel_of_an_unknown_attempt_is_answered(site: Site) -> None:
    connection, listener = await site.connect()
    connection.cancel(IDS[0], ["never:1"])
    connection.cancel("nobody", ["never:2"])
    known, unknown = await listener.completion("never:1"), await listener.completion("never:2")
    assert (known.end, known.error_type) == (End.REJECTED, "UnknownAttempt")
    assert (unknown.end, unknown.error_type) == (End.REJECTED, "UnknownInstance")


async def test_whoever_cancels_anothers_attempt_is_told_and_so_is_the_other(site: Site) -> None:
    owner, owners = await site.connect()
    other, others = await site.connect()
    owner.deliver([delivery("t", WAIT)])
    await wait_until_async(lambda: site.work.calls, description="running")
    other.cancel(IDS[0], ["t:1"])
    assert (await others.completion("t:1")).end is End.CANCELLED
    assert (await owners.completion("t:1")).end is End.CANCELLED


async def test_a_second_dispatcher_adopts_what_runs(site: Site) -> None:
    # Given an attempt that runs for one dispatcher
    first, firsts = await site.connect()
    second, seconds = await site.connect()
    first.deliver([delivery("t", WAIT)])
    await wait_until_async(lambda: site.work.calls, description="running")
    # When another one delivers it again, and it ends
    second.deliver([delivery("t", WAIT), delivery("marker", b'{"return": 1}')])
    await seconds.completion("marker:1")
    site.work.gate("gate").set()
    # Then the second is told, the first is not, and the handler ran once
    assert (await seconds.completion("t:1")).result == b'"late"'
    assert site.work.calls.count("t:1") == 1
    assert firsts.completions == []


async def test_what_runs_outlives_its_dispatcher(site: Site) -> None:
    # Given an attempt whose dispatcher goes away
    first, _ = await site.connect()
    first.deliver([delivery("t", WAIT)])
    await wait_until_async(lambda: site.work.calls, description="running")
    await first.stop()
    # When it ends with nobody to tell
    site.work.gate("gate").set()
    await wait_until_async(lambda: site.station.running == 0, description="ended")
    # Then whoever delivers it next gets the completion, and it does not run again
    second, seconds = await site.connect()
    second.deliver([delivery("t", WAIT)])
    assert (await seconds.completion("t:1")).result == b'"late"'
    assert site.work.calls == ["t:1"]


async def test_an_ended_attempt_is_answered_again_until_it_is_acknowledged(site: Site) -> None:
    connection, listener = await site.connect()
    again = delivery("t", b'{"return": 5}')
    connection.deliver([again])
    await listener.completion("t:1")
    # When it is delivered once more
    connection.deliver([again])
    # Then the same completion comes, and nothing ran
    assert await listener.completion("t:1", nth=2) == await listener.completion("t:1")
    # And after it was acknowledged it neither runs nor is remembered
    connection.acknowledge(IDS[0], ["t:1"])
    await wait_until_async(
        lambda: "0 kept" in repr(site.station.hosts[IDS[0]].table), description="forgotten"
    )
    connection.deliver([again])
    lost = await listener.completion("t:1", nth=3)
    assert (lost.end, lost.error_type) == (End.LOST, "Forgotten")
    assert site.work.calls == ["t:1"]


async def test_another_attempt_of_the_task_runs(site: Site) -> None:
    connection, listener = await site.connect()
    connection.deliver([delivery("t", b"1"), delivery("t", b"2", attempt=2)])
    assert (await listener.completion("t:1")).result == b"1"
    assert (await listener.completion("t:2")).result == b"2"


async def test_never_more_than_the_capacity_runs_whoever_delivers(site: Site) -> None:
    # Given two dispatchers, each of which could fill the instance
    first, firsts = await site.connect()
    second, seconds = await site.connect()
    # When both deliver all at once
    first.deliver([delivery(f"f{n}", WAIT) for n in range(CAPACITY + 3)])
    second.deliver([delivery(f"s{n}", WAIT) for n in range(CAPACITY + 3)])

    # Then all but the capacity are refused, at no cost: none of those ran
    def refused() -> list[str]:
        both = firsts.completions + seconds.completions
        return [c.key for c in both if (c.end, c.error_type) == (End.REJECTED, "Full")]

    total = 2 * (CAPACITY + 3)
    await wait_until_async(lambda: len(refused()) == total - CAPACITY, description="refused")
    assert len(site.work.calls) == CAPACITY
    assert site.station.hosts[IDS[0]].table.peak == CAPACITY
    # And a refused one runs when it is delivered again to a free slot
    site.work.gate("gate").set()
    await wait_until_async(lambda: site.station.running == 0, description="free")
    again = refused()[0]
    connection, listener = (first, firsts) if again.startswith("f") else (second, seconds)
    connection.deliver([delivery(again.partition(":")[0], WAIT)])
    assert (await listener.completion(again, nth=2)).end is End.OK


async def test_instances_behind_one_endpoint_have_slots_of_their_own(site: Site) -> None:
    connection, listener = await site.connect()
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
    site: Site, fields: dict[str, Any], refusal: str
) -> None:
    connection, listener = await site.connect()
    connection.deliver([delivery("t", **fields)])
    completion = await listener.completion("t:1")
    assert (completion.end, completion.error_type) == (End.REJECTED, refusal)
    assert site.work.calls == []


async def test_a_draining_instance_refuses_what_is_new_and_finishes_what_runs(site: Site) -> None:
    connection, listener = await site.connect()
    connection.deliver([delivery("t", WAIT)])
    await wait_until_async(lambda: site.work.calls, description="running")
    # When it drains
    site.station.drain()
    connection.deliver([delivery("u")])
    # Then
    assert (await listener.completion("u:1")).error_type == "Draining"
    site.work.gate("gate").set()
    assert (await listener.completion("t:1")).end is End.OK


async def test_inventory_says_what_runs(site: Site) -> None:
    connection, _ = await site.connect()
    connection.deliver([delivery("t", WAIT), delivery("u", WAIT)])
    await wait_until_async(lambda: len(site.work.calls) == 2, description="running")
    assert await connection.inventory(IDS[0]) == {"t:1", "u:1"}
    assert await connection.inventory(IDS[1]) == frozenset()
    with pytest.raises(UnknownInstance):
        await connection.inventory("nobody")


async def test_a_connection_comes_back_by_itself_and_tells_of_another_boot(site: Site) -> None:
    # Given a connection with an attempt under way
    connection, listener = await site.connect()
    boot = connection.boot_id
    connection.deliver([delivery("t", WAIT)])
    await wait_until_async(lambda: site.work.calls, description="running")
    # When the process dies
    await site.crash()
    # Then the listener is told, and nothing can be delivered
    await wait_until_async(lambda: not connection.connected, description="disconnected")
    with pytest.raises(InstanceUnavailable):
        connection.deliver([delivery("u")])
    with pytest.raises(InstanceUnavailable):
        await connection.inventory(IDS[0])
    # And when it comes back, the connection does as well, with another boot id
    await site.come_back()
    await wait_until_async(lambda: connection.connected, description="connected again")
    assert connection.boot_id not in ("", boot)
    assert listener.events == ["connected", "disconnected", "connected"]
    site.work.gate("gate").set()
    connection.deliver([delivery("t", WAIT)])
    assert (await listener.completion("t:1")).end is End.OK
    assert site.work.calls == ["t:1", "t:1"]


async def test_connections_start_and_stop_in_any_order(site: Site) -> None:
    listener = Listener()
    connection = site.driver.open_connection(site.config(), listener)
    await connection.stop()
    await connection.start()
    await connection.start()
    await wait_until_async(lambda: connection.connected, description="connected")
    await connection.stop()
    await connection.stop()
    assert not connection.connected
    assert listener.events == ["connected"]
    await connection.start()
    await wait_until_async(lambda: connection.connected, description="connected again")
    await connection.stop()


async def test_a_big_batch_arrives_whole(site: Site) -> None:
    # Given more bytes than fit one message of the wire
    connection, listener = await site.connect()
    text = b'"' + b"x" * 1_000_000 + b'"'
    deliveries = [
        delivery(f"t{n}", text, instance_id=IDS[n % 2], attempt=1) for n in range(2 * CAPACITY)
    ]
    connection.deliver(deliveries)
    for each in deliveries:
        assert (await listener.completion(each.key)).result == text


# The `Instance` view
