"""Cancelling in Celery's way: `revoke` and `terminate`, of results, by command, by broadcast."""

from __future__ import annotations

import json
import subprocess
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from celery.exceptions import TaskRevokedError

from godel_tasks.results import GodelResult
from tests.control.conftest import broadcast, celery, running, waiting
from tests.helpers import wait_until
from tests.world import REPOSITORY, World


def revoked(result: GodelResult, by: str) -> None:
    """It is REVOKED for whoever looks, with who did it and when."""
    with pytest.raises(TaskRevokedError, match=f"cancelled by {by}"):
        result.get(timeout=10)
    assert str(result.state) == "REVOKED"
    assert result.date_done is not None


def test_a_broadcast_revoke_cancels_a_waiting_task_once_whoever_gets_it(world: World):
    # Given a task that waits
    result = waiting(world)
    cancelled = world.tenant_status("acme").cancelled
    # When every worker is told to revoke it
    answers = broadcast(world, "revoke", task_id=[result.id])
    # Then each says what it found: the first one's cancel counted
    assert sorted(answers) == ["c1", "d1", "d2"]
    said = [answer["ok"] for answer in answers.values()]
    assert sum("cancelled before it ran" in line for line in said) == 1
    assert sum("it had ended already: CANCELLED" in line for line in said) == 2
    revoked(result, "control")
    # And it counts as one cancelled task that waits no more
    assert world.tenant_status("acme").cancelled == cancelled + 1
    assert world.state(result.id) == ""


def test_revoke_leaves_alone_what_runs_and_terminate_stops_it(world: World):
    # Given a task that runs
    result = running(world)
    # When every worker is told to revoke it, and no more
    answers = broadcast(world, "revoke", task_id=result.id)
    # Then it goes on
    assert all("left alone" in answer["ok"] for answer in answers.values())
    assert result.state == "STARTED"
    # When it is to be terminated, as Flower's button asks for it
    answers = broadcast(
        world, "revoke", task_id=result.id, terminate=True, signal="SIGTERM", who="ann"
    )
    # Then its dispatcher is told, its instance stops it, and that is its end
    assert all("told to stop it" in answer["ok"] for answer in answers.values())
    revoked(result, "ann while it ran")
    wait_until(lambda: world.journal(result.id)[-1]["event"] != "start", description="it stopped")
    assert len(world.starts(result.id)) == 1


def test_the_command_revokes_and_terminates(world: World):
    # Given one task that waits and one that runs
    waits, runs = waiting(world), running(world)

    def control(words: tuple[str, ...]) -> dict[str, dict[str, str]]:
        done = subprocess.run(
            celery("-A", "godel_tasks", "control", "--json", *words),
            cwd=REPOSITORY, env=world.env(), capture_output=True, text=True, check=True,
        )  # fmt: skip
        replies: list[dict[str, dict[str, str]]] = json.loads(done.stdout)
        return {node: answer for reply in replies for node, answer in reply.items()}

    # When they are named to `celery control`
    with ThreadPoolExecutor() as both:
        answers = both.map(control, [("revoke", waits.id), ("terminate", "SIGTERM", runs.id)])
    # Then every worker answers
    assert [len(answer) for answer in answers] == [3, 3]
    # And both are revoked
    revoked(waits, "control")
    revoked(runs, "control")


def test_the_result_revokes_by_itself(world: World):
    # Given a task that waits, one that is delayed, and one that runs
    waits, runs = waiting(world), running(world)
    delayed = world.submit("acme", {}, countdown=600)
    # When their results are told to revoke them
    waits.revoke()
    delayed.revoke()
    runs.revoke()
    # Then what does not run is cancelled, and what runs goes on
    revoked(waits, "revoke")
    revoked(delayed, "revoke")
    assert runs.state == "STARTED"
    # When it is to be terminated
    runs.revoke(terminate=True)
    # Then it is stopped
    revoked(runs, "revoke")


def test_what_is_not_godels_stays_celerys(world: World):
    # Given an id that no cell knows: of a control job or an ordinary task that may still come
    stranger = world.app.AsyncResult("not-godels")
    # When it is revoked
    answers = broadcast(world, "revoke", task_id=["not-godels"])
    # Then the workers do what Celery does: they will not run it, and its result says so
    assert all("flagged as revoked" in answer["ok"] for answer in answers.values())
    for ids in broadcast(world, "revoked").values():
        assert "not-godels" in ids
    assert str(stranger.state) == "REVOKED"
    stranger.forget()


def test_tasks_are_revoked_by_their_stamps(world: World):
    # Given tasks of one batch that wait, are delayed and run, and one of another batch
    def stamped(batch: str, *, wait: bool = False, **options: Any) -> GodelResult:
        task: Any = world.app.tasks["godel_tasks.submit_task"]
        fields = {"capabilities": {"nobody": "has-it"}} if wait else {}
        stamps = {"batch": batch}
        result = task.apply_async(("acme", {"sleep": 60}), fields, stamps=stamps, **options)
        assert isinstance(result, GodelResult)
        return result

    runs, waits = stamped("b1"), stamped("b1", wait=True)
    delayed, other = stamped("b1", countdown=600), stamped("b2", wait=True)
    wait_until(lambda: world.state(runs.id) == "RUNNING", description="it runs", timeout=10)
    # When the batch is revoked
    answers = broadcast(world, "revoke_by_stamped_headers", headers={"batch": ["b0", "b1"]})
    # Then what does not run is cancelled, once
    said = [answer["ok"].rpartition("; ")[2] for answer in answers.values()]
    assert sum(int(line.split()[0]) for line in said) == 2, said
    for result in (waits, delayed):
        revoked(result, "control")
    assert (str(runs.state), str(other.state)) == ("STARTED", "PENDING")
    # When it is to be terminated
    broadcast(world, "revoke_by_stamped_headers", headers=["batch=b1"], terminate=True)
    # Then what runs is stopped, too
    revoked(runs, "control")
    other.revoke()
