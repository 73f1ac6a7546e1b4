"""Deadlines, expiry, delays, priorities, cancelling, and tasks that nobody can run."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any

import pytest
from celery.exceptions import TaskRevokedError

from godel_tasks.errors import TaskTimedOut, TaskUnroutable
from godel_tasks.results import GodelResult
from tests.helpers import wait_until
from tests.world import World

#: The one instance with a single slot, so that there is an order.
SINGLE = {"capabilities": {"single": "yes"}}


@pytest.fixture
def blocker(calm: World) -> Iterator[GodelResult]:
    """The single slot is taken until the story cancels it."""
    result = calm.submit("acme", {"sleep": 60}, **SINGLE)
    wait_until(lambda: calm.state(result.id) == "RUNNING", description="the slot is taken")
    yield result
    if calm.state(result.id):
        calm.cancel(result.id)
    with pytest.raises(TaskRevokedError):
        result.get(timeout=10)


def test_a_task_that_runs_past_its_deadline_is_stopped_and_fails(calm: World):
    # Given a task that would run for a minute and must be done within 3 s
    began = time.monotonic()
    result = calm.submit("acme", {"sleep": 60}, deadline=3)
    # When the deadline passes
    with pytest.raises(TaskTimedOut, match="deadline"):
        result.get(timeout=10)
    # Then it was stopped on its instance, and not tried again
    assert time.monotonic() - began < 9
    assert len(calm.starts(result.id)) == 1
    assert calm.journal(result.id)[-1]["end"] == "timed_out"


def test_a_task_that_did_not_start_in_time_is_revoked(calm: World, blocker: GodelResult):
    # Given a task that waits behind another, and must start within 0.3 s
    result = calm.submit("acme", {}, expires=0.3, **SINGLE)
    # When it could not
    with pytest.raises(TaskRevokedError, match="did not start in time"):
        result.get(timeout=5)
    # Then it is revoked, as Celery calls it, and never ran
    assert str(result.state) == "REVOKED"
    assert calm.starts(result.id) == []


def test_a_delayed_task_starts_when_it_is_due_and_not_before(calm: World):
    # Given a task for one second from now
    submitted_ms = time.time() * 1000
    result = calm.submit("acme", {}, countdown=1.0)
    assert result.state == "PENDING"
    # When it has run
    result.get(timeout=10)
    # Then it started after that second, and soon after it
    (start,) = calm.starts(result.id)
    assert 990 <= start["at"] - submitted_ms < 2500


def test_a_waiting_task_is_cancelled_at_once(calm: World, blocker: GodelResult):
    # Given a task that waits
    result = calm.submit("acme", {}, **SINGLE)
    assert calm.state(result.id) == "WAITING"
    # When it is cancelled
    assert calm.cancel(result.id).outcome == "cancelled"
    # Then it is revoked and never runs
    with pytest.raises(TaskRevokedError, match="cancelled by story"):
        result.get(timeout=5)
    assert calm.starts(result.id) == []


def test_a_running_task_is_cancelled_on_its_instance(calm: World):
    # Given a task that runs
    result = calm.submit("acme", {"sleep": 60})
    wait_until(lambda: calm.state(result.id) == "RUNNING", description="it runs")
    # When it is cancelled
    assert calm.cancel(result.id).outcome == "asked"
    # Then its handler was stopped, and it is revoked
    with pytest.raises(TaskRevokedError, match="cancelled by story"):
        result.get(timeout=10)
    assert calm.journal(result.id)[-1]["end"] == "cancelled"


def test_urgent_tasks_go_first_and_equals_in_the_order_they_came(calm: World, blocker: GodelResult):
    # Given tasks of all levels that wait for the same slot
    levels = ["low", "normal", "critical", "high", "normal", "critical"]
    results = [calm.submit("acme", {"n": n}, priority=p, **SINGLE) for n, p in enumerate(levels)]
    # When the slot is free
    calm.cancel(blocker.id)
    for result in results:
        result.get(timeout=10)
    # Then they ran by level, and first in, first out within a level
    order = {line["id"]: n for n, line in enumerate(calm.journal()) if line["event"] == "start"}
    ran = sorted(range(len(results)), key=lambda n: order[results[n].id])
    assert ran == [2, 5, 3, 1, 4, 0]


def test_a_task_that_nobody_can_run_is_told_and_buried(calm: World):
    # Given a task that asks for what no instance has, and 2 s of patience
    result = calm.submit("acme", {}, capabilities={"gpu": "yes"})
    # When nobody came
    calm.processes["d1"].wait_for("class.unroutable")
    # Then it is counted for whoever inspects, until nobody waits any more
    answers: Any = calm.app.control.inspect(timeout=2).stats()
    (stats,) = answers.values()
    assert list(stats["godel"]["unroutable"].values()) == [1]
    with pytest.raises(TaskUnroutable, match="gpu"):
        result.get(timeout=15)
    # Then it failed with what was missing
    assert result.state == "FAILURE"
    assert "waiting=1" in calm.processes["d1"].text()
