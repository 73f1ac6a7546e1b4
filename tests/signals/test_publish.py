"""Around a submit the producer hears what Celery's producers hear."""

from __future__ import annotations

import threading
from typing import Any

import pytest
from celery import Celery, current_app
from celery.signals import after_task_publish, before_task_publish

from godel_tasks.errors import InvalidTask, PayloadNotSerializable, QueueFull, TaskConflict
from godel_tasks.publishing import submit_many_told
from tests.signals.conftest import Producer
from tests.signals.heard import listening

NAME = "godel_tasks.submit_task"


def add_trace(headers: dict[str, Any], **_: Any) -> None:
    headers.setdefault("traceparent", "00-abc")


def test_both_signals_tell_what_celery_tells(producer: Producer) -> None:
    # Given somebody who listens to both
    with listening(before_task_publish, after_task_publish) as (before, after):
        # When a task is submitted with options and fields
        result = producer.task.apply_async(
            ("acme", {"n": 1}), {"region": "eu"}, priority=3, countdown=60, headers={"own": "h"}
        )
    # Then each came once, with the task's name and Celery's arguments
    (first,), (second,) = before.calls, after.calls
    assert first.keys() == {
        "signal", "sender", "body", "exchange", "routing_key", "declare", "headers", "properties",
        "retry_policy",
    }  # fmt: skip
    assert second.keys() == {"signal", "sender", "body", "headers", "exchange", "routing_key"}
    for call in (first, second):
        assert call["sender"] == NAME
        assert call["body"][:2] == (("acme", {"n": 1}), {"region": "eu"})
        assert (call["exchange"], call["routing_key"]) == ("", "godel")
        headers = call["headers"]
        assert headers["id"] == headers["root_id"] == result.id
        assert headers["task"] == NAME
        assert headers["own"] == "h"
        assert headers["eta"] is not None
    assert first["properties"]["correlation_id"] == result.id
    assert first["properties"]["priority"] == 3
    assert [queue.name for queue in first["declare"]] == ["godel"]


def test_the_message_is_what_celery_would_send(producer: Producer) -> None:
    # Given what Celery itself tells of a task that it sends
    plain = Celery("plain", broker="memory://", set_as_current=False)
    with listening(before_task_publish, after_task_publish) as (before, after):
        plain.send_task(NAME, ("acme", {"n": 1}))
        # When Godel submits the same
        producer.task.delay("acme", {"n": 1})
    plain.close()
    # Then both have the same arguments, headers and properties
    for calls in (before.calls, after.calls):
        celery, godel = calls
        assert godel.keys() == celery.keys()
        assert godel["headers"].keys() == celery["headers"].keys()
        assert godel["headers"]["argsrepr"] == celery["headers"]["argsrepr"]
        assert godel["body"][0] == celery["body"][0]
        assert godel["body"][2] == celery["body"][2]
    celery, godel = before.calls
    assert godel["properties"].keys() >= celery["properties"].keys()


def test_headers_that_a_receiver_adds_travel_with_the_task(producer: Producer) -> None:
    # Given a receiver that adds a header, and a task with headers of its own, one named as Celery's
    with listening(before_task_publish, act=add_trace):
        result = producer.task.apply_async(("acme", 1), headers={"own": "h", "origin": "me"})
    # Then all of them wait with the task, and none of Celery's
    record = producer.queued()[result.id]
    assert record.body.headers == {"own": "h", "origin": "me", "traceparent": "00-abc"}


def test_added_headers_do_not_make_it_another_task(producer: Producer) -> None:
    # Given a task with an id of its own, submitted as part of one trace
    with listening(before_task_publish, act=add_trace):
        producer.task.apply_async(("acme", 1), task_id="mine")

    # When it is submitted again as part of another
    def another(headers: dict[str, Any], **_: Any) -> None:
        headers["traceparent"] = "00-def"

    with listening(before_task_publish, act=another):
        again = producer.task.apply_async(("acme", 1), task_id="mine")
        # Then it is the same task, but with another body a conflict
        assert again.id == "mine"
        with pytest.raises(TaskConflict):
            producer.task.apply_async(("acme", 2), task_id="mine")
    assert len(producer.queued()) == 1


def test_a_header_that_cannot_travel_is_refused(producer: Producer) -> None:
    # Given a receiver that adds something that is no text
    def spoil(headers: dict[str, Any], **_: Any) -> None:
        headers["deep"] = {"a": 1}

    # When a task is submitted, then it is refused, and after_task_publish stays silent
    with (
        listening(before_task_publish, act=spoil),
        listening(after_task_publish) as (after,),
        pytest.raises(InvalidTask, match="header 'deep'"),
    ):
        producer.task.delay("acme", 1)
    assert not after.calls
    assert not producer.queued()


def test_a_receiver_that_raises_stops_nothing(
    producer: Producer, caplog: pytest.LogCaptureFixture
) -> None:
    # Given receivers that raise
    def fail(**_: Any) -> None:
        raise RuntimeError("broken receiver")

    # When a task is submitted
    with listening(before_task_publish, after_task_publish, act=fail):
        result = producer.task.delay("acme", 1)
    # Then it is queued, and the error is in the log, as with Celery
    assert result.id in producer.queued()
    assert caplog.text.count("broken receiver") >= 2


def test_what_is_refused_was_not_published(producer: Producer) -> None:
    # Given a tenant with room for one
    producer.tenant("small", max_queue=1)
    with listening(before_task_publish, after_task_publish) as (before, after):
        producer.task.delay("small", 1)
        # When a second one comes
        with pytest.raises(QueueFull):
            producer.task.delay("small", 2)
        # And one that cannot even be sent
        with pytest.raises(PayloadNotSerializable):
            producer.task.delay("small", object())
    # Then only the first is told as published; of the last nobody heard
    assert (len(before.calls), len(after.calls)) == (2, 1)


def test_receivers_find_the_task_in_the_current_app(producer: Producer) -> None:
    # Given an app of the user's own, which is the current one
    own = Celery("users", broker="memory://")
    seen: list[Any] = []

    def look(sender: str, **_: Any) -> None:
        seen.append(current_app.tasks.get(sender))

    # When a task is submitted, in this thread and in one that has no current app
    with listening(before_task_publish, act=look):
        producer.task.delay("acme", 1)
        thread = threading.Thread(target=producer.task.delay, args=("acme", 2))
        thread.start()
        thread.join()
    # Then receivers find the task by its name, and the user's app is current again
    assert [task.name for task in seen] == [NAME, NAME]
    assert current_app.main == "users"
    own.close()


async def test_adelay_tells_as_delay_does(producer: Producer) -> None:
    # Given somebody who listens
    with listening(before_task_publish, after_task_publish, act=add_trace) as (before, after):
        # When a task is submitted without blocking the event loop
        result = await producer.task.adelay("acme", 1)
        await producer.task._executor(producer.runtime).close()
    # Then both signals came, and what was added travels
    assert before.senders == after.senders == [NAME]
    assert producer.queued()[result.id].body.headers == {"traceparent": "00-abc"}


def test_each_task_of_a_bulk_is_told(producer: Producer) -> None:
    # Given somebody who listens, and a tenant with room for two
    producer.tenant("small", max_queue=2)
    items = [{"tenant_id": "small", "payload": n} for n in range(3)]
    # When many are submitted at once, good ones, one too many and a bad one
    with listening(before_task_publish, after_task_publish, act=add_trace) as (before, after):
        outcomes = submit_many_told(
            producer.app, NAME, producer.runtime, [{"tenant_id": "small"}, *items]
        )
    # Then each that was sent is announced, and each that was accepted is published
    assert [outcome.ok for outcome in outcomes] == [False, True, True, False]
    accepted = [outcome.task_id for outcome in outcomes if outcome.ok]
    assert len(before.calls) == 3
    assert [call["headers"]["id"] for call in after.calls] == accepted
    queued = producer.queued()
    assert all(queued[i].body.headers == {"traceparent": "00-abc"} for i in accepted)


def test_nothing_is_built_while_nobody_listens(
    producer: Producer, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given that building a message would fail
    monkeypatch.setattr("godel_tasks.publishing.message_of", None)
    # When nobody listens and a task is submitted
    result = producer.task.delay("acme", 1)
    # Then it is queued
    assert result.id in producer.queued()
