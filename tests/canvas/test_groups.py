"""Groups and chords, starmap and chunks."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest
from celery import chord, group
from celery.exceptions import ChordError

from godel_tasks.errors import InvalidTask
from tests.canvas.conftest import TENANT, Stage
from tests.helpers import wait_until


def test_a_group_gives_its_results_in_order(stage: Stage) -> None:
    add = stage.task("add")
    result = group([stage.s(1), add.s(1, 1), stage.s({"value": 3, "sleep": 0.1})])()
    assert result.get(timeout=10) == [11, 2, 3]
    assert result.successful()


def test_a_group_can_be_saved_and_found_by_its_id(stage: Stage) -> None:
    result = group([stage.s(i) for i in range(5)])()
    result.save()
    found = type(result).restore(result.id, app=stage.world.app)
    assert found.get(timeout=10) == [10, 11, 12, 13, 14]
    found.delete()


@pytest.mark.parametrize("body", ["godel", "ordinary"])
def test_a_chord_of_both_kinds_calls_its_body_with_all_results(stage: Stage, body: str) -> None:
    add = stage.task("add")
    header = [
        stage.s(1),
        add.s(1, 1),
        stage.s({"raise": "once", "until": 2, "value": 5}),
        add.s(2, 2),
    ]
    result = chord(header)(stage.s() if body == "godel" else stage.task("xsum").s())
    assert result.get(timeout=10) == 11 + 2 + 5 + 4


def test_chords_nest_and_chains_are_their_members_and_bodies(stage: Stage) -> None:
    add, xsum = stage.task("add"), stage.task("xsum")
    inner = chord([stage.s(1), stage.s(2)], stage.s())
    header = [inner, stage.s(1) | add.s(1) | stage.s(), add.s(1, 2) | stage.s()]
    result = chord(header)(xsum.s() | stage.s())
    # 11 + 12, (1 + 10 + 1 + 10), (1 + 2 + 10); and the body's second task
    assert result.get(timeout=15) == 23 + 22 + 13 + 10


def test_a_large_chord_counts_every_member_once(stage: Stage) -> None:
    result: Any = chord([stage.s(i) for i in range(200)])(stage.task("xsum").s())
    assert result.get(timeout=20) == sum(range(200)) + 2000
    stage.quiet()
    parts = stage.backend.get_key_for_group(result.parent.id, ".j")
    assert not stage.backend.client.exists(parts)


@pytest.mark.parametrize("failing", ["godel", "ordinary", "cancelled"])
def test_a_failed_member_fails_the_body_and_calls_its_errback(stage: Stage, failing: str) -> None:
    key = f"notes:{uuid4()}"
    # Given a chord of which one member fails, or is cancelled while it waits
    broken = {
        "godel": stage.s({"raise": "no"}, max_attempts=1),
        "ordinary": stage.task("broken").si(),
        "cancelled": stage.s(1).set(countdown=3600),
    }[failing]
    body = stage.s().on_error(stage.task("note").s(key))
    result: Any = chord([stage.s(1), broken, stage.task("add").s(1, 1)])(body)
    if failing == "cancelled":
        result.parent[1].revoke()
    # Then the body never ran, and says why; its errback is called once with its id
    wait_until(result.ready, description="the chord ended", timeout=10)
    assert result.state == "FAILURE"
    with pytest.raises(ChordError, match=result.parent[1].id):
        raise result.result
    assert wait_until(lambda: stage.notes(key), description="told", timeout=10) == [result.id]
    stage.quiet()
    assert stage.notes(key) == [result.id]


def test_starmap_and_chunks_give_the_lists_that_celery_gives(stage: Stage) -> None:
    items = [(TENANT, i) for i in range(5)]
    submit = stage.submit_task
    assert submit.starmap(items).apply_async().get(timeout=10) == [10, 11, 12, 13, 14]
    assert submit.chunks(items, 2).apply_async().get(timeout=10) == [[10, 11], [12, 13], [14]]
    assert (submit.starmap(items) | stage.s()).apply_async().get(timeout=10) == 60
    assert chord(submit.chunks(items, 2).group())(stage.s()).get(timeout=10) == 60
    assert stage.task("add").starmap([(1, 2), (3, 4)]).apply_async().get(timeout=10) == [3, 7]
    with pytest.raises(InvalidTask, match="starmap"):
        submit.map([1, 2])


def test_an_ordinary_starmap_follows_a_task_of_godels(stage: Stage) -> None:
    following = stage.task("add").starmap([(1, 2), (3, 4)])
    result = (stage.s(1) | following).apply_async()
    assert result.get(timeout=10) == [3, 7]
