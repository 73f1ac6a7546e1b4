"""Redis stands still, is not there yet, or was restarted."""

from __future__ import annotations

import os
import signal
import time
from collections.abc import Callable

from tests.helpers import wait_until
from tests.workers.conftest import ASYNC
from tests.world import World


def test_when_redis_stands_still_for_10_s_nobody_is_reaped_and_nothing_runs_twice(
    fresh_world: Callable[..., World],
):
    # Given two dispatchers whose tasks run: some will end while Redis stands still, some later
    world = fresh_world()
    for name in ("d1", "d2"):
        world.dispatcher(name, ready=False)
    world.instance("a", ASYNC, "--capacity", "20", ready=False)
    world.tenant("acme")
    results = [world.submit("acme", {"sleep": 3 + 9 * (n % 2), "n": n}) for n in range(16)]
    for result in results:
        wait_until(
            lambda result=result: world.state(result.id) == "RUNNING",  # type: ignore[misc]
            description="it runs",
            timeout=20,
        )
    wait_until(lambda: len(world.leases()) == 2, description="both are at work", timeout=20)
    leases = set(world.leases())
    # When Redis does not answer for 10 s
    os.kill(world.server.info.pid, signal.SIGSTOP)
    time.sleep(10)
    os.kill(world.server.info.pid, signal.SIGCONT)
    # Then every task has its result, of its first attempt, which was started once
    for result in results:
        assert result.get(timeout=20)["attempt"] == 1
        assert len(world.starts(result.id)) == 1
    # And both dispatchers are who they were: nobody took anybody's tasks
    assert set(world.leases()) == leases
    for name in ("d1", "d2"):
        text = world.processes[name].text()
        assert "reaped" not in text
        assert "stale" not in text


def test_workers_wait_for_a_redis_that_is_not_there_yet_and_for_one_that_comes_back(
    fresh_world: Callable[..., World],
):
    # Given a dispatcher that is started while there is no Redis
    world = fresh_world()
    url = world.url
    world.server.stop()
    dispatcher = world.dispatcher("d1")
    dispatcher.wait_for("Cannot connect to redis", timeout=15)
    # When Redis comes
    world.server.start()
    assert world.server.url == url
    world.instance("a", ASYNC)
    world.tenant("acme")
    # Then it dispatches
    result = world.submit("acme", {})
    assert result.get(timeout=15)["attempt"] == 1
    wait_until(lambda: "ready." in dispatcher.text(), description="Celery is there", timeout=15)

    # And when Redis is killed and started again while nothing happens
    os.kill(world.server.info.pid, signal.SIGKILL)
    wait_until(lambda: not world.server.alive(), description="Redis is dead")
    time.sleep(1)
    world.server.start()
    # Then dispatcher and instance are there again by themselves, and what ran is remembered
    again = world.submit("acme", {})
    assert again.get(timeout=15)["attempt"] == 1
    assert world.runtime.store.run(world.runtime.cells[0].lookup.settled(result.id)) is not None
    assert dispatcher.alive
    assert world.processes["a"].alive


def test_a_dispatcher_can_be_told_to_end_while_redis_is_away(fresh_world: Callable[..., World]):
    # Given one that was at work when Redis died, and one that never saw a Redis
    world = fresh_world(drain_timeout_s=2)
    was_at_work = world.dispatcher("d1")
    wait_until(world.leases, description="it is at work", timeout=15)
    was_at_work.wait_for("ready.", timeout=15)
    world.server.stop()
    world.dispatcher("d2", ready=False)
    # When they are told to end
    for name in ("d1", "d2"):
        world.processes[name].wait_for("Cannot connect to redis", timeout=15)
        world.processes[name].terminate()
    # Then they do, within bounds
    assert was_at_work.wait(10) == 0
    assert world.processes["d2"].wait(10) == 0
