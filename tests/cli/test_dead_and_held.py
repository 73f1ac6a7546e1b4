"""`godel tasks` resolve, replay, purge-dead: what only a person can decide."""

from __future__ import annotations

import pytest

from godel_tasks.domain.requirement import Requirement, digest_of, spec_of
from godel_tasks.replaying import replay_id
from godel_tasks.store.records import HeldTask
from tests.cli.played import PlayedDispatcher, godel, ok

IN_EU = f"shared.{digest_of(spec_of(Requirement(region='eu')))}"


@pytest.fixture(autouse=True)
def acme(attached: str) -> None:
    ok("tenants", "add", "acme")


def submit(*options: object) -> str:
    task_id: str = ok("tasks", "submit", "acme", *options)["task_id"]
    return task_id


def bury(played: PlayedDispatcher, *options: object, classes: tuple[str, ...] = ()) -> str:
    """A task that fails for good."""
    task_id = submit(*options)
    (held,) = played.take(1, **({"classes": classes} if classes else {}))
    played.end(held, error="no such thing", bury=True)
    return task_id


def put_on_hold(played: PlayedDispatcher) -> str:
    task_id = submit("1")
    (held,) = played.take()
    played.hold(held, "attempt 1 on i1: its connection was lost")
    return task_id


def dead() -> list[str]:
    return [task["task_id"] for task in ok("tasks", "list", "--state", "dead")["tasks"]]


# -- on hold -----------------------------------------------------------------------------------


def test_a_task_on_hold_shows_its_evidence(played: PlayedDispatcher) -> None:
    task_id = put_on_hold(played)
    shown = ok("tasks", "show", task_id)
    assert (shown["state"], shown["attempts"]) == ("ON_HOLD", 1)
    assert shown["evidence"] == "attempt 1 on i1: its connection was lost"
    assert f"godel tasks resolve {task_id}" in godel("tasks", "show", task_id).out


def test_a_person_says_that_it_succeeded_or_failed(played: PlayedDispatcher) -> None:
    first, second, third = (put_on_hold(played) for _ in range(3))
    ok("tasks", "resolve", first, "succeed", "--result", '{"page": 7}')
    ok("tasks", "resolve", second, "fail", "--note", "the invoice was sent twice")
    ok("tasks", "resolve", third, "succeed")
    played.publish()
    shown = ok("tasks", "show", first)
    assert (shown["state"], shown["result"]) == ("SUCCEEDED", {"page": 7})
    shown = ok("tasks", "show", second)
    assert (shown["state"], shown["error"]["message"]) == ("FAILED", "the invoice was sent twice")
    assert ok("tasks", "show", third)["result"] is None


def test_a_person_says_that_it_is_to_run_again(played: PlayedDispatcher) -> None:
    task_id = put_on_hold(played)
    ok("tasks", "resolve", task_id, "retry")
    (held,) = played.take()
    assert (held.record.task_id, held.record.attempt) == (task_id, 2)


def test_only_a_task_on_hold_can_be_resolved(played: PlayedDispatcher) -> None:
    said = godel("tasks", "resolve", submit("1"), "retry", "--json")
    assert (said.code, said.error["type"]) == (6, "TaskStateConflict")
    assert "WAITING" in said.error["message"]
    said = godel("tasks", "resolve", "nope", "retry", "--json")
    assert (said.code, said.error["type"]) == (5, "TaskNotFound")


@pytest.mark.parametrize(
    "options",
    [["succeed", "--result", "{bad"], ["retry", "--result", "1"], ["succeed", "--note", "x"]],
)
def test_a_decision_that_makes_no_sense_changes_nothing(
    played: PlayedDispatcher, options: list[str]
) -> None:
    task_id = put_on_hold(played)
    assert godel("tasks", "resolve", task_id, *options).code == 2
    assert ok("tasks", "show", task_id)["state"] == "ON_HOLD"


# -- dead letters ------------------------------------------------------------------------------


def test_dead_letters_are_listed_with_why(played: PlayedDispatcher) -> None:
    task_id = bury(played, "1")
    (listed,) = ok("tasks", "list", "--state", "dead")["tasks"]
    assert (listed["task_id"], listed["tenant"], listed["attempts"]) == (task_id, "acme", 1)
    assert listed["why"] == "no such thing"
    shown = ok("tasks", "show", task_id, "--payload")
    assert (shown["dead_letter"], shown["task"]["payload"]) == (True, 1)
    assert ok("tasks", "list", "--state", "dead", "--tenant", "beta")["tasks"] == []


def test_a_dead_letter_stays_longer_than_its_result(played: PlayedDispatcher) -> None:
    task_id = bury(played, "1")
    played.cell.server("DEL", f"celery-task-meta-{task_id}")
    shown = ok("tasks", "show", task_id)
    assert (shown["state"], shown["dead_letter"], shown["tenant"]) == ("FAILED", True, "acme")


def test_a_replay_is_the_same_work_under_a_new_id(played: PlayedDispatcher) -> None:
    # Given a dead letter with a requirement, whose class has gone
    task_id = bury(
        played, '{"a": 1}', "--region", "eu", "--priority", "high", "--header", "n=1",
        classes=(IN_EU,),
    )  # fmt: skip
    # When it is replayed
    (row,) = ok("tasks", "replay", task_id)["tasks"]
    # Then the new task asks for the same, and starts from its first attempt
    new = ok("tasks", "show", row["new_id"], "--payload")
    assert row["new_id"] != task_id
    assert (new["state"], new["class"], new["level"]) == ("WAITING", IN_EU, "high")
    assert (new["attempts"], new["task"]["payload"]) == (0, {"a": 1})
    assert new["task"]["headers"] == {"n": "1"}
    # And the dead letter is gone, its result is not
    assert dead() == []
    assert ok("tasks", "show", task_id)["state"] == "FAILED"
    assert godel("tasks", "replay", task_id, "--json").error["type"] == "TaskNotFound"


def test_a_replay_that_was_cut_off_runs_once(played: PlayedDispatcher) -> None:
    # Given a replay that was submitted, ran and ended, and whose dead letter was not dropped
    task_id = bury(played, "1")
    buried_ms = played.cell.run(played.cell.look.buried_at(task_id))
    record = played.cell.server("HGET", played.cell.key("dead"), task_id)
    new_id = ok("tasks", "replay", task_id)["tasks"][0]["new_id"]
    assert buried_ms is not None
    assert new_id == replay_id(task_id, buried_ms)
    (held,) = played.take()
    played.end(held, result=1)
    played.cell.server("HSET", played.cell.key("dead"), task_id, record)
    played.cell.server("ZADD", played.cell.key("dead_at"), buried_ms, task_id)
    # When it is replayed again
    assert ok("tasks", "replay", task_id)["tasks"][0]["new_id"] == new_id
    # Then nothing runs a second time
    assert played.take() == ()
    assert dead() == []


def test_a_full_queue_keeps_the_dead_letter(played: PlayedDispatcher) -> None:
    task_id = bury(played, "1")
    ok("tenants", "set", "acme", "--max-queue", 0)
    said = godel("tasks", "replay", task_id, "--json")
    assert (said.code, said.error["type"]) == (7, "QueueFull")
    assert dead() == [task_id]


def test_of_several_dead_letters_the_known_ones_are_replayed(played: PlayedDispatcher) -> None:
    task_id = bury(played, "1")
    said = godel("tasks", "replay", "nope", task_id, "--json")
    assert said.code == 5
    unknown, replayed = said.data["tasks"]
    assert (unknown["new_id"], unknown["error"]["type"]) == (None, "TaskNotFound")
    assert replayed["new_id"]
    assert dead() == []


def test_a_deadline_that_has_passed_does_not_come_along(played: PlayedDispatcher) -> None:
    # Given two dead letters, of which one's deadline has passed since
    late, open_ = (bury(played, "1", "--deadline", 600) for _ in range(2))
    key = played.cell.key("dead")
    head, _, body = played.cell.server("HGET", key, late).partition(b"\n")
    passed = b" ".join([*head.split(b" ")[:-2], b"1", b"1"])
    played.cell.server("HSET", key, late, passed + b"\n" + body)
    # When both are replayed
    first, second = ok("tasks", "replay", late, open_)["tasks"]
    # Then the first has no deadline any more
    assert ok("tasks", "show", first["new_id"])["times"]["deadline"] is None
    assert ok("tasks", "show", second["new_id"])["times"]["deadline"]


def test_dead_letters_are_dropped_by_tenant_and_age(played: PlayedDispatcher) -> None:
    ok("tenants", "add", "beta")
    mine = [bury(played, "1") for _ in range(2)]
    ok("tasks", "submit", "beta", "1")
    held: tuple[HeldTask, ...] = played.take()
    played.end(*held, error="no such thing", bury=True)
    assert ok("tasks", "purge-dead", "--older-than", 60) == {"dropped": 0}
    assert ok("tasks", "purge-dead", "--tenant", "beta") == {"dropped": 1}
    assert set(dead()) == set(mine)
    # A person is asked first
    said = godel("tasks", "purge-dead", typed="n\n")
    assert (said.code, "fault" in said.err) == (130, False)
    assert len(dead()) == 2
    assert "Dropped 2 dead letters." in godel("tasks", "purge-dead", typed="y\n").out
    assert dead() == []
