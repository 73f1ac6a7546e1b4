"""Work probes: a no-op where attempts run, over drivers, and in a host whose threads are stuck."""

from __future__ import annotations

import threading

from godel_tasks.clock import SystemClock
from godel_tasks.domain.attempt import Completion
from godel_tasks.domain.instance import Health, InstanceConfig, Work
from godel_tasks.instances.handlers import Handler
from godel_tasks.instances.server.executors import ThreadExecutor
from godel_tasks.instances.server.host import InstanceHost
from godel_tasks.instances.server.station import Station
from godel_tasks.instances.server.threads import ThreadPool
from tests.helpers import wait_until_async
from tests.instances.sites import CAPACITY, HandlerSite, delivery


class Peer:
    """Keeps what it is sent."""

    def __init__(self) -> None:
        self.completions: list[Completion] = []

    def send(self, completion: Completion) -> None:
        self.completions.append(completion)


class Stuck:
    """A host of two threads, whose handler does not return until it is let go."""

    def __init__(self) -> None:
        self.go = threading.Event()

        def handle(payload: object) -> None:
            self.wait()

        self.pool = ThreadPool(2)
        executor = ThreadExecutor(Handler.of(handle), SystemClock(), self.pool)
        config = InstanceConfig("gw-1", "h:1", capacity=2)
        self.host = InstanceHost(config, executor, SystemClock(), generation=1)
        self.station = Station([self.host])

    def wait(self) -> None:
        self.go.wait(30)


async def test_an_instance_that_works_runs_a_no_op(handler_site: HandlerSite) -> None:
    instance = handler_site.driver.instance(handler_site.config())
    probe = await instance.work_probe(5.0)
    assert probe is not None
    assert (probe.outcome, probe.detail) == (Work.DONE, "")
    await instance.aclose()


async def test_of_one_that_is_full_nothing_can_be_said(handler_site: HandlerSite) -> None:
    # Given long turns in all slots
    connection, listener = await handler_site.connect()
    payload = b'{"wait": "gate"}'
    deliveries = [delivery(f"t{n}", payload) for n in range(CAPACITY)]
    connection.deliver(deliveries)
    host = handler_site.station.host(deliveries[0].instance_id)
    await wait_until_async(lambda: len(host.table.running) == CAPACITY, description="it is full")
    # Then it is busy, which is no failure
    instance = handler_site.driver.instance(handler_site.config())
    probe = await instance.work_probe(0.2)
    assert probe is not None
    assert probe.outcome is Work.BUSY
    assert (await instance.health_check()).status is Health.HEALTHY
    handler_site.work.gate("gate").set()
    await listener.completion("t0:1")
    await instance.aclose()


async def test_slots_that_stopped_attempts_hold_do_no_work() -> None:
    # Given attempts that ran out of their time, in threads that go on
    stuck, peer = Stuck(), Peer()
    for n in range(2):
        stuck.host.deliver(delivery(f"t{n}", instance_id="gw-1", generation=1, timeout_ms=20), peer)
    await wait_until_async(lambda: len(peer.completions) == 2, description="their time is up")
    # Then no work is done there, and it is said why
    probe = await stuck.host.prove_work(1.0)
    assert probe.outcome is Work.FAILED
    assert probe.detail == "all 2 slots are held by attempts that were stopped, and go on"
    assert stuck.station.health("gw-1")[0] is Health.DEGRADED
    # And when they return, there is
    stuck.go.set()
    await wait_until_async(lambda: not stuck.host.table.running, description="they return")
    assert (await stuck.host.prove_work(5.0)).outcome is Work.DONE
    assert stuck.station.health("gw-1") == (Health.HEALTHY, "")


async def test_a_no_op_that_does_not_run_is_a_failure_and_is_started_once() -> None:
    # Given threads that something else holds, with all slots free
    stuck = Stuck()
    for _ in range(2):
        stuck.pool.submit(stuck.wait)
    probes = [await stuck.host.prove_work(0.05) for _ in range(3)]
    assert [probe.outcome for probe in probes] == [Work.FAILED] * 3
    assert probes[0].detail == "a no-op did not run within 0.05 s"
    # When they are free again, the one no-op that waits runs
    stuck.go.set()
    assert (await stuck.host.prove_work(5.0)).outcome is Work.DONE
