"""`godel tasks` list, show, submit, cancel."""

from __future__ import annotations

import threading
from typing import Any

import pytest

from godel_tasks.cancelling import cancel_in_cells
from godel_tasks.cli.session import opened
from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.submission import submit_many
from godel_tasks.views.lists import unsettled
from tests.cli.played import PlayedDispatcher, Said, WorkingDispatcher, godel, ok
from tests.helpers import wait_until


@pytest.fixture(autouse=True)
def acme(attached: str) -> None:
    ok("tenants", "add", "acme")


def submit(*options: object) -> str:
    task_id: str = ok("tasks", "submit", "acme", *options)["task_id"]
    return task_id


def show(task_id: str, *options: object) -> dict[str, Any]:
    return ok("tasks", "show", task_id, *options)


# -- submit ------------------------------------------------------------------------------------


def test_every_field_travels_with_the_task(played: PlayedDispatcher) -> None:
    # Given an instance that offers what is asked for
    config = InstanceConfig("gw-1", "h:1", region="eu", capabilities={"ram": "32", "model": "b"})
    played.cell.run(played.cell.registry.register(config))
    attend = played.cell.registry.attend(instance_ids=["gw-1"], lease_ms=60_000)
    played.cell.run(attend)
    # When a task is submitted with every field there is
    task_id = submit(
        *('{"message": "hello"}', "--priority", "high", "--deadline", 600, "--expires", 300),
        *("--capability", "ram>=16", "--capability", "model in a,b", "--capability", "tier!=x"),
        *("--region", "eu", "--instance", "gw-1", "--session-id", "s1", "--max-attempts", 5),
        *("--strategy", "least-loaded", "--timeout", 60, "--correlation-id", "c1"),
        *("--header", "trace=abc=1", "--on-uncertain", "fail", "--task-id", "mine"),
        "--require-routable",
    )
    # Then it waits with them
    assert task_id == "mine"
    shown = show(task_id, "--payload")
    assert (shown["state"], shown["level"], shown["position"]) == ("WAITING", "high", 0)
    assert "ram >= 16" in shown["requirement"]
    assert "region eu" in shown["requirement"]
    task = shown["task"]
    assert task["payload"] == {"message": "hello"}
    assert (task["max_attempts"], task["timeout_ms"], task["on_uncertain"]) == (5, 60_000, "fail")
    assert (task["session_id"], task["correlation_id"]) == ("s1", "c1")
    assert task["headers"] == {"trace": "abc=1"}
    assert shown["times"]["start_by"] < shown["times"]["deadline"]


def test_a_payload_is_json_text_or_bytes_from_argument_or_stdin() -> None:
    def payload(*options: object, typed: bytes | None = None) -> tuple[object, str]:
        said = ok("tasks", "submit", "acme", *options, typed=typed)
        task = show(said["task_id"], "--payload")["task"]
        return task["payload"], task["encoding"]

    assert payload("[1, 2]") == ([1, 2], "json")
    assert payload("-", typed=b' {"a": 1}\n') == ({"a": 1}, "json")
    assert payload("{not json", "--text") == ("{not json", "json")
    assert payload("-", "--bytes", typed=b"\x00\xff") == ("\x00\\xff", "bytes")


@pytest.mark.parametrize(
    ("options", "kind", "words"),
    [
        (["{bad"], "PayloadNotSerializable", "--text"),
        (["1", "--priority", "hihg"], "InvalidTask", "did you mean 'high'?"),
        (["1", "--priority", "11"], "InvalidTask", "0-9"),
        (["1", "--strategy", "least-load"], "InvalidTask", "did you mean 'least-loaded'?"),
        (["1", "--deadline", "-5"], "InvalidTask", "above 0"),
        (["1", "--deadline", "soon"], "UsageError", "--help"),
        (["1", "--capability", "ram"], "UsageError", "--help"),
        (["1", "--capability", "ram>=much"], "InvalidTask", None),
        (["1", "--header", "x"], "UsageError", "--help"),
        (["1", "--text", "--bytes"], "UsageError", "--help"),
        (["1", "--wait", "--ignore-result"], "UsageError", "--help"),
        (["1", "--region", "mars", "--require-routable"], "Unroutable", "no instance"),
    ],
)
def test_a_bad_task_is_refused_with_a_hint(
    options: list[str], kind: str, words: str | None
) -> None:
    said = godel("tasks", "submit", "acme", *options, "--json")
    assert said.error["type"] == kind
    assert words is None or words in said.error["hint"]
    assert ok("tasks", "list")["tasks"] == []


def test_an_unknown_tenant_and_a_full_queue_say_what_to_do() -> None:
    said = godel("tasks", "submit", "nobody", "1", "--json")
    assert (said.code, said.error["type"]) == (5, "UnknownTenant")
    ok("tenants", "set", "acme", "--max-queue", 1)
    submit("1")
    said = godel("tasks", "submit", "acme", "1", "--json")
    assert (said.code, said.error["type"]) == (7, "QueueFull")
    assert "try again in" in said.error["hint"]


def test_the_same_id_again_is_the_same_task() -> None:
    assert submit("1", "--task-id", "mine") == submit("1", "--task-id", "mine") == "mine"
    assert ok("tenants", "show", "acme")["queued"] == 1
    said = godel("tasks", "submit", "acme", "2", "--task-id", "mine", "--json")
    assert (said.code, said.error["type"]) == (6, "TaskConflict")


def test_waiting_shows_how_it_ended(attached: str) -> None:
    def handler(payload: object) -> object:
        if payload == "boom":
            raise ValueError("no such thing")
        return {"got": payload}

    with WorkingDispatcher(attached, handler):
        done = ok("tasks", "submit", "acme", "[1]", "--wait")
        assert (done["state"], done["result"], done["attempts"]) == ("SUCCEEDED", {"got": [1]}, 1)
        said = godel("tasks", "submit", "acme", "boom", "--text", "--wait", "--json")
    assert said.code == 8
    assert said.data["state"] == "FAILED"
    assert said.data["error"]["type"] == "ValueError"
    assert said.data["error"]["message"] == "no such thing"


def test_waiting_ends_after_its_time() -> None:
    said = godel("tasks", "submit", "acme", "1", "--wait-timeout", "0.1", "--json")
    assert (said.code, said.error["type"]) == (7, "TaskNotSettled")
    assert "it goes on" in said.error["hint"]


# -- list and show -----------------------------------------------------------------------------


def test_tasks_are_listed_by_tenant_and_state(played: PlayedDispatcher) -> None:
    # Given tasks of two tenants in several states
    ok("tenants", "add", "beta")
    ok("tasks", "submit", "beta", "1")
    submit("1")
    (held,) = played.take()
    delayed = submit("2", "--countdown", 60)

    def listed(*options: object) -> set[str]:
        return {task["task_id"] for task in ok("tasks", "list", *options)["tasks"]}

    # Then lists can be narrowed to each
    assert len(listed()) == 3
    assert listed("--state", "claimed") == {held.record.task_id}
    assert listed("--state", "DELAYED") == {delayed}
    assert listed("--tenant", "acme", "--state", "on_hold") == set()
    assert len(listed("--tenant", "acme")) + len(listed("--tenant", "beta")) == 3
    # And a list that is cut short says so
    assert ok("tasks", "list", "--limit", 1)["more"]
    assert not ok("tasks", "list")["more"]
    assert "there are more" in godel("tasks", "list", "--limit", 1).out


def test_a_long_list_is_whole() -> None:
    """More than one page of the scan, each task once."""
    with_ids = [f"t{n}" for n in range(2500)]
    with opened() as runtime:
        items = [{"tenant_id": "acme", "payload": 1, "task_id": i} for i in with_ids]
        assert all(outcome.ok for outcome in submit_many(runtime, items))
    found = ok("tasks", "list", "--limit", 5000)["tasks"]
    assert sorted(task["task_id"] for task in found) == sorted(with_ids)
    # And the one at the far end of the lane is shown with what only its record knows
    shown = show("t2499")
    assert (shown["position"], shown["task"]["payload_bytes"]) == (2499, 1)


@pytest.mark.parametrize(
    ("state", "words"),
    [("wating", "Did you mean 'waiting'?"), ("succeeded", "godel tasks show ID")],
)
def test_a_state_that_cannot_be_listed_says_what_can(state: str, words: str) -> None:
    said = godel("tasks", "list", "--state", state, "--json")
    assert said.code == 2
    assert words in said.error["message"]


def test_a_task_that_nobody_can_run_shows_the_nearest_match(played: PlayedDispatcher) -> None:
    # Given an instance in the wrong region, and a class that a dispatcher found unroutable
    config = InstanceConfig("gw-1", "h:1", region="eu")
    cell = played.cell
    cell.run(cell.registry.register(config))
    cell.run(cell.registry.attend(instance_ids=["gw-1"], lease_ms=60_000))
    task_id = submit("1", "--region", "mars")
    submit("1")
    class_id = show(task_id)["class"]
    assert show(task_id)["condition"] is None
    cell.run(cell.leases.mark_unroutable(class_id=class_id, now_ms=1))
    # Then the task says so, with the nearest instance and what stands against it
    shown = show(task_id)
    assert shown["condition"] == "UNROUTABLE"
    assert shown["condition_text"] == "nearest is gw-1: region is eu, not mars"
    assert [t["task_id"] for t in ok("tasks", "list", "--state", "unroutable")["tasks"]] == [
        task_id
    ]


def test_a_task_is_shown_on_all_its_way(played: PlayedDispatcher) -> None:
    # Waiting, behind another
    ahead, task_id = submit("0"), submit("1")
    shown = show(task_id)
    assert (shown["state"], shown["position"], shown["attempts"]) == ("WAITING", 1, 0)
    assert shown["times"]["entered"].endswith("Z")
    # Held by a dispatcher
    first, second = played.take(2)
    assert first.record.task_id == ahead
    shown = show(task_id)
    assert (shown["state"], shown["instance"], shown["dispatcher"]) == ("CLAIMED", "i1", "d1")
    assert (shown["attempts"], shown["position"]) == (1, None)
    assert shown["times"]["claimed"] >= shown["times"]["entered"]
    # Settled
    played.end(first, result={"a": 1})
    played.end(second, error="no such thing")
    assert show(ahead)["result"] == {"a": 1}
    shown = show(task_id)
    assert (shown["state"], shown["attempts"], shown["run_ms"]) == ("FAILED", 1, 1.5)
    assert shown["error"]["message"] == "no such thing"
    assert "ValueError: no such thing" in godel("tasks", "show", task_id).out


def test_a_delayed_task_shows_when_it_is_due() -> None:
    shown = show(submit("1", "--countdown", 60))
    assert shown["state"] == "DELAYED"
    assert shown["times"]["due"] > shown["times"]["entered"]


def test_a_task_without_a_result_is_told_from_one_that_never_was(
    played: PlayedDispatcher,
) -> None:
    task_id = submit("1")
    (held,) = played.take()
    played.end(held, result=1)
    played.cell.server("DEL", f"celery-task-meta-{task_id}")
    said = godel("tasks", "show", task_id, "--json")
    assert (said.code, said.error["type"]) == (9, "ResultExpired")
    assert "SUCCEEDED" in said.error["message"]
    said = godel("tasks", "show", "nope", "--json")
    assert (said.code, said.error["type"]) == (5, "TaskNotFound")


# -- cancel ------------------------------------------------------------------------------------


def test_a_waiting_task_is_cancelled_at_once(played: PlayedDispatcher) -> None:
    task_id = submit("1")
    assert ok("tasks", "cancel", task_id)["tasks"][0]["outcome"] == "cancelled"
    played.publish()
    shown = show(task_id)
    assert shown["state"] == "CANCELLED"
    assert "cancelled by" in shown["error"]["message"]
    # Again, it had ended already
    assert ok("tasks", "cancel", task_id)["tasks"][0]["outcome"] == "settled"


def test_a_running_task_is_stopped_unless_it_is_to_be_left_alone(
    played: PlayedDispatcher,
) -> None:
    task_id = submit("1")
    played.take()
    left = ok("tasks", "cancel", task_id, "--waiting-only")
    assert left["tasks"][0]["outcome"] == "running"
    assert not show(task_id)["cancel_asked"]
    assert ok("tasks", "cancel", task_id)["tasks"][0]["outcome"] == "asked"
    assert show(task_id)["cancel_asked"]


def test_of_several_tasks_the_known_ones_are_cancelled() -> None:
    known = submit("1")
    said = godel("tasks", "cancel", "nope", known, "--json")
    assert said.code == 5
    assert [task["outcome"] for task in said.data["tasks"]] == ["unknown", "cancelled"]
    assert said.data["tasks"][0]["error"]["type"] == "TaskNotFound"
    assert godel("tasks", "cancel", "nope", "--json").error["type"] == "TaskNotFound"


def test_a_wait_is_over_when_somebody_cancels(played: PlayedDispatcher) -> None:
    # Given somebody who waits for a task
    task_id = submit("1")
    waited: list[Said] = []
    waiting = threading.Thread(
        target=lambda: waited.append(
            godel("tasks", "submit", "acme", "1", "--task-id", "mine", "--wait", "--json")
        )
    )
    waiting.start()
    with opened() as runtime:
        wait_until(lambda: len(list(unsettled(runtime))) == 2, description="the task is accepted")
        # When somebody else cancels it
        cancel_in_cells(runtime, "mine", who="ops")
    played.publish()
    waiting.join(timeout=10)
    # Then the wait is over, and the other task waits on
    assert waited[0].code == 8
    assert waited[0].data["error"]["message"] == "cancelled by ops"
    assert show(task_id)["state"] == "WAITING"
