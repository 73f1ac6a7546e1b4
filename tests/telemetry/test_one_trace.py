"""One task, one trace: from the producer through every attempt to the handler."""

from __future__ import annotations

import asyncio
import threading
from typing import Any

import pytest
from opentelemetry import trace
from opentelemetry.sdk.trace import ReadableSpan
from opentelemetry.trace import SpanKind, StatusCode

from godel_tasks.errors import QueueFull
from godel_tasks.publishing import submit_many_told
from tests.helpers import wait_until
from tests.telemetry.conftest import Spans
from tests.world import World

NAME = "godel_tasks.submit_task"
PUBLISHED = f"apply_async/{NAME}"
ATTEMPT = ["deliver godel", "settle godel", "publish godel"]

pytestmark = pytest.mark.usefixtures("instrumented")


def trace_of(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.trace_id


def id_of(span: ReadableSpan) -> int:
    context = span.get_span_context()
    assert context is not None
    return context.span_id


def parent_of(span: ReadableSpan) -> int:
    return span.parent.span_id if span.parent else 0


def finished(spans: Spans, task_id: str) -> bool:
    """The last attempt's span is exported."""
    last = spans.named("process godel", task_id)
    return bool(last) and (last[-1].attributes or {})["godel.outcome"] in ("succeeded", "failed")


def test_a_task_is_one_trace(world: World, spans: Spans, dispatched: object) -> None:
    # Given a producer with Celery's instrumentation, in a trace of its own
    tracer = spans.provider.get_tracer("producer")
    with tracer.start_as_current_span("request") as request:
        # When it submits a task, and the handler answers what it got
        result = world.submit("acme", {"secret": "s3cret"}, correlation_id="talk-1")
    headers = result.get(timeout=10)["headers"]
    wait_until(lambda: finished(spans, result.id), description="all spans are there")
    # Then the publish span is the request's child
    (published,) = spans.named(PUBLISHED, result.id)
    assert parent_of(published) == request.get_span_context().span_id
    # And the wait and the attempt are children of the publish span
    (queued,) = spans.named("queued godel", result.id)
    (attempt,) = spans.named("process godel", result.id)
    assert parent_of(queued) == parent_of(attempt) == id_of(published)
    assert attempt.kind is SpanKind.CONSUMER
    # And the attempt's steps are its children, one after the other
    steps = [spans.named(name, result.id)[0] for name in ATTEMPT]
    assert {parent_of(step) for step in steps} == {id_of(attempt)}
    times = [t for step in steps for t in (step.start_time, step.end_time)]
    assert times == sorted(times, key=lambda t: t or 0)
    assert attempt.start_time is not None
    assert attempt.start_time <= (times[0] or 0)
    assert attempt.end_time == times[-1]
    assert queued.end_time == attempt.start_time
    # And all of it is one trace, which the handler could go on with
    assert {trace_of(span) for span in spans.of(result.id)} == {trace_of(published)}
    assert headers["traceparent"].split("-")[1:3] == [
        trace.format_trace_id(trace_of(attempt)), trace.format_span_id(id_of(attempt)),
    ]  # fmt: skip
    # And the attempt says who, where and how
    assert dict(attempt.attributes or {}) == {
        "messaging.system": "godel",
        "messaging.destination.name": "godel",
        "messaging.operation.name": "process",
        "messaging.operation.type": "process",
        "messaging.message.id": result.id,
        "messaging.message.conversation_id": "talk-1",
        "messaging.client.id": "d1@here",
        "godel.tenant": "acme",
        "godel.instance": "gw",
        "godel.attempt": 1,
        "godel.outcome": "succeeded",
    }


def test_nothing_that_people_wrote_is_recorded(
    world: World, spans: Spans, dispatched: object
) -> None:
    # Given a task whose payload and whose handler's error hold secrets
    result = world.submit("acme", {"fail": 9, "note": "s3cret"}, headers={"own": "s3cret"})
    with pytest.raises(ValueError, match="a secret"):
        result.get(timeout=10)
    # When all its spans are there
    wait_until(lambda: finished(spans, result.id), description="all spans are there")
    # Then none of ours holds any of it
    ours = [span.to_json() for span in spans.of(result.id) if span.name != PUBLISHED]
    assert len(ours) == 2 * 2 + 2 * 2 + 1
    assert not [text for text in ours if "secret" in text or "s3cret" in text]


def test_each_attempt_has_its_span(world: World, spans: Spans, dispatched: object) -> None:
    # Given a task that fails once
    result = world.submit("acme", {"fail": 1})
    # When its second attempt succeeds
    headers = result.get(timeout=10)["headers"]
    wait_until(lambda: finished(spans, result.id), description="all spans are there")
    # Then both attempts are children of the publish span, and say how they ended
    (published,) = spans.named(PUBLISHED, result.id)
    first, second = spans.named("process godel", result.id)
    assert parent_of(first) == parent_of(second) == id_of(published)
    told = [dict(span.attributes or {}) for span in (first, second)]
    assert [(t["godel.attempt"], t["godel.outcome"]) for t in told] == [
        (1, "retried"), (2, "succeeded"),
    ]  # fmt: skip
    assert told[0]["error.type"] == "ValueError"
    assert (first.status.status_code, second.status.status_code) == (
        StatusCode.ERROR, StatusCode.UNSET,
    )  # fmt: skip
    # And the second run was told of the second attempt's span
    assert headers["traceparent"].split("-")[2] == trace.format_span_id(id_of(second))


def test_a_hundred_interleaved_tasks_do_not_mix(
    world: World, spans: Spans, dispatched: object
) -> None:
    # Given producers in threads, on an event loop and in bulk, each within a request of its own
    tracer = spans.provider.get_tracer("producer")
    task: Any = world.app.tasks[NAME]
    requests: dict[str, int] = {}

    def payload(n: int) -> dict[str, Any]:
        return {"sleep": 0.002 * (n % 7), "fail": 1 if n % 5 == 0 else 0}

    def from_thread(start: int) -> None:
        for n in range(start, start + 10):
            with tracer.start_as_current_span("request") as request:
                result = task.delay("acme", payload(n))
            requests[result.id] = request.get_span_context().span_id

    async def from_loop() -> None:
        async def one(n: int) -> None:
            with tracer.start_as_current_span("request") as request:
                result = await task.adelay("acme", payload(n))
            requests[result.id] = request.get_span_context().span_id

        await asyncio.gather(*(one(n) for n in range(30)))
        await task._executor(world.runtime).close()

    threads = [threading.Thread(target=from_thread, args=(start,)) for start in range(0, 40, 10)]
    # When a hundred tasks are submitted at once
    for thread in threads:
        thread.start()
    asyncio.run(from_loop())
    items = [{"tenant_id": "acme", "payload": payload(n)} for n in range(30)]
    with tracer.start_as_current_span("request") as request:
        for outcome in submit_many_told(world.app, NAME, world.runtime, items):
            requests[outcome.task_id] = request.get_span_context().span_id
    for thread in threads:
        thread.join()
    results = {task_id: task.AsyncResult(task_id).get(timeout=20) for task_id in requests}
    wait_until(
        lambda: all(finished(spans, task_id) for task_id in requests),
        description="the spans of all are there",
        timeout=20,
    )
    # Then each has its publish span, in the request that submitted it
    assert len(requests) == 100
    for task_id, request_id in requests.items():
        mine = spans.of(task_id)
        (published,) = [span for span in mine if span.name == PUBLISHED]
        assert parent_of(published) == request_id
        # And every span of the task is part of that trace
        assert {trace_of(span) for span in mine} == {trace_of(published)}
        # And each attempt is its child and has steps of its own
        attempts = spans.named("process godel", task_id)
        assert len(attempts) == results[task_id]["attempt"]
        for attempt in attempts:
            assert parent_of(attempt) == id_of(published)
            steps = [span.name for span in mine if parent_of(span) == id_of(attempt)]
            last = attempt is attempts[-1]
            assert sorted(steps) == sorted(ATTEMPT if last else ATTEMPT[:2])
        # And the handler got the last attempt's
        assert results[task_id]["headers"]["traceparent"].split("-")[2] == trace.format_span_id(
            id_of(attempts[-1])
        )
    # And requests are not mixed: those of threads and loop had one task each, the bulk had thirty
    traces = {trace_of(spans.named(PUBLISHED, task_id)[0]) for task_id in requests}
    assert len(traces) == 71


def test_a_refused_submit_ends_its_span(world: World, spans: Spans) -> None:
    # Given a tenant whose queue is full
    world.tenant("full", max_queue=0)
    # When a task is refused
    with pytest.raises(QueueFull):
        world.submit("full", {})
    # Then its publish span has ended, with the error, and is not current any more
    (span,) = spans.all()
    assert span.name == PUBLISHED
    assert span.status.status_code is StatusCode.ERROR
    assert [event.name for event in span.events] == ["exception"]
    assert not trace.get_current_span().get_span_context().is_valid
    # And the instrumentation keeps nothing of it
    assert not getattr(world.app.tasks[NAME], "__otel_task_span")
