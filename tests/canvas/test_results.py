"""Results as Celery's users read them."""

from __future__ import annotations

from uuid import uuid4

import pytest
from celery import chord

from godel_tasks.errors import ResultExpired, TaskNotFound
from tests.canvas.conftest import TENANT, Stage
from tests.canvas.handlers import Broken
from tests.helpers import wait_until


def test_a_process_that_knows_only_the_id_reads_the_result(stage: Stage) -> None:
    submitted = stage.submit_task.delay(TENANT, 1)
    for found in (
        stage.submit_task.AsyncResult(submitted.id),
        stage.world.app.AsyncResult(submitted.id),
        stage.plain.AsyncResult(submitted.id),
    ):
        assert found.get(timeout=10) == 11
        assert (found.state, found.successful()) == ("SUCCESS", True)
    failed = stage.submit_task.delay(TENANT, {"raise": "no"}, max_attempts=1)
    with pytest.raises(Broken, match="no"):
        stage.plain.AsyncResult(failed.id).get(timeout=10)


def test_a_forgotten_result_is_gone(stage: Stage) -> None:
    result = stage.submit_task.delay(TENANT, 1)
    assert result.get(timeout=10) == 11
    result.forget()
    assert stage.plain.AsyncResult(result.id).state == "PENDING"
    with pytest.raises((ResultExpired, TaskNotFound)):
        stage.submit_task.AsyncResult(result.id).get(timeout=0.5)


def test_a_result_expires(stage: Stage) -> None:
    result = stage.submit_task.delay(TENANT, 1)
    result.get(timeout=10)
    ttl = stage.backend.client.ttl(f"celery-task-meta-{result.id}")
    assert 3500 < ttl <= 3600


def test_an_ignored_result_is_not_stored_and_goes_to_links_and_chords_all_the_same(
    stage: Stage,
) -> None:
    key = f"notes:{uuid4()}"
    result = stage.submit_task.apply_async(
        (TENANT, 1), ignore_result=True, link=stage.task("note").s(key)
    )
    assert result.get(timeout=1) is None
    assert wait_until(lambda: stage.notes(key), description="linked", timeout=10) == ["11"]
    assert not stage.backend.client.exists(f"celery-task-meta-{result.id}")
    header = [stage.s(1).set(ignore_result=True), stage.task("add").s(1, 1)]
    assert chord(header)(stage.s()).get(timeout=10) == 13
