"""What becomes of tasks is told by Celery's signals, in the process that publishes it."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from typing import Any

import pytest
from celery.exceptions import Retry
from celery.signals import task_failure, task_retry, task_revoked, task_success

from godel_tasks.events import EventBus
from godel_tasks.worker.jobs import reap
from godel_tasks.worker.signalling import SignalSender
from tests.helpers import wait_until
from tests.inprocess import dispatching
from tests.signals.heard import Heard, listening
from tests.workers.handlers import Refused
from tests.world import World

NAME = "godel_tasks.submit_task"


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One instance, and no dispatcher yet."""
    settings = {"backoff_base_s": 0.05, "backoff_max_s": 0.1, "max_attempts": 2}
    with World(tmp_path_factory.mktemp("signals"), **settings) as found:
        found.instance("gw", "tests.workers.handlers:act", "--capacity", "8")
        found.tenant("acme")
        yield found


@pytest.fixture
def sender(world: World) -> Iterator[SignalSender]:
    found = SignalSender(world.app, "node@here")
    found.start()
    yield found
    found.stop()


@pytest.fixture
def dispatched(world: World, sender: SignalSender) -> Iterator[None]:
    """A dispatcher in this process, with signals."""
    bus = EventBus()
    sender.watch(bus)
    with dispatching(world.runtime, bus):
        yield


def first(heard: Heard) -> dict[str, Any]:
    return wait_until(lambda: heard.calls, description="the signal comes", timeout=10)[0]


def test_a_success_is_told(world: World, dispatched: None) -> None:
    # Given a receiver that looks for the id where Celery has it
    seen: list[Any] = []

    def look(sender: Any, **_: Any) -> None:
        seen.append((sender.request.id, threading.current_thread().name))

    with listening(task_success, act=look) as (success,):
        # When a task succeeds
        result = world.submit("acme", {})
        call = first(success)
    # Then its result, its time and its request are told, and its result can be read already
    assert call["sender"] is world.app.tasks[NAME]
    assert call["result"] == {"attempt": 1, "instance": "gw"}
    assert call["runtime"] >= 0
    assert seen == [(result.id, "godel-signals")]
    assert result.state == "SUCCESS"


def test_a_retry_and_a_failure_are_told(world: World, dispatched: None) -> None:
    # Given a task whose handler raises each time
    with listening(task_retry, task_failure, task_success) as (retried, failed, succeeded):
        result = world.submit("acme", {"raise": "no"})
        again, call = first(retried), first(failed)
    # Then the attempt that is followed by another is told with its error
    assert again["sender"] is call["sender"] is world.app.tasks[NAME]
    request = again["request"]
    assert (request.id, request.args, request.retries) == (result.id, ("acme",), 0)
    assert request.hostname == "node@here"
    assert request.godel["instance"] == "gw"
    assert isinstance(again["reason"], Retry)
    assert "attempt 1 raised Refused" in str(again["reason"])
    assert isinstance(again["reason"].exc, Refused)
    assert 0 < float(again["reason"].when) <= 0.1  # type: ignore[arg-type]
    # And the end with the exception that `.get()` raises, and the traceback of the instance
    assert call["task_id"] == result.id
    assert isinstance(call["exception"], Refused)
    assert str(call["exception"]) == "no"
    assert (call["args"], call["kwargs"], call["traceback"]) == (("acme",), {}, None)
    assert "tests/workers/handlers.py" in str(call["einfo"])
    assert call["einfo"].exception is call["exception"]
    with pytest.raises(Refused):
        result.get(timeout=5)
    assert (len(retried.calls), len(failed.calls), len(succeeded.calls)) == (1, 1, 0)


def test_cancelled_tasks_are_told_as_revoked(world: World, dispatched: None) -> None:
    # Given a task that runs, and one that waits for later
    with listening(task_revoked) as (revoked,):
        running = world.submit("acme", {"sleep": 60})
        wait_until(lambda: world.state(running.id) == "RUNNING", description="it runs", timeout=10)
        waiting = world.submit("acme", {}, countdown=60)
        # When both are cancelled
        for result in (running, waiting):
            world.cancel(result.id)
        wait_until(lambda: len(revoked.calls) == 2, description="both are told", timeout=10)
    # Then the one that ran was terminated, and none expired
    told = {call["request"].id: call for call in revoked.calls}
    assert told.keys() == {running.id, waiting.id}
    assert told[running.id]["terminated"] is True
    assert told[waiting.id]["terminated"] is False
    assert {(call["expired"], call["signum"]) for call in revoked.calls} == {(False, None)}


def test_receivers_may_raise_and_block(
    world: World, dispatched: None, caplog: pytest.LogCaptureFixture
) -> None:
    # Given a receiver that blocks, and then ends its thread if it can
    go_on = threading.Event()

    def misbehave(**_: Any) -> None:
        go_on.wait(10)
        raise SystemExit("a receiver gone wild")

    with listening(task_success) as (good,), listening(task_success, act=misbehave):
        # When tasks succeed meanwhile
        results = [world.submit("acme", {}) for _ in range(3)]
        # Then their results come all the same
        assert [result.get(timeout=10)["instance"] for result in results] == ["gw"] * 3
        go_on.set()
        # And each of them is told once the receivers go on
        wait_until(lambda: len(good.calls) == 3, description="all are told", timeout=10)


def test_a_control_job_tells_what_it_publishes(world: World, sender: SignalSender) -> None:
    # Given no dispatcher, and a task that is cancelled while it waits
    bus = EventBus()
    sender.watch(bus)
    result = world.submit("acme", {})
    world.cancel(result.id)
    with listening(task_revoked) as (revoked,):
        # When the job publishes its end
        reap(world.runtime, bus)
        call = first(revoked)
    # Then it is told there
    assert call["request"].id == result.id
    assert call["request"].args == ("acme",)
    assert not call["terminated"]


def test_no_event_is_built_while_nobody_listens(world: World, sender: SignalSender) -> None:
    # Given a bus that signals are sent for
    from godel_tasks.events import TaskPublished, TaskRetried

    bus = EventBus()
    sender.watch(bus)
    # When nobody listens, then nobody wants the events
    assert not bus.wanted(TaskPublished)
    assert not bus.wanted(TaskRetried)
    with listening(task_failure):
        assert bus.wanted(TaskPublished)
        assert not bus.wanted(TaskRetried)
