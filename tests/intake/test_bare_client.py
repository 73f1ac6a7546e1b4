"""`app.send_task("godel_tasks.submit_task", ...)` from a process that has only Celery."""

from __future__ import annotations

import time
import uuid

import redis

from godel_tasks.domain.task import Level
from godel_tasks.store.records import Record
from tests.helpers import wait_until
from tests.intake.conftest import Bare, all_taken, next_task
from tests.world import World


def parked(world: World, task_id: str) -> Record:
    """A delayed task, as Godel keeps it."""
    wait_until(lambda: world.state(task_id) == "DELAYED", description="it is taken in", timeout=10)
    (cell,) = world.runtime.cells
    record = world.runtime.store.run(cell.lookup.parked(task_id))
    assert record is not None
    return record


def test_its_task_runs_and_its_result_comes_back(world: World, bare: Bare):
    # When a client without godel_tasks sends the task by name
    task_id = bare.send("acme", {"n": 1})
    # Then its plain AsyncResult gives the result, under the id that the client chose
    assert bare.get(task_id)["result"] == {
        "payload": {"n": 1}, "task": task_id, "tenant": "acme", "headers": {},
    }  # fmt: skip
    # And nothing of Godel was loaded there
    assert bare.tell(modules="godel_tasks") == []


def test_celerys_options_become_fields_of_the_task(world: World, bare: Bare, broker: redis.Redis):
    # When a task is sent with all that Celery lets a caller say
    trace = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
    root = str(uuid.uuid4())
    task_id = bare.send(
        "acme", kwargs={"session_id": "s1", "max_attempts": 2}, countdown=60, priority=4,
        expires=120, time_limit=7, headers={"traceparent": trace}, root_id=root, parent_id=root,
        group_id="g1", group_index=3, ignore_result=True, correlation_id="c1", reply_to="r1",
        stamped_headers=["who"], who="me",
    )  # fmt: skip
    # Then Godel's delayed task says the same
    record = parked(world, task_id)
    body = record.body
    assert (record.tenant_id, record.level) == ("acme", Level.HIGH)
    assert 110_000 < record.start_by_ms - record.entry_ms <= 120_500
    assert (body.session_id, body.max_attempts, body.timeout_ms) == ("s1", 2, 7000)
    assert (body.headers, body.ignore_result) == ({"traceparent": trace}, True)
    for name, value in {
        "root_id": root, "parent_id": root, "group_id": "g1", "group_index": 3, "reply_to": "r1",
        "stamps": {"who": "me"},
    }.items():  # fmt: skip
        assert body.celery[name] == value, name
    # And no worker keeps its message
    all_taken(broker)
    world.cancel(task_id)


def test_a_message_without_priority_is_normal(world: World, bare: Bare):
    # Clients on Redis send 0, the highest, when they were given none
    assert parked(world, bare.send("acme", countdown=60)).level == Level.NORMAL
    named = bare.send("acme", kwargs={"priority": "critical"}, countdown=60)
    assert parked(world, named).level == Level.CRITICAL


def test_a_countdown_is_kept(world: World, bare: Bare):
    # When a task is sent with a countdown
    began = time.time()
    task_id = bare.send("acme", countdown=1)
    # Then it runs after it, and not before
    assert bare.get(task_id)["result"]["task"] == task_id
    (start,) = world.starts(task_id)
    assert start["at"] / 1e3 - began >= 0.99


def test_what_has_expired_is_revoked(world: World, bare: Bare):
    # When a message comes whose time is past
    task_id = bare.send("acme", expires="2026-01-01T00:00:00+00:00")
    # Then it ends as Celery's expired tasks do, and never runs
    assert bare.get(task_id) == {
        "error": "TaskRevokedError", "text": "expired", "state": "REVOKED",
    }  # fmt: skip
    assert world.starts(task_id) == []


def test_the_same_id_is_one_task(world: World, bare: Bare, broker: redis.Redis):
    # Given a task that ended, and one that runs
    ended, runs = bare.send("acme"), bare.send("acme", {"sleep": 1})
    first = bare.get(ended)
    wait_until(lambda: world.state(runs) == "RUNNING", description="it runs", timeout=10)
    # When both are sent again, as a client does that lost an answer
    bare.send("acme", task_id=ended)
    bare.send("acme", {"sleep": 1}, task_id=runs)
    # Then nothing runs twice, and the results are the first ones
    assert bare.get(runs)["result"]["task"] == runs
    all_taken(broker)
    assert bare.get(ended) == first
    assert [len(world.starts(task_id)) for task_id in (ended, runs)] == [1, 1]


def test_it_can_be_revoked_after_it_was_taken_in(world: World, bare: Bare):
    # Given a task that waits in Godel
    task_id = bare.send("acme", countdown=60)
    wait_until(lambda: world.state(task_id) == "DELAYED", description="it waits", timeout=10)
    # When the client revokes it
    bare.tell(revoke=task_id)
    # Then it is, at both ends
    assert bare.get(task_id)["state"] == "REVOKED"
    assert world.state(task_id) == ""


def test_what_follows_it_is_done(world: World, bare: Bare, broker: redis.Redis):
    # When a task is sent with a callback and the rest of a chain, both ordinary tasks of theirs
    link, chain = (
        {"task": f"theirs.{name}", "args": [], "kwargs": {}, "options": {"queue": name}}
        for name in ("linked", "chained")
    )
    task_id = bare.send("acme", link=[link], chain=[chain])
    # Then both are sent, with its result
    result = bare.get(task_id)["result"]
    assert next_task(broker, "linked") == ("theirs.linked", [result])
    assert next_task(broker, "chained") == ("theirs.chained", [result])


def test_a_chord_of_them_is_counted(world: World, bare: Bare, broker: redis.Redis):
    # When a client sends a chord
    bare.tell(chord=[["acme", {"n": 1}], ["acme", {"n": 2}]], body="theirs.body")
    # Then its body is sent once, with the results in order
    name, (results,) = next_task(broker, "theirs.body")
    assert name == "theirs.body"
    assert [result["payload"] for result in results] == [{"n": 1}, {"n": 2}]


def test_a_chord_fails_with_a_part_that_is_refused(world: World, bare: Bare):
    # When one of a chord's parts is of an unknown tenant
    body = bare.tell(chord=[["acme", {}], ["nobody", {}]], body="theirs.body")
    # Then who waits for the chord learns of it
    found = bare.get(body)
    assert (found["error"], found["state"]) == ("ChordError", "FAILURE")
    assert "nobody" in found["text"]
