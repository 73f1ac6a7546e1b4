"""Sessions over real processes: in order, one at a time, on one instance, whatever is killed."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import pytest
from celery.exceptions import TaskRevokedError

from godel_tasks.errors import SessionInstanceLost, UnknownSession
from godel_tasks.results import GodelResult
from godel_tasks.sessions import get_session, list_sessions, terminate_session
from godel_tasks.views.tasks import task_view
from tests.helpers import wait_until
from tests.workers.conftest import ASYNC
from tests.world import World


def in_session(world: World, payloads: Sequence[object], **fields: Any) -> list[GodelResult]:
    return [world.submit("acme", payload, session_id="s", **fields) for payload in payloads]


def running_first(results: Sequence[GodelResult], world: World) -> None:
    wait_until(
        lambda: world.state(results[0].id) == "RUNNING", description="the first runs", timeout=15
    )


def executions(world: World, results: Sequence[GodelResult]) -> list[tuple[int, int]]:
    """Which task (by number) and attempt ran, in the order of starts; none while another did."""
    number = {result.id: n for n, result in enumerate(results)}
    found: list[tuple[int, int]] = []
    running: set[str] = set()
    for line in world.journal():
        if line["id"] not in number:
            continue
        if line["event"] == "start":
            assert not running, f"{number[line['id']]} began while another one ran"
            running.add(line["id"])
            found.append((number[line["id"]], line["attempt"]))
        else:
            running.discard(line["id"])
    return found


def test_tasks_of_a_session_run_in_order_across_retries(calm: World):
    # Given a session of which one task fails at first, on an instance with room for all of them
    payloads: list[Any] = [{"n": n} for n in range(5)]
    payloads[1] = {"raise": "not yet", "until": 2}
    results = in_session(calm, payloads, priority="low")
    # And one task behind the head that is urgent
    results += in_session(calm, [{"n": 5}], priority="critical")
    assert results[-1].position() is None or results[-1].position() > 0  # type: ignore[operator]
    # When all have run
    answers = [result.get(timeout=20) for result in results]
    # Then each ran once the one before it was through, retries included
    assert executions(calm, results) == [(0, 1), (1, 1), (1, 2), (2, 1), (3, 1), (4, 1), (5, 1)]
    # And all on the instance that holds the session
    holder = get_session(calm.runtime, "acme", "s").instance_id
    assert {answer["instance"] for answer in answers} == {holder}
    assert all(result.session_note is None for result in results)


def test_a_running_session_is_ended(calm: World):
    # Given a session that runs, and has more to do
    results = in_session(calm, [{"sleep": 60}, {}, {}])
    running_first(results, calm)
    assert [s.session_id for s in list_sessions(calm.runtime, "acme")] == ["s"]
    assert task_view(calm.runtime, results[1].id).behind == results[0].id
    # When it is ended
    end = terminate_session(calm.runtime, "acme", "s", patience_s=10)
    # Then all of it is, and its instance was told
    assert (end.cancelled, end.running, end.on_instance) == (2, False, "ended")
    for result in results:
        with pytest.raises(TaskRevokedError):
            result.get(timeout=5)
    assert len(executions(calm, results)) == 1
    with pytest.raises(UnknownSession):
        get_session(calm.runtime, "acme", "s")


def test_a_soft_session_goes_on_elsewhere_when_its_instance_is_killed(
    fresh_world: Callable[..., World],
):
    # Given a session on an instance, at its first task, and another instance beside it
    world = fresh_world()
    world.dispatcher("d1", ready=False)
    doomed = world.instance("doomed", ASYNC, "--capacity", "4")
    world.tenant("acme")
    results = in_session(world, [{"first": 60}, {"n": 1}, {"n": 2}])
    running_first(results, world)
    world.instance("other", ASYNC, "--capacity", "4")
    # When its instance is killed
    doomed.kill()
    # Then its tasks run on the other one, the first one again, in their order
    answers = [result.get(timeout=20) for result in results]
    assert [answer["instance"] for answer in answers] == ["other"] * 3
    starts = [line for line in world.journal() if line["event"] == "start"]
    order = [[r.id for r in results].index(line["id"]) for line in starts]
    assert order == [0, 0, 1, 2]
    # And it is told, with the task that came upon it and of the session
    note = "session moved from doomed: it was lost; started fresh"
    assert [result.session_note for result in results] == [note, None, None]
    assert task_view(world.runtime, results[0].id).session_note == note
    session = get_session(world.runtime, "acme", "s")
    assert (session.instance_id, session.moves, session.moved_from) == ("other", 1, "doomed")
    assert "sessions.moved" in world.processes["d1"].text()


def test_a_hard_session_waits_for_its_instance_and_then_fails(fresh_world: Callable[..., World]):
    # Given a hard session on an instance, with room beside it
    world = fresh_world(unroutable_after_s=1)
    world.dispatcher("d1", ready=False)
    doomed = world.instance("doomed", ASYNC, "--capacity", "4")
    world.tenant("acme")
    results = in_session(world, [{"n": 0}, {"first": 60}, {"n": 2}], session_affinity="hard")
    wait_until(
        lambda: world.state(results[1].id) == "RUNNING", description="the second runs", timeout=15
    )
    world.instance("other", ASYNC, "--capacity", "4")
    # When its instance is killed and comes back in time
    doomed.kill()
    wait_until(lambda: world.state(results[1].id) == "WAITING", description="it waits", timeout=15)
    doomed.start()
    # Then it goes on there
    assert results[1].get(timeout=15) == {"attempt": 2, "instance": "doomed"}
    assert results[2].get(timeout=15)["instance"] == "doomed"
    # And when it does not come back
    doomed.kill()
    late = in_session(world, [{}, {}])
    # Then what waits fails with a clear error, and nothing ran elsewhere
    for result in late:
        with pytest.raises(SessionInstanceLost, match="the session's instance doomed: it was lost"):
            result.get(timeout=20)
    assert not [line for line in world.journal() if line.get("instance") == "other"]


def test_a_killed_dispatcher_changes_nothing_of_the_order(fresh_world: Callable[..., World]):
    # Given a session whose head is held by a dispatcher, and another dispatcher
    world = fresh_world()
    first = world.dispatcher("d1", ready=False)
    world.instance("i1", ASYNC, "--capacity", "4")
    world.tenant("acme")
    results = in_session(world, [{"sleep": 5}, {"n": 1}, {"n": 2}])
    running_first(results, world)
    world.dispatcher("d2")
    # When the first dispatcher is killed
    first.kill()
    # Then the other one takes the head over as it runs, and the rest follows it
    for result in results:
        result.get(timeout=20)
    assert executions(world, results) == [(0, 1), (1, 1), (2, 1)]
