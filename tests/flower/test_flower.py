"""A real Flower looks at Godel's tasks, and acts on them."""

from __future__ import annotations

import html
import json
import re
import signal
import socket
from typing import Any

from godel_tasks.results import GodelResult
from tests.flower.conftest import Flower
from tests.helpers import wait_until
from tests.workers.conftest import held_by
from tests.world import World

NODE = f"d1@{socket.gethostname()}"


def argued(task: dict[str, Any]) -> dict[str, Any]:
    """Its keyword arguments."""
    found: dict[str, Any] = json.loads(task["kwargs"].replace("'", '"'))
    return found


def test_every_task_is_in_the_state_that_godel_says(world: World, flower: Flower) -> None:
    # Given tasks that go every way a task can go
    well = world.submit("acme", {}, session_id="chat")
    retried = world.submit("acme", {"raise": "not yet", "until": 2})
    fails = world.submit("globex", {"raise": "never"})
    runs = world.submit("globex", {"sleep": 60})
    unroutable = world.submit("acme", {}, capabilities={"nobody": "has-it"})
    late = world.submit("globex", {}, capabilities={"nobody": "has-it"}, expires=0.3)
    waits = world.submit("acme", {}, countdown=600)
    # Then Flower shows them, step by step, as Godel does
    flower.shows(retried, "RETRY")
    task = flower.shows(well, "SUCCESS")
    assert task["name"] == "godel_tasks.submit_task"
    assert argued(task) == {
        "tenant": "acme", "instance": "wide", "attempt": 1, "session": "chat",
    }  # fmt: skip
    assert (task["worker"], task["retries"]) == (NODE, 0)
    assert task["sent"] <= task["received"] <= task["started"] <= task["succeeded"]
    assert task["result"].endswith("bytes of JSON")
    task = flower.shows(runs, "STARTED")
    assert task["args"] == "('globex',)"
    task = flower.shows(late, "REVOKED")
    assert argued(task) == {"tenant": "globex"}
    # And their ends, with what went wrong, and how often
    task = flower.shows(retried, "SUCCESS")
    assert (task["retries"], argued(task)["attempt"]) == (1, 2)
    assert retried.attempts == 2
    task = flower.shows(fails, "FAILURE")
    assert (task["retries"], task["exception"]) == (1, "Refused: never")
    assert "raise Refused" in task["traceback"]
    task = flower.shows(unroutable, "FAILURE")
    assert "no instance could run it" in task["exception"]
    # And what no dispatcher has had is not there
    assert str(waits.state) == "PENDING"
    assert flower.task(waits.id) == {}
    # And the list says the same as each task's page
    mine = [well, retried, fails, runs, unroutable, late]
    listed = flower.api("tasks")
    rows = flower.rows()
    for result in mine:
        assert listed[result.id]["state"] == rows[result.id]["state"] == str(result.state)
    assert {*flower.rows("kwargs:tenant=globex")} == {fails.id, runs.id, late.id}
    # And heartbeats count what runs
    assert active(flower) == 1
    runs.revoke(terminate=True)
    flower.shows(runs, "REVOKED")
    wait_until(lambda: active(flower) == 0, description="nothing runs", timeout=10)
    waits.revoke()


def active(flower: Flower) -> int:
    """Attempts that `d1` runs, as Flower's first page says."""
    [worker] = [w for w in workers(flower) if w["hostname"] == NODE]
    count: int = worker["active"]
    return count


def workers(flower: Flower) -> list[dict[str, Any]]:
    """What its first page shows."""
    found: list[dict[str, Any]] = json.loads(flower.ask("/workers?json=1")[1])["data"]
    return found


def page_of(flower: Flower, result: GodelResult) -> tuple[str, list[str]]:
    """A task's page, and the buttons on it."""
    status, page = flower.ask(f"/task/{result.id}")
    assert status == 200
    return html.unescape(page), re.findall(r'<button [^>]*id="task-(\w+)"', page)


def test_the_pages_show_what_tells_tasks_apart(world: World, flower: Flower) -> None:
    # Given a task that ran
    result = world.submit("acme", {})
    flower.shows(result, "SUCCESS")
    arguments = "{'tenant': 'acme', 'instance': 'wide', 'attempt': 1}"
    # Then the list has columns for it
    _, page = flower.ask("/tasks")
    columns = re.findall(r'<th data-column="(\w+)"', page)
    assert columns[:4] == ["uuid", "state", "kwargs", "received"]
    assert flower.rows()[result.id]["kwargs"] == arguments
    # And its page says so, and has no button any more
    page, buttons = page_of(flower, result)
    assert arguments in page
    assert buttons == []
    # And the dispatcher that it links to has a page
    [link] = re.findall(rf'href="(/worker/[^"]+)">{NODE}<', page)
    assert flower.ask(link)[0] == 200


def test_the_buttons_stop_what_runs_and_what_is_to_run_again(world: World, flower: Flower) -> None:
    # Given a task that runs
    runs = world.submit("acme", {"sleep": 60})
    flower.shows(runs, "STARTED")
    # Then its page has the button Terminate
    assert page_of(flower, runs)[1] == ["terminate"]
    # When that is pressed
    flower.act(f"task/revoke/{runs.id}?terminate=true&signal=SIGTERM")
    # Then its instance has stopped it
    task = flower.shows(runs, "REVOKED")
    assert task["exception"] == "cancelled by control while it ran"
    assert world.journal(runs.id)[-1]["event"] != "start"
    # Given one that waits for its next attempt
    again = world.submit("acme", {"raise": "not yet"})
    flower.shows(again, "RETRY")
    # Then its page has the button Revoke, and says what went wrong
    page, buttons = page_of(flower, again)
    assert buttons == ["revoke"]
    assert "Refused: not yet" in page
    # When that is pressed, there is no next attempt
    flower.act(f"task/revoke/{again.id}")
    flower.shows(again, "REVOKED")
    assert len(world.starts(again.id)) == 1


def test_revoke_alone_stops_only_what_waits(world: World, flower: Flower) -> None:
    # Given a task that runs, and one that Flower has never heard of: it waits
    runs = world.submit("acme", {"sleep": 60})
    waits = world.submit("globex", {}, capabilities={"nobody": "has-it"}, countdown=600)
    flower.shows(runs, "STARTED")
    # When both are revoked through Flower, without terminate
    assert flower.act(f"task/revoke/{waits.id}") == f"Revoked '{waits.id}'"
    flower.act(f"task/revoke/{runs.id}")
    # Then the one that waits is cancelled, and now Flower knows it
    task = flower.shows(waits, "REVOKED")
    assert task["exception"].startswith("cancelled by control")
    assert argued(task) == {"tenant": "globex"}
    # And the one that runs goes on, until it is terminated
    assert str(runs.state) == flower.task(runs.id)["state"] == "STARTED"
    flower.act(f"task/revoke/{runs.id}?terminate=true")
    flower.shows(runs, "REVOKED")


def test_what_is_open_without_the_password(flower: Flower) -> None:
    # Given somebody without the password: pages and the API are closed
    for path in ("/tasks", "/api/tasks", "/task/some"):
        assert flower.ask(path, known=False)[0] == 401, path
    assert flower.ask("/api/task/revoke/some", post={}, known=False)[0] == 401
    # But these two are open, as docs/how-to/flower.md warns
    assert flower.ask("/healthcheck", known=False) == (200, "OK")
    status, text = flower.ask("/metrics", known=False)
    assert status == 200
    labels = f'task="godel_tasks.submit_task",type="task-succeeded",worker="{NODE}"'
    assert f"flower_events_total{{{labels}}}" in text


def test_a_dispatcher_that_drains_is_followed_to_its_end(world: World, flower: Flower) -> None:
    # Given another dispatcher, that holds a running task
    draining = world.dispatcher("d2", "-E")
    results: list[GodelResult] = held_by(world, "d2", 1, {"sleep": 1.5})
    # When it is told to stop, and finishes what runs
    draining.send(signal.SIGTERM)
    assert draining.wait() == 0
    # Then Flower has the end, though Celery's own events had ended with the consumer
    task = flower.shows(results[0], "SUCCESS")
    assert task["worker"] == f"d2@{socket.gethostname()}"
    # And knows that the worker is gone

    online = {w["hostname"] for w in workers(flower) if w["status"]}
    assert NODE in online
    assert task["worker"] not in online
