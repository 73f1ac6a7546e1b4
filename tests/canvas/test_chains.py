"""Chains and links: what follows a task, with ordinary tasks on either side."""

from __future__ import annotations

from uuid import uuid4

import pytest
from celery import chain, group

from tests.canvas.conftest import TENANT, Stage
from tests.canvas.handlers import Broken
from tests.helpers import wait_until


def test_a_chain_of_tasks_passes_each_result_on(stage: Stage) -> None:
    result = chain(stage.s(1), stage.s(), stage.s())()
    assert result.get(timeout=10) == 31
    assert result.parent.get(timeout=1) == 21
    assert result.parent.parent.get(timeout=1) == 11


def test_ordinary_tasks_stand_before_between_and_after(stage: Stage) -> None:
    add = stage.task("add")
    result = (add.s(1, 2) | stage.s() | add.s(100) | stage.s() | add.s(1000)).apply_async()
    assert result.get(timeout=10) == 1123


def test_a_tenant_by_position_leaves_the_payload_to_the_result(stage: Stage) -> None:
    result = (stage.task("add").s(1, 2) | stage.submit_task.s(TENANT)).apply_async()
    assert result.get(timeout=10) == 13


def test_an_immutable_step_keeps_its_own_payload(stage: Stage) -> None:
    result = (stage.s(1) | stage.submit_task.si(TENANT, 5)).apply_async()
    assert result.get(timeout=10) == 15


def test_a_chain_ends_in_a_group_and_a_group_in_the_middle_becomes_a_chord(stage: Stage) -> None:
    add = stage.task("add")
    # Given a chain that fans out at its end, and one that fans in again
    fans_out = (stage.s(1) | group(stage.s(), add.s(1))).apply_async()
    fans_in = (stage.s(1) | group(stage.s(), add.s(1)) | stage.s() | add.s(1)).apply_async()
    assert fans_out.get(timeout=10) == [21, 12]
    # The sum of both is taken by the instance
    assert fans_in.get(timeout=10) == 34


def test_links_are_called_with_the_result_and_are_its_children(stage: Stage) -> None:
    add, submit = stage.task("add"), stage.submit_task
    # Given a task with an ordinary and a Godel task linked to it, and one linked to that
    linked = stage.s()
    linked.link(add.s(5))
    result = submit.apply_async((TENANT, 1), link=[add.s(100), linked])
    assert result.get(timeout=10) == 11
    # Then both were called, and the trail leads to them and on
    first, second = result.children
    assert first.get(timeout=10) == 111
    assert second.get(timeout=10) == 21
    assert [child.get(timeout=10) for child in second.children] == [26]


def test_a_failed_task_calls_its_errbacks_and_fails_what_was_chained(stage: Stage) -> None:
    key = f"notes:{uuid4()}"
    # Given a chain whose first task fails at each of its attempts
    failing = stage.s({"raise": "no"}, max_attempts=2)
    failing.link_error(stage.task("note").s(key))
    failing.link_error(stage.s())
    result = (failing | stage.s() | stage.task("add").s(1)).apply_async()
    # Then its end is the failure of the first
    with pytest.raises(Broken, match="no"):
        result.get(timeout=10)
    assert [r.state for r in (result, result.parent, result.parent.parent)] == ["FAILURE"] * 3
    # And each errback gets its id, once
    failed = result.parent.parent
    assert wait_until(lambda: stage.notes(key), description="told", timeout=10) == [failed.id]
    stage.quiet()
    status = stage.world.tenant_status(TENANT)
    assert status.submitted == status.succeeded + status.failed + status.cancelled


def test_an_ordinary_failure_reaches_godels_errback_and_the_end_of_the_chain(stage: Stage) -> None:
    errback = stage.s().set(task_id=str(uuid4()))
    broken = stage.task("broken").s().on_error(errback)
    result = (broken | stage.s()).apply_async()
    with pytest.raises(ValueError, match="broken"):
        result.get(timeout=10)
    # The handler gives text back as it is: it was called with the failed task's id
    called = stage.submit_task.AsyncResult(errback.id)
    wait_until(called.ready, description="the errback ran", timeout=10)
    assert called.get(timeout=1) == result.parent.id


def test_a_task_that_is_cancelled_while_it_waits_ends_its_chain(stage: Stage) -> None:
    key = f"notes:{uuid4()}"
    # Given a chain whose first task is not due for an hour
    first = stage.s(1).set(countdown=3600)
    first.link_error(stage.task("note").s(key))
    result = (first | stage.s() | stage.task("add").s(1)).apply_async()
    # When it is cancelled, which no dispatcher has ever seen
    result.parent.parent.revoke()
    # Then so is the rest, and nobody is told of an error
    wait_until(result.ready, description="the chain ended", timeout=10)
    assert [r.state for r in (result, result.parent, result.parent.parent)] == ["REVOKED"] * 3
    stage.quiet()
    assert stage.notes(key) == []


def test_a_step_that_cannot_be_admitted_fails_and_so_does_the_rest(stage: Stage) -> None:
    key = f"notes:{uuid4()}"
    # Given a chain whose second task is of a tenant that does not exist
    lost = stage.submit_task.s("nobody")
    lost.link_error(stage.task("note").s(key))
    result = (stage.s(1) | lost | stage.s()).apply_async()
    # Then the first succeeds, and the others end with the reason
    assert result.parent.parent.get(timeout=10) == 11
    wait_until(result.ready, description="the chain ended", timeout=10)
    for step in (result, result.parent):
        assert (step.state, type(step.result).__name__) == ("FAILURE", "UnknownTenant")
    assert wait_until(lambda: stage.notes(key), description="told", timeout=10) == [
        result.parent.id
    ]


def test_a_step_waits_for_room_in_a_full_queue(stage: Stage) -> None:
    # Given a tenant with room for one, which is taken
    stage.world.tenant("small", max_queue=1)
    blocks = stage.submit_task.apply_async(("small", 1), countdown=3600)
    # When a chain goes on with a task of that tenant
    key = f"notes:{uuid4()}"
    first = stage.s(1)
    first.link(stage.task("note").s(key))
    result = (first | stage.submit_task.s("small")).apply_async()
    assert result.parent.get(timeout=10) == 11
    wait_until(lambda: stage.notes(key), description="the link was called", timeout=10)
    # Then it waits until there is room
    d1 = stage.world.processes["d1"]
    wait_until(lambda: "canvas.waits" in d1.text(), description="it waits", timeout=10)
    assert not result.ready()
    blocks.revoke()
    assert result.get(timeout=15) == 21
    # And what had followed already was not sent again
    assert stage.notes(key) == ["11"]
