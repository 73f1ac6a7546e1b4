"""Producers' code is tested without a server: the fixture `godel`, here as its context manager."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from celery import Signature, chain, chord
from celery.exceptions import TaskRevokedError
from celery.exceptions import TimeoutError as CeleryTimeout

from godel_tasks import app, cancel_task, submit_task, submit_tasks
from godel_tasks.errors import (
    InvalidTask,
    InvalidTenant,
    PayloadTooLarge,
    QueueFull,
    TaskConflict,
    TaskNotFound,
    TaskNotSettled,
    TaskStateConflict,
    UnknownTenant,
    Unroutable,
)
from godel_tasks.testing import OfflineGodel, fake, offline


@pytest.fixture
def godel() -> Iterator[OfflineGodel]:
    with offline(max_attempts=2, payload_limit_bytes=1000) as found:
        found.tenant("acme")
        yield found


def test_submitted_tasks_show_what_their_producer_asked_for(godel: OfflineGodel) -> None:
    # When a producer submits one task with much, and one with nothing
    before = datetime.now(UTC)
    submit_task.apply_async(
        ("acme", {"report": 17}),
        {
            "capabilities": {"memory_gb": {">=": 16}},
            "region": "eu",
            "session_id": "s1",
            "timeout": 1.5,
            "max_attempts": 7,
            "on_uncertain": "hold",
            "deadline": 600,
        },
        task_id="mine",
        priority=0,
        countdown=60,
        headers={"trace": "x"},
    )
    submit_task.delay("acme", b"\x00raw")
    # Then the test reads back every field
    first, second = godel.submitted
    assert (first.task_id, first.tenant_id, first.payload) == ("mine", "acme", {"report": 17})
    assert (first.priority, first.capabilities, first.region) == (
        "critical", ("memory_gb >= 16",), "eu",
    )  # fmt: skip
    assert (first.session_id, first.timeout_s, first.max_attempts) == ("s1", 1.5, 7)
    assert (first.on_uncertain, first.headers) == ("hold", {"trace": "x"})
    assert first.eta is not None
    assert timedelta(seconds=59) < first.eta - before < timedelta(seconds=70)
    assert first.deadline is not None
    assert timedelta(seconds=599) < first.deadline - before < timedelta(seconds=610)
    assert (second.payload, second.priority, second.eta) == (b"\x00raw", "normal", None)


def test_refusals_are_the_real_ones_and_write_nothing(godel: OfflineGodel) -> None:
    godel.tenant("small", max_queue=1)
    submit_task.apply_async(("small", 1), task_id="mine")
    with pytest.raises(UnknownTenant, match="nobody"):
        submit_task.delay("nobody", 1)
    with pytest.raises(QueueFull) as full:
        submit_task.delay("small", 2)
    assert (full.value.depth, full.value.limit) == (1, 1)
    with pytest.raises(TaskConflict):
        submit_task.apply_async(("small", "another body"), task_id="mine")
    with pytest.raises(InvalidTask, match="did you mean 'high'"):
        submit_task.delay("acme", 1, priority="hig")
    with pytest.raises(PayloadTooLarge):
        submit_task.delay("acme", "x" * 1001)
    with pytest.raises(InvalidTenant):
        godel.tenant("acme", weight=-1)
    assert len(godel.submitted) == 1
    assert godel.status("acme").depth == 0
    with pytest.raises(UnknownTenant):
        godel.status("nobody")


def test_a_batch_is_submitted_in_order_with_an_outcome_per_item(godel: OfflineGodel) -> None:
    godel.tenant("small", max_queue=1)
    items = [{"tenant_id": name, "payload": n} for n, name in enumerate(["acme", "small"] * 2)]
    outcomes = submit_tasks(items)
    assert [type(outcome.error).__name__ for outcome in outcomes] == [
        "NoneType", "NoneType", "NoneType", "QueueFull",
    ]  # fmt: skip
    # Then the tasks are in the order in which the store took them: tenant by tenant
    assert [task.payload for task in godel.submitted] == [0, 2, 1]


def test_the_test_says_how_a_task_ends(godel: OfflineGodel) -> None:
    # Given three tasks of one lane and one of another
    good, bad, odd = (submit_task.delay("acme", n) for n in range(3))
    last = submit_task.delay("acme", 3, priority="high")
    assert [result.state for result in (good, bad, odd, last)] == ["PENDING"] * 4
    # When the test ends some, out of their turn
    godel.fail(bad, LookupError("no such report"))
    godel.settle(good.id, {"pages": 2})
    godel.settle(godel.submitted[2], object())
    # Then their producers get just that
    assert good.get(timeout=1) == {"pages": 2}
    assert (good.state, good.instance, good.attempts) == ("SUCCESS", "offline", 1)
    with pytest.raises(LookupError, match="no such report"):
        bad.get(timeout=1)
    assert bad.state == "FAILURE"
    assert "LookupError" in str(bad.traceback)
    # And what JSON cannot carry fails, as on an instance
    with pytest.raises(Exception, match="JSON cannot carry"):
        odd.get(timeout=1)
    # And the others kept their places
    assert [task.payload for task in godel.unsettled] == [3]
    assert last.position() == 0
    # And what has ended, or never was, cannot end
    with pytest.raises(TaskStateConflict, match="SUCCEEDED"):
        godel.settle(good)
    with pytest.raises(TaskNotFound):
        godel.settle("unknown")
    status = godel.status("acme")
    assert (status.succeeded, status.failed, status.depth, status.in_flight) == (1, 2, 1, 0)


def test_waiting_for_what_nobody_runs_says_so(
    godel: OfflineGodel, monkeypatch: pytest.MonkeyPatch
) -> None:
    result = submit_task.delay("acme", 1)
    # A timeout of the producer's own is kept
    with pytest.raises(CeleryTimeout):
        result.get(timeout=0.05)
    # Without one, the test ends with a hint instead of hanging
    monkeypatch.setattr(fake, "PATIENCE_S", 0.05)
    with pytest.raises(TaskNotSettled, match=r"godel\.settle"):
        result.get()


def test_a_handler_answers_for_the_fleet(godel: OfflineGodel) -> None:
    # Given a task that waits, and a handler that fails at first
    waits = submit_task.delay("acme", "early")
    attempts: list[tuple[str, int]] = []

    async def shout(payload: str, context: Any) -> str:
        attempts.append((context.tenant_id, context.attempt))
        if context.attempt == 1:
            raise ConnectionError("try again")
        return payload.upper()

    # When it answers
    godel.answer(shout)
    # Then what waited is run, and what is submitted from now on, with its retries
    assert waits.get(timeout=1) == "EARLY"
    assert submit_task.delay("acme", "late").get() == "LATE"
    assert attempts == [("acme", 1), ("acme", 2)] * 2
    # And a task that has used up its attempts has failed
    godel.answer(lambda payload: 1 / payload)
    with pytest.raises(ZeroDivisionError):
        submit_task.delay("acme", 0).get()
    # And an async producer is answered, too

    async def produce() -> Any:
        result = await submit_task.adelay("acme", 4)
        return await result.aget(timeout=1)

    assert asyncio.run(produce()) == 0.25


def test_time_passes_when_the_test_says_so(godel: OfflineGodel) -> None:
    # Given a task for later, and one that is of no use later
    later = submit_task.apply_async(("acme", "later"), countdown=3600)
    soon = submit_task.apply_async(("acme", "soon"), expires=60)
    with pytest.raises(TaskStateConflict, match="advance"):
        godel.settle(later)
    # When an hour passes
    godel.advance(3601)
    # Then the one has come due, the other has expired
    godel.settle(later, "done")
    assert later.get(timeout=1) == "done"
    with pytest.raises(TaskRevokedError, match="in time"):
        soon.get(timeout=1)
    assert godel.status("acme").expired == 1


def test_cancelled_tasks_are_revoked(godel: OfflineGodel) -> None:
    one, two = (submit_task.delay("acme", n) for n in range(2))
    one.revoke()
    cancel_task(two.id, who="the test")
    for result in (one, two):
        with pytest.raises(TaskRevokedError):
            result.get(timeout=1)
    assert godel.unsettled == ()
    assert len(godel.submitted) == 2


def test_what_follows_a_task_follows(godel: OfflineGodel) -> None:
    # Given a chain of which the test settles each link
    result = chain(submit_task.s("acme", 1), submit_task.s("acme"))()
    godel.settle(godel.submitted[0], "first")
    (second,) = godel.unsettled
    assert second.payload == "first"
    godel.settle(second, "second")
    assert result.get(timeout=1) == "second"
    # And a chord whose tasks a handler answers
    godel.answer(lambda payload: sum(payload) if isinstance(payload, list) else payload * 10)
    members = [submit_task.s("acme", n) for n in range(4)]
    assert chord(members, submit_task.s("acme"))().get(timeout=1) == 60
    # And an ordinary task that is linked to one: its message is in the broker in memory
    link = Signature("shop.store", options={"queue": "shop"})
    submit_task.apply_async(("acme", 7), link=link)
    with app.connection_for_read() as connection:
        message = connection.SimpleQueue("shop").get(timeout=1)
    assert message.headers["task"] == "shop.store"
    assert message.payload[0] == [70]


def test_require_routable_looks_at_registered_instances(godel: OfflineGodel) -> None:
    wanted = {"capabilities": {"gpu": "yes"}, "require_routable": True}
    with pytest.raises(Unroutable):
        submit_task.delay("acme", 1, **wanted)
    godel.instance("gw-1", capabilities={"gpu": "yes"})
    assert submit_task.delay("acme", 1, **wanted).state == "PENDING"


def test_the_app_is_put_back_as_it_was(monkeypatch: pytest.MonkeyPatch) -> None:
    # Given an app with settings of its own, read or not
    monkeypatch.setenv("GODEL_REDIS_URL", "redis://production.invalid:6379/0")
    state = vars(app)
    names = ("godel", "_conf", "configured", "_backend_cache", "_pool")
    before = {name: state.get(name) for name in names}
    runtime = before["godel"]
    # When tests use it offline, one after the other
    for _ in range(2):
        with offline() as godel:
            assert app.godel is godel.runtime is not runtime
            assert "invalid" in app.conf.result_backend
            assert app.conf.broker_url == "memory://"
            godel.tenant("acme")
            submit_task.delay("acme", 1)
            assert len(godel.submitted) == 1
    # Then nothing of it is left
    assert {name: state.get(name) for name in names} == before


def test_what_was_set_on_the_app_by_hand_holds_offline_too() -> None:
    app.conf.update(result_extended=True)
    try:
        with offline():
            assert app.conf.result_extended is True
            assert app.conf.broker_url == "memory://"
    finally:
        app.conf.update(result_extended=False)


def test_tasks_of_a_session_run_one_after_the_other(godel: OfflineGodel) -> None:
    # Given tasks of one session, of which all but the first wait behind it
    results = [submit_task.delay("acme", {"n": n}, session_id="s") for n in range(3)]
    assert [result.position() for result in results] == [0, 1, 2]
    with pytest.raises(TaskStateConflict):
        godel.settle(results[1])
    # When the first is settled, and a handler answers the others
    godel.settle(results[0], "first")
    godel.answer(lambda payload: payload["n"])
    # Then all have run
    assert [result.get(timeout=1) for result in results] == ["first", 1, 2]
