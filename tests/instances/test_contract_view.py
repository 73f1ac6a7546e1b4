"""The contract of the `Instance` view, over every driver."""

from __future__ import annotations

import asyncio

import pytest

from godel_tasks.domain.attempt import End
from godel_tasks.domain.instance import Health, HealthComponents, InstanceConfig
from godel_tasks.domain.session import SessionConfig
from godel_tasks.errors import InstanceUnavailable, UnknownInstance, Unsupported
from tests.helpers import wait_until_async
from tests.instances.sites import IDS, Site, delivery

WAIT = b'{"wait": "gate", "return": "late"}'


async def test_a_submitted_task_is_a_handle_to_its_end(site: Site) -> None:
    instance = site.driver.instance(site.config())
    try:
        handle = await instance.submit_task(delivery("t", b'{"return": 1}'))
        assert handle.key == "t:1"
        assert (await handle.result()).result == b"1"
        assert instance.instance_id == IDS[0]
        assert instance.endpoint == site.endpoint
        assert instance.workspace_dir == ""
    finally:
        await instance.aclose()
        await instance.aclose()


async def test_cancel_task_reaches_an_attempt_that_somebody_else_submitted(site: Site) -> None:
    # Given an attempt of another dispatcher
    connection, listener = await site.connect()
    connection.deliver([delivery("t", WAIT)])
    await wait_until_async(lambda: site.work.calls, description="running")
    # When it is cancelled by the task's id through the view, twice
    instance = site.driver.instance(site.config())
    await instance.cancel_task("t")
    await instance.cancel_task("t")
    await instance.cancel_task("unknown")
    # Then it stops
    assert (await listener.completion("t:1")).end is End.CANCELLED
    await instance.aclose()


async def test_a_view_loses_what_ran_on_a_process_that_started_anew(site: Site) -> None:
    instance = site.driver.instance(site.config())
    handle = await instance.submit_task(delivery("t", WAIT))
    await wait_until_async(lambda: site.work.calls, description="running")
    await site.crash()
    await site.come_back()
    async with asyncio.timeout(5):
        assert (await handle.result()).end is End.LOST
    assert site.work.calls == ["t:1"]
    await instance.aclose()


async def test_health_is_told_with_what_is_known(site: Site) -> None:
    instance = site.driver.instance(site.config())
    healthy = await instance.health_check()
    assert (healthy.status, healthy.error) == (Health.HEALTHY, None)
    assert healthy.components == HealthComponents()
    assert healthy.latency_ms >= 0
    site.station.drain()
    draining = await instance.health_check()
    assert (draining.status, draining.error) == (Health.DEGRADED, "the instance is draining")
    await instance.aclose()


async def test_health_of_what_cannot_be_reached_is_unhealthy_not_an_error(site: Site) -> None:
    nobody = site.driver.instance(site.config("nobody"))
    status = await nobody.health_check()
    assert status.status is Health.UNHEALTHY
    assert "nobody" in (status.error or "")
    await site.crash()
    instance = site.driver.instance(site.config())
    status = await instance.health_check()
    assert status.status is Health.UNHEALTHY
    assert status.error
    with pytest.raises(InstanceUnavailable):
        await instance.get_metrics()
    await instance.aclose()
    await nobody.aclose()


async def test_metrics_count_and_say_none_for_what_is_not_known(site: Site) -> None:
    connection, listener = await site.connect()
    connection.deliver([delivery("t", b"1"), delivery("u", b'{"raise": "x"}')])
    await listener.completion("t:1")
    await listener.completion("u:1")
    instance = site.driver.instance(site.config())
    await instance.create_session(SessionConfig())
    metrics = await instance.get_metrics()
    assert (metrics.completed_tasks, metrics.failed_tasks) == (1, 1)
    assert (metrics.active_sessions, metrics.queued_tasks) == (1, 0)
    # The first look has no span to measure processor use over (gRPC), or no process (simulated).
    assert metrics.cpu_usage is None or 0 <= metrics.cpu_usage <= 1
    assert metrics.memory_usage is None or 0 <= metrics.memory_usage <= 1
    await instance.aclose()


async def test_sessions_are_created_found_and_terminated(site: Site) -> None:
    instance = site.driver.instance(site.config())
    named = await instance.create_session(SessionConfig("s", "acme", {"topic": "x"}))
    assert (named.session_id, named.instance_id, named.tenant_id) == ("s", IDS[0], "acme")
    assert named.labels == {"topic": "x"}
    assert named.created_ms > 0
    assert await instance.get_session("s") == named
    chosen = await instance.create_session(SessionConfig())
    assert chosen.session_id not in ("", "s")
    await instance.terminate_session("s")
    await instance.terminate_session("s")
    assert await instance.get_session("s") is None
    assert await instance.get_session(chosen.session_id) == chosen
    nobody = site.driver.instance(site.config("nobody"))
    with pytest.raises(UnknownInstance):
        await nobody.get_session("s")
    await instance.aclose()
    await nobody.aclose()


@pytest.mark.parametrize("act", ["start", "stop", "restart"])
async def test_a_static_instance_is_not_ours_to_start_and_stop(site: Site, act: str) -> None:
    instance = site.driver.instance(site.config())
    with pytest.raises(Unsupported, match="static"):
        await getattr(instance, act)()
    other = site.driver.instance(
        InstanceConfig(IDS[0], site.endpoint, driver=site.driver.name, provider="statics")
    )
    with pytest.raises(Unsupported, match="did you mean 'static'"):
        await getattr(other, act)()
