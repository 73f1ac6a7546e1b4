"""What follows is done, and once, whoever dies on the way."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import Any
from uuid import uuid4

import pytest
from celery import chord, group

from godel_tasks.dispatch.outcome import Outcome, encode_outcome
from godel_tasks.store.command import plain
from godel_tasks.store.keys import SHARED_OUTBOX
from tests.canvas.conftest import HANDLER, TENANT, Stage, stage_of, start_plain
from tests.helpers import wait_until
from tests.world import World


@pytest.fixture
def breakable(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Stage]:
    """A stage of its own with two dispatchers, to be killed."""
    with World(tmp_path_factory.mktemp("crash"), backoff_base_s=0.05) as world:
        print(f"logs: {world.logs}")
        for name in ("d1", "d2"):
            world.dispatcher(name, ready=False)
        start_plain(world)
        world.instance("a", HANDLER, "--capacity", "100", ready=False)
        world.tenant(TENANT)
        for name in ("d1", "d2"):
            world.processes[name].wait_for("dispatcher.up")
        made = stage_of(world)
        yield made
        made.close()


def test_a_chord_survives_a_dispatcher_that_is_killed_in_its_middle(breakable: Stage) -> None:
    stage, world = breakable, breakable.world
    keys = [f"notes:{uuid4()}" for _ in range(2)]
    # Given two chords of both kinds whose members run for one second, on two dispatchers
    results = []
    for key in keys:
        header = [stage.s({"value": i, "sleep": 0.2 + i / 40}) for i in range(30)]
        header += [stage.task("add").s(i, 0) for i in range(5)]
        results.append(
            chord(header)(stage.task("xsum").s() | stage.s() | stage.task("note").s(key))
        )
    members = [member.id for result in results for member in _header(result)]
    # When the one that holds the most is killed while some are done, and some run
    wait_until(
        lambda: (
            sum(world.owner(i) == "" for i in members[:30]) >= 15
            and any(world.owner(i) for i in members[:30])
        ),
        description="in the middle of it",
        timeout=15,
    )
    world.processes["d1"].kill()
    # Then both bodies are called, with every member's result, once
    expected = sum(range(30)) + sum(range(5)) + 10
    for result, key in zip(results, keys, strict=True):
        assert result.get(timeout=30) == expected
        assert stage.notes(key) == [str(expected)]
    stage.quiet()
    status = world.tenant_status(TENANT)
    assert status.submitted == status.succeeded == 2 * 31


def _header(result: Any) -> list[Any]:
    while not hasattr(result, "results"):
        result = result.parent
    return list(result.results)


def republish(stage: Stage, task_id: str, value: bytes, canvas: bytes) -> None:
    """Put an entry back as a publisher leaves it that dies before it acknowledges."""
    cell = stage.world.runtime.cells[0]
    entry = encode_outcome(
        Outcome("S", TENANT, int(time.time() * 1000), "a", 1, 1.0, value, followed=True)
    )
    run = stage.world.runtime.store.run
    keys = cell.leases.keys
    run(plain("HSET", keys.fixed("canvas"), task_id, canvas, decode=int))
    run(plain("HSET", keys.outbox(SHARED_OUTBOX), task_id, entry, decode=int))


def canvas_of(stage: Stage, task_id: str) -> bytes:
    cell = stage.world.runtime.cells[0]
    found: dict[str, bytes] = stage.world.runtime.store.run(cell.leases.canvas(task_ids=[task_id]))
    return found[task_id]


def test_an_end_that_is_published_again_runs_nothing_twice(stage: Stage) -> None:
    # Given a chord of Godel's tasks with an ordinary body, done; and a link to a Godel task
    key = f"notes:{uuid4()}"
    header = [stage.s({"value": i, "sleep": 0.3}) for i in range(3)]
    linked = stage.s().set(task_id=str(uuid4()))
    header[0].link(linked)
    result: Any = chord(header)(stage.task("note").s(key))
    # And a chain that fans out and in again
    fans: Any = (stage.s({"value": 1, "sleep": 0.3}) | group(stage.s(), stage.s()) | stage.s())()
    first = fans.parent.parent.id
    members = [member.id for member in result.parent]
    notes = {task_id: canvas_of(stage, task_id) for task_id in [first, *members]}
    assert fans.get(timeout=10) == 22
    assert result.get(timeout=10) == [0, 1, 2]
    assert stage.submit_task.AsyncResult(linked.id).get(timeout=10) == 10
    stage.quiet()
    before = stage.world.tenant_status(TENANT).submitted
    # When the ends of all of them are published once more
    for i, task_id in enumerate(members):
        republish(stage, task_id, str(i).encode(), notes[task_id])
    republish(stage, first, b"1", notes[first])
    stage.quiet()
    # Then the body is not sent again, and links and groups are the tasks that they were
    assert stage.notes(key) == ["[0, 1, 2]"]
    assert stage.world.tenant_status(TENANT).submitted == before
    assert len(stage.world.starts(linked.id)) == 1


def test_a_chord_whose_publisher_died_with_the_claim_is_completed_by_the_next(
    stage: Stage,
) -> None:
    # Given a chord whose last part was counted by a publisher that died before it sent the body:
    # all parts are there, and the claim is taken
    backend, group_id, task_id = stage.backend, str(uuid4()), str(uuid4())
    body = stage.s().set(task_id=str(uuid4()))
    backend.set_chord_size(group_id, 1)
    claim = backend.get_key_for_group(group_id, ".c")
    backend.client.set(claim, "a dead publisher", ex=3)
    canvas: str = backend.encode(
        {"chord": body, "group_id": group_id, "group_index": 0, "children": []}
    )
    # When its end is published again, while that claim still stands
    republish(stage, task_id, b"5", canvas.encode())
    # Then the body is sent, once the claim has run out
    result = stage.submit_task.AsyncResult(body.id)
    wait_until(result.ready, description="the body ran", timeout=15)
    assert result.get(timeout=1) == 5
    assert backend.client.get(claim) == b"done"


def test_what_cannot_be_read_is_told_and_holds_nothing_up(stage: Stage) -> None:
    # Given an end with a follower that is none
    republish(stage, str(uuid4()), b"1", b'{"link": [7], "children": []}')
    # Then it goes, the log says so, and others go on
    stage.quiet()
    assert "canvas.lost" in stage.world.processes["d1"].text()
    assert (stage.s(1) | stage.s()).apply_async().get(timeout=10) == 21


def test_what_follows_without_any_dispatcher_is_done_by_the_beat_job(
    tmp_path_factory: pytest.TempPathFactory,
) -> None:
    from godel_tasks.canvas.following import Follower
    from godel_tasks.worker.jobs import reap

    with World(tmp_path_factory.mktemp("jobs")) as world:
        # Given a chain whose first task is cancelled while nothing runs
        world.tenant(TENANT)
        stage = stage_of(world)
        result = (stage.s(1) | stage.s()).apply_async()
        result.parent.revoke()
        # When the job runs
        assert reap(world.runtime, follower=Follower(world.app)) == 1
        # Then the chain has ended, and nothing is left
        assert result.state == "REVOKED"
        assert reap(world.runtime, follower=Follower(world.app)) == 0
        assert not world.runtime.store.run(plain("EXISTS", "godel:{c00}:canvas", decode=int))
