"""Chains and links: what follows a task, mixed with ordinary tasks on either side."""

from __future__ import annotations

from celery import chain

from tests.canvas.conftest import Stage


def test_a_chain_of_tasks_passes_each_result_on(stage: Stage) -> None:
    result = chain(stage.s(1), stage.s(), stage.s())()
    assert result.get(timeout=10) == 31
    assert result.parent.get(timeout=1) == 21


def test_ordinary_tasks_stand_before_between_and_after(stage: Stage) -> None:
    add = stage.task("add")
    result = (add.s(1, 2) | stage.s() | add.s(100) | stage.s() | add.s(1000)).apply_async()
    assert result.get(timeout=10) == 1123


def test_a_tenant_by_position_leaves_the_payload_to_the_result(stage: Stage) -> None:
    result = (stage.task("add").s(1, 2) | stage.submit_task.s("acme")).apply_async()
    assert result.get(timeout=10) == 13
