"""The contract of connections: what every driver promises, over whatever site it reaches.

Not collected by itself: `test_contract.py` here and in `tests/openclaw` take these stories, each
with a `site` of its own.
"""

from __future__ import annotations

import pytest
from msgspec.structs import replace

from godel_tasks.domain.attempt import End
from godel_tasks.errors import InstanceUnavailable, UnknownInstance
from tests.helpers import wait_until_async
from tests.instances.sites import Listener, Site


async def test_what_an_attempt_says_comes_back(site: Site) -> None:
    # Given a connection
    connection, listener = await site.connect()
    # When an attempt is delivered
    connection.deliver([site.delivery("t", site.says("hello"))])
    # Then its completion carries the result and how long it ran
    completion = await listener.completion(site.key("t"))
    assert completion.end is End.OK
    assert site.said(completion) == "hello"
    assert completion.instance_id == site.instance_id
    assert 0 <= completion.run_ms < 60_000


async def test_a_payload_that_cannot_be_run_fails_for_good(site: Site) -> None:
    connection, listener = await site.connect()
    connection.deliver([site.delivery("t", b"{no json"), site.delivery("u", site.says("x"))])
    completion = await listener.completion(site.key("t"))
    assert completion.end is End.FAILED
    assert completion.error_type in {"PayloadNotSerializable", "InvalidTask"}
    assert "JSON" in completion.error_message
    assert not completion.retryable
    # And what came with it is not harmed
    assert (await listener.completion(site.key("u"))).end is End.OK


async def test_an_attempt_is_stopped_at_its_time_limit(site: Site) -> None:
    # Given an attempt that never ends by itself
    connection, listener = await site.connect()
    connection.deliver([site.delivery("t", site.hangs(), timeout_ms=site.short_ms)])
    # Then it is stopped, and its slot is free
    completion = await listener.completion(site.key("t"))
    assert completion.end is End.TIMED_OUT
    assert completion.run_ms >= site.short_ms * 0.9
    assert await connection.inventory(site.instance_id) == frozenset()


async def test_a_cancelled_attempt_stops_and_says_so(site: Site) -> None:
    connection, listener = await site.connect()
    connection.deliver([site.delivery("t", site.hangs())])
    await site.until_running("t")
    connection.cancel(site.instance_id, [site.key("t")])
    assert (await listener.completion(site.key("t"))).end is End.CANCELLED
    assert await connection.inventory(site.instance_id) == frozenset()


async def test_a_cancel_in_the_same_breath_as_the_delivery_stops_it_too(site: Site) -> None:
    connection, listener = await site.connect()
    connection.deliver([site.delivery("t", site.hangs())])
    connection.cancel(site.instance_id, [site.key("t")])
    assert (await listener.completion(site.key("t"))).end is End.CANCELLED


async def test_a_cancel_of_an_unknown_attempt_is_answered(site: Site) -> None:
    connection, listener = await site.connect()
    connection.cancel(site.instance_id, ["never:1"])
    connection.cancel("nobody", ["never:2"])
    known, unknown = await listener.completion("never:1"), await listener.completion("never:2")
    assert (known.end, known.error_type) == (End.REJECTED, "UnknownAttempt")
    assert (unknown.end, unknown.error_type) == (End.REJECTED, "UnknownInstance")


async def test_whoever_cancels_anothers_attempt_is_told_and_so_is_the_other(site: Site) -> None:
    owner, owners = await site.connect()
    other, others = await site.connect()
    owner.deliver([site.delivery("t", site.hangs())])
    await site.until_running("t")
    other.cancel(site.instance_id, [site.key("t")])
    assert (await others.completion(site.key("t"))).end is End.CANCELLED
    assert (await owners.completion(site.key("t"))).end is End.CANCELLED


async def test_a_second_dispatcher_adopts_what_runs(site: Site) -> None:
    # Given an attempt that runs for one dispatcher
    first, _ = await site.connect()
    second, seconds = await site.connect()
    delivery = site.delivery("t", site.waits("late"))
    first.deliver([delivery])
    await site.until_running("t")
    # When it dies, another one delivers the attempt again, and it ends
    await first.stop()
    second.deliver([replace(delivery, may_have_run=True)])
    second.deliver([site.delivery("marker", site.says("1"))])
    await seconds.completion(site.key("marker"))
    site.release()
    # Then the second is told, and it ran once
    assert site.said(await seconds.completion(site.key("t"))) == "late"
    assert site.ran("t") == 1


async def test_what_runs_outlives_its_dispatcher(site: Site) -> None:
    # Given an attempt whose dispatcher goes away
    delivery = site.delivery("t", site.waits("late"))
    first, _ = await site.connect()
    first.deliver([delivery])
    await site.until_running("t")
    await first.stop()
    # When it ends with nobody to tell
    site.release()
    second, seconds = await site.connect()

    async def idle() -> bool:
        return not await second.inventory(site.instance_id)

    await site.until(idle, "ended")
    # Then whoever delivers it next gets the completion, and it does not run again
    second.deliver([replace(delivery, may_have_run=True)])
    assert site.said(await seconds.completion(site.key("t"))) == "late"
    assert site.ran("t") == 1


async def test_what_may_have_been_sent_and_never_was_begins(site: Site) -> None:
    connection, listener = await site.connect()
    connection.deliver([replace(site.delivery("t", site.says("first")), may_have_run=True)])
    assert site.said(await listener.completion(site.key("t"))) == "first"
    assert site.ran("t") == 1


async def test_an_ended_attempt_is_answered_again_until_it_is_acknowledged(site: Site) -> None:
    connection, listener = await site.connect()
    again = site.delivery("t", site.says("5"))
    key = site.key("t")
    connection.deliver([again])
    await listener.completion(key)
    # When it is delivered once more
    connection.deliver([again])
    # Then the same completion comes, and nothing ran
    assert await listener.completion(key, nth=2) == await listener.completion(key)
    # And after it was acknowledged it neither runs nor is remembered
    connection.acknowledge(site.instance_id, [key])
    await site.until_forgotten("t")
    connection.deliver([again])
    lost = await listener.completion(key, nth=3)
    assert (lost.end, lost.error_type) == (End.LOST, "Forgotten")
    assert site.ran("t") == 1


async def test_another_attempt_of_the_task_runs(site: Site) -> None:
    connection, listener = await site.connect()
    connection.deliver(
        [site.delivery("t", site.says("1")), site.delivery("t", site.says("2"), attempt=2)]
    )
    assert site.said(await listener.completion(site.key("t"))) == "1"
    assert site.said(await listener.completion(site.key("t", attempt=2))) == "2"


async def test_a_delivery_to_another_instance_is_refused(site: Site) -> None:
    connection, listener = await site.connect()
    connection.deliver([site.delivery("t", site.says("x"), instance_id="nobody")])
    completion = await listener.completion(site.key("t"))
    assert (completion.end, completion.error_type) == (End.REJECTED, "UnknownInstance")
    assert site.ran("t") == 0


async def test_inventory_says_what_runs(site: Site) -> None:
    connection, _ = await site.connect()
    connection.deliver([site.delivery("t", site.hangs()), site.delivery("u", site.hangs())])
    await site.until_running("t")
    await site.until_running("u")
    running = await connection.inventory(site.instance_id)
    assert running == {site.key("t"), site.key("u")}
    with pytest.raises(UnknownInstance):
        await connection.inventory("nobody")
    connection.cancel(site.instance_id, sorted(running))

    async def idle() -> bool:
        return not await connection.inventory(site.instance_id)

    await site.until(idle, "both stopped")


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
    with pytest.raises(InstanceUnavailable):
        connection.deliver([site.delivery("t", site.says("x"))])
    await connection.start()
    await wait_until_async(lambda: connection.connected, description="connected again")
    await connection.stop()


async def test_a_connection_comes_back_by_itself_and_tells_of_another_boot(site: Site) -> None:
    # Given a connection with an attempt under way
    connection, listener = await site.connect()
    boot = connection.boot_id
    connection.deliver([site.delivery("t", site.waits("late"))])
    await site.until_running("t")
    # When the process dies
    await site.crash()
    # Then the listener is told, and nothing can be delivered
    await wait_until_async(lambda: not connection.connected, description="disconnected")
    with pytest.raises(InstanceUnavailable):
        connection.deliver([site.delivery("u", site.says("x"))])
    with pytest.raises(InstanceUnavailable):
        await connection.inventory(site.instance_id)
    # And when it comes back, the connection does as well, with another boot id
    await site.come_back()
    await site.until(lambda: connection.connected, "connected again")
    assert connection.boot_id not in ("", boot)
    assert listener.events == ["connected", "disconnected", "connected"]
    # And the process has forgotten: a new attempt runs
    site.release()
    connection.deliver([site.delivery("t", site.says("anew"), attempt=2)])
    assert site.said(await listener.completion(site.key("t", attempt=2))) == "anew"
