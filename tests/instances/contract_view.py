"""The contract of the `Instance` view: as `contract.py`, taken by whoever has a `site`."""

from __future__ import annotations

import asyncio

import pytest

from godel_tasks.domain.attempt import End
from godel_tasks.domain.instance import Health, InstanceConfig, Work, WorkProbe
from godel_tasks.domain.session import SessionConfig
from godel_tasks.errors import InstanceUnavailable, UnknownInstance, Unsupported
from tests.instances.sites import Site


async def test_a_submitted_task_is_a_handle_to_its_end(site: Site) -> None:
    instance = site.driver.instance(site.config())
    try:
        handle = await instance.submit_task(site.delivery("t", site.says("1")))
        assert handle.key == site.key("t")
        assert site.said(await handle.result()) == "1"
        assert instance.instance_id == site.instance_id
        assert instance.endpoint == site.endpoint
    finally:
        await instance.aclose()
        await instance.aclose()


async def test_cancel_task_reaches_an_attempt_that_somebody_else_submitted(site: Site) -> None:
    # Given an attempt of another dispatcher
    connection, listener = await site.connect()
    connection.deliver([site.delivery("t", site.hangs())])
    await site.until_running("t")
    # When it is cancelled by the task's id through the view, twice
    instance = site.driver.instance(site.config())
    task_id = site.key("t").rpartition(":")[0]
    await instance.cancel_task(task_id)
    await instance.cancel_task(task_id)
    await instance.cancel_task("unknown")
    # Then it stops
    assert (await listener.completion(site.key("t"))).end is End.CANCELLED
    await instance.aclose()


async def test_a_view_loses_what_ran_on_a_process_that_started_anew(site: Site) -> None:
    instance = site.driver.instance(site.config())
    handle = await instance.submit_task(site.delivery("t", site.waits("late")))
    await site.until_running("t")
    await site.crash()
    await site.come_back()
    async with asyncio.timeout(30):
        assert (await handle.result()).end is End.LOST
    site.release()
    await instance.aclose()


async def test_health_is_told_with_what_is_known(site: Site) -> None:
    instance = site.driver.instance(site.config())
    healthy = await instance.health_check()
    assert (healthy.status, healthy.error) == (Health.HEALTHY, None)
    assert healthy.components == site.components
    assert healthy.latency_ms >= 0
    await instance.aclose()


async def test_a_work_probe_is_answered_or_nothing_is_said(site: Site) -> None:
    instance = site.driver.instance(site.config())
    probe = await instance.work_probe(5.0)
    assert probe in (None, WorkProbe(Work.DONE))
    await instance.aclose()


async def test_health_of_another_instance_is_unhealthy_not_an_error(site: Site) -> None:
    nobody = site.driver.instance(site.config("nobody"))
    if site.names_instances:
        status = await nobody.health_check()
        assert status.status is Health.UNHEALTHY
        assert "nobody" in (status.error or "")
        with pytest.raises(UnknownInstance):
            await nobody.get_session("s")
    await nobody.aclose()


async def test_health_of_what_cannot_be_reached_is_unhealthy_not_an_error(site: Site) -> None:
    await site.crash()
    instance = site.driver.instance(site.config())
    status = await instance.health_check()
    assert status.status is Health.UNHEALTHY
    assert status.error
    with pytest.raises(InstanceUnavailable):
        await instance.get_metrics()
    await instance.aclose()
    await site.come_back()


async def test_metrics_are_shares_and_counts(site: Site) -> None:
    instance = site.driver.instance(site.config())
    await (await instance.submit_task(site.delivery("t", site.says("1")))).result()
    await (await instance.submit_task(site.delivery("u", b"{no json"))).result()
    metrics = await instance.get_metrics()
    assert (metrics.completed_tasks, metrics.failed_tasks) == (1, 1)
    assert metrics.queued_tasks == 0
    for share in (metrics.cpu_usage, metrics.memory_usage, metrics.backpressure):
        assert share is None or 0 <= share <= 1
    await instance.aclose()


async def test_sessions_are_created_found_and_terminated(site: Site) -> None:
    instance = site.driver.instance(site.config())
    name = f"s{site.tag}"
    named = await instance.create_session(SessionConfig(name, "acme", site.labels))
    assert (named.session_id, named.instance_id) == (name, site.instance_id)
    assert (named.tenant_id, named.labels) == ("acme", site.labels)
    assert named.created_ms > 0
    assert await instance.get_session(name) == named
    chosen = await instance.create_session(SessionConfig())
    assert chosen.session_id not in ("", name)
    assert await instance.get_session(chosen.session_id) == chosen
    assert await instance.get_session("never heard of") is None
    await instance.forget_session("bolt", name)
    assert await instance.get_session(name) == named
    if site.may_delete_sessions:
        await instance.forget_session("acme", name)
        await instance.forget_session("acme", name)
        assert await instance.get_session(name) is None
        await instance.create_session(SessionConfig(name, "acme", site.labels))
        await instance.terminate_session(name)
        await instance.terminate_session(name)
        assert await instance.get_session(name) is None
        assert await instance.get_session(chosen.session_id) == chosen
    await instance.aclose()


@pytest.mark.parametrize("act", ["start", "stop", "restart"])
async def test_a_static_instance_is_not_ours_to_start_and_stop(site: Site, act: str) -> None:
    instance = site.driver.instance(site.config())
    with pytest.raises(Unsupported, match="static"):
        await getattr(instance, act)()
    other = site.driver.instance(
        InstanceConfig(site.instance_id, site.endpoint, driver=site.driver.name, provider="statics")
    )
    with pytest.raises(Unsupported, match="did you mean 'static'"):
        await getattr(other, act)()
