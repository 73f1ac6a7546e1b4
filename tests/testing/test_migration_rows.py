"""What the page about moving to Godel says of Celery's options, tried out."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery.beat import ScheduleEntry, Scheduler
from celery.schedules import schedule

from godel_tasks import app, submit_task
from godel_tasks.errors import PayloadNotSerializable, TaskConflict, TaskNotFound
from godel_tasks.testing import OfflineGodel, offline


@pytest.fixture
def godel() -> Iterator[OfflineGodel]:
    with offline() as found:
        found.tenant("acme")
        yield found


def test_options_of_messages_have_no_effect(godel: OfflineGodel) -> None:
    # Given a call with every option of a message that there is no message for
    options: dict[str, Any] = {
        "queue": "q", "routing_key": "r", "exchange": "e", "serializer": "pickle",
        "compression": "gzip", "retry": False, "retry_policy": {"max_retries": 1}, "shadow": "s",
        "connection": None, "soft_time_limit": 3,
    }  # fmt: skip
    submit_task.apply_async(("acme", {"n": 1}), **options)
    submit_task.apply_async(("acme", {"n": 1}))
    # Then it is the task that it is without them
    first, second = godel.submitted
    fields = [name for name in first.__slots__ if name != "task_id"]
    assert [getattr(first, f) for f in fields] == [getattr(second, f) for f in fields]


def test_what_json_cannot_carry_is_refused(godel: OfflineGodel) -> None:
    with pytest.raises(PayloadNotSerializable, match="bytes"):
        submit_task.apply_async(("acme", object()), serializer="pickle")


def test_options_that_work(godel: OfflineGodel) -> None:
    for priority in (0, 2, 3, 6, 9):
        submit_task.apply_async(("acme", 1), priority=priority)
    eta = datetime.now(UTC) + timedelta(hours=1)
    submit_task.apply_async(("acme", 1), eta=eta, time_limit=5, headers={"a": "b"}, task_id="mine")
    *leveled, last = godel.submitted
    levels = [task.priority for task in leveled]
    assert levels == ["critical", "critical", "high", "normal", "low"]
    assert last.eta is not None
    assert abs(last.eta - eta) < timedelta(milliseconds=1)
    assert (last.timeout_s, last.headers) == (5, {"a": "b"})
    # The same again is the same task, another one under its id is refused
    submit_task.apply_async(("acme", 1), time_limit=5, headers={"a": "b"}, task_id="mine", eta=eta)
    with pytest.raises(TaskConflict):
        submit_task.apply_async(("acme", 2), task_id="mine")
    assert len(godel.submitted) == 6


def test_an_unknown_result_raises_and_a_known_id_is_enough(godel: OfflineGodel) -> None:
    with pytest.raises(TaskNotFound):
        submit_task.AsyncResult("unknown").get(timeout=1)
    result = submit_task.delay("acme", 1)
    godel.settle(result, 5)
    assert submit_task.AsyncResult(result.id).get(timeout=1) == 5


def test_beat_submits_what_is_due(godel: OfflineGodel) -> None:
    # Given an entry as the page describes it
    entry = ScheduleEntry(
        name="nightly",
        task="godel_tasks.submit_task",
        args=("acme", {"report": "nightly"}),
        kwargs={"region": "eu"},
        options={"priority": 9, "expires": 60},
        schedule=schedule(1.0, app=app),
        app=app,
    )
    # When beat finds it due
    result = Scheduler(app, lazy=True).apply_async(entry, advance=False)
    # Then it is in the tenant's lane
    (task,) = godel.submitted
    assert (task.task_id, task.tenant_id, task.payload) == (
        result.id, "acme", {"report": "nightly"},
    )  # fmt: skip
    assert (task.priority, task.region) == ("low", "eu")
