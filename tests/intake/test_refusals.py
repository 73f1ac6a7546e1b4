"""What cannot become a task of Godel's: the client is told, and nothing goes round for ever."""

from __future__ import annotations

import base64
import json
import time
import uuid
from typing import Any

import pytest
import redis

from tests.helpers import wait_until
from tests.intake.conftest import PATIENCE_S, QUEUE, Bare, all_taken, next_task
from tests.world import World

NAME = "godel_tasks.submit_task"


def push(broker: redis.Redis, body: bytes, **headers: Any) -> str:
    """A message as some client's own code may write it; its id."""
    task_id = headers.setdefault("id", str(uuid.uuid4()))
    message = {
        "body": base64.b64encode(body).decode(),
        "content-encoding": "utf-8",
        "content-type": headers.pop("content_type", "application/json"),
        "headers": {"task": NAME, **headers},
        "properties": {
            "body_encoding": "base64",
            "delivery_info": {"exchange": "", "routing_key": QUEUE},
            "delivery_tag": str(uuid.uuid4()),
        },
    }
    broker.lpush(QUEUE, json.dumps(message))
    return str(task_id)


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        ({"args": ["nobody", {}]}, "UnknownTenant", "godel tenants add nobody"),
        ({"args": ["acme"]}, "InvalidTask", "payload is missing"),
        ({"args": ["acme", {}, 3]}, "InvalidTask", "only tenant_id and payload go by position"),
        ({"args": ["acme", {}], "kwargs": {"regio": "eu"}}, "InvalidTask", "did you mean 'region'"),
        ({"args": ["acme", {}], "kwargs": {"region": ["eu"]}}, "InvalidTask", "is not text"),
        ({"args": ["acme", {}], "headers": {"x": {"deep": 1}}}, "InvalidTask", "header 'x'"),
        ({"args": ["acme", {}], "kwargs": {"strategy": "best"}}, "InvalidTask", "strategy 'best'"),
        ({"args": ["acme", "x" * 300_000]}, "PayloadTooLarge", "GODEL_PAYLOAD_LIMIT_BYTES"),
    ],
    ids=lambda value: value if isinstance(value, str) and value.isalpha() else "",
)
def test_bad_input_fails_with_the_error_that_delay_raises(
    world: World, bare: Bare, call: dict[str, Any], error: str, text: str
):
    found = bare.get(bare.tell(send=call))
    assert (found["error"], found["state"]) == (error, "FAILURE")
    assert text in found["text"]


@pytest.mark.parametrize(
    ("body", "headers", "text"),
    [
        (b"{not json", {}, "cannot be read"),
        (b"\x80\x04.", {"content_type": "application/x-python-serialize"}, "cannot be read"),
        (b'["acme", {}]', {}, "is not a task's"),
        (b'[{"acme": 1}, {}, {}]', {}, "is not a list"),
        (b'[["acme", {}], [1], {}]', {}, "is not an object"),
        (b'[["acme", {}], {}, null]', {"eta": "soon"}, "eta 'soon' is not a time"),
    ],
    ids=["json", "pickle", "shape", "args", "kwargs", "eta"],
)
def test_a_message_that_cannot_be_read_fails_too_and_comes_once(
    world: World, bare: Bare, broker: redis.Redis, body: bytes, headers: dict[str, Any], text: str
):
    # When somebody's own code sends garbage under an id
    task_id = push(broker, body, **headers)
    # Then whoever waits under that id is told, and the message is gone
    found = bare.get(task_id)
    assert (found["error"], found["state"]) == ("InvalidTask", "FAILURE")
    assert text in found["text"]
    all_taken(broker)


@pytest.mark.parametrize("task_id", [None, "", 7, {"a": 1}])
def test_a_message_without_an_id_is_dropped_aloud(
    world: World, bare: Bare, broker: redis.Redis, task_id: Any
):
    # When nobody could wait for it
    words = "text='the message has no task id'"
    control = world.processes["control"]
    before = control.text().count(words)
    push(broker, b'[["acme", {}], {}, {}]', id=task_id)
    # Then the log says so, it is not kept, and the next one is taken
    wait_until(lambda: control.text().count(words) == before + 1, description="it is said")
    all_taken(broker)
    assert "result" in bare.get(bare.send("acme"))


def test_nobody_can_write_over_the_result_of_another_task(
    world: World, bare: Bare, broker: redis.Redis
):
    # Given a task of one tenant, waiting
    task_id = world.submit("acme", {"n": 1}, task_id="theirs", countdown=60).id
    # When others send something else under its id: another tenant's task, garbage, an expired one
    bare.send("other", {"n": 2}, task_id=task_id)
    bare.send("nobody", task_id=task_id)
    bare.send("acme", {"n": 3}, task_id=task_id, expires="2026-01-01T00:00:00+00:00")
    push(broker, b"{not json", id=task_id)
    # Then they are dropped, and the task and its result are untouched
    control = world.processes["control"]
    wait_until(lambda: control.text().count("task=theirs") == 4, description="four are dropped")
    all_taken(broker)
    assert world.state(task_id) == "DELAYED"
    assert bare.tell(state=task_id) == "PENDING"
    world.cancel(task_id)


def test_link_error_is_told(world: World, bare: Bare, broker: redis.Redis):
    # When a task with link_error is refused
    errback = {"task": "theirs.note", "args": [], "kwargs": {}, "options": {"queue": "theirs"}}
    task_id = bare.send("nobody", link_error=[errback])
    # Then their task is sent, to their queue
    assert bare.get(task_id)["state"] == "FAILURE"
    assert next_task(broker, "theirs") == ("theirs.note", [task_id])


class TestAFullQueue:
    @pytest.fixture
    def blocker(self, world: World) -> str:
        """Fills the queue of tenant `full`, of one place."""
        world.tenant("full", max_queue=1)
        return world.submit("full", {}, countdown=60).id

    def test_room_is_waited_for(self, world: World, bare: Bare, blocker: str):
        # Given a message for a full queue
        task_id = bare.send("full", {"n": 1})
        # When there is room a moment later
        time.sleep(PATIENCE_S / 4)
        assert bare.tell(state=task_id) == "PENDING"
        world.cancel(blocker)
        # Then it runs
        assert bare.get(task_id)["result"]["payload"] == {"n": 1}

    def test_it_fails_in_time_and_keeps_nobody_else_out(
        self, world: World, bare: Bare, broker: redis.Redis, blocker: str
    ):
        # Given more messages for a full queue than a worker takes at once, or may keep
        began = time.monotonic()
        refused = [bare.send("full", {"n": n}) for n in range(60)]
        # When somebody else's message comes after them
        other = bare.send("other", {"n": 1})
        # Then it goes ahead
        assert bare.get(other)["result"]["payload"] == {"n": 1}
        assert time.monotonic() - began < PATIENCE_S
        # And they fail: some at once, the others after they have waited
        found = [bare.get(task_id) for task_id in refused]
        assert {one["error"] for one in found} == {"QueueFull"}
        assert time.monotonic() - began >= PATIENCE_S / 2
        all_taken(broker)
        world.cancel(blocker)
