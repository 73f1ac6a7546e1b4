"""cancel: what waits ends at once, what runs is asked, and neither is forgotten."""

from __future__ import annotations

import pytest

from godel_tasks.domain.task import TaskState
from tests.cell import ANY_CLASS, Cell, back, hold, ids, retry, success


def test_a_waiting_task_is_cancelled_at_once(cell: Cell) -> None:
    # Given three waiting tasks
    cell.tenant("acme")
    cell.submit("acme", *(cell.task(name) for name in "abc"))
    # When the second is cancelled
    assert cell.cancel("b").outcome == "cancelled"
    # Then it is gone from every count
    status = cell.status("acme")
    assert (status.depth, status.cancelled) == (2, 1)
    assert cell.run(cell.look.waiting()) == {ANY_CLASS: 2}
    # And claim passes over the place where it stood
    cell.dispatcher("d1")
    assert ids(cell.take("d1", 5)) == ["a", "c"]
    # And its end is published once
    assert list(cell.publish_all("d1")) == ["b"]
    assert cell.cancel("b").state is TaskState.CANCELLED


@pytest.mark.parametrize("where", ["delayed", "back-off", "hold"])
def test_a_task_that_waits_elsewhere_is_cancelled_at_once(cell: Cell, where: str) -> None:
    cell.tenant("acme")
    cell.dispatcher("d1")
    eta = "+5000" if where == "delayed" else "0"
    cell.submit("acme", cell.task("a", eta=eta, start_by="+60000"))
    if where != "delayed":
        (a,) = cell.take("d1")
        cell.settle("d1", retry(a, after_ms=5000) if where == "back-off" else hold(a))
    # When it is cancelled
    assert cell.cancel("a").outcome == "cancelled"
    # Then nothing of it comes due, and it never runs
    assert cell.status("acme").depth == 0
    assert not cell.server("EXISTS", cell.key("due"), cell.key("parked"), cell.key("evidence"))
    cell.pass_time(10_000)
    assert cell.due() == 0
    assert cell.take("d1") == ()
    assert list(cell.publish_all("d1")) == ["a"]


def test_a_held_task_is_asked_to_stop(cell: Cell) -> None:
    # Given a task that its dispatcher delivered
    cell.tenant("acme")
    cell.submit("acme", cell.task("a"))
    cell.dispatcher("d1")
    (a,) = cell.take("d1")
    # When it is cancelled, unless running ones are to be left alone
    assert cell.cancel("a", running_too=False).outcome == "running"
    reply = cell.cancel("a")
    assert (reply.outcome, reply.dispatcher) == ("asked", "d1")
    # Then its dispatcher learns it at its next renewal, though every message were lost
    assert cell.run(cell.leases.renew(dispatcher="d1", lease_ms=3000)).cancels == {"a": "ops"}
    # And the end that really came stands
    assert cell.settle("d1", success(a)) == (True,)
    assert cell.run(cell.leases.renew(dispatcher="d1", lease_ms=3000)).cancels == {}
    assert cell.cancel("a").state is TaskState.SUCCEEDED


@pytest.mark.parametrize("verb", [retry, back, hold])
def test_a_task_asked_to_stop_does_not_run_again(cell: Cell, verb) -> None:
    cell.tenant("acme")
    cell.submit("acme", cell.task("a"))
    cell.dispatcher("d1")
    (a,) = cell.take("d1")
    cell.cancel("a")
    # When its attempt ends without a result
    assert cell.settle("d1", verb(a)) == (True,)
    # Then it is cancelled
    assert cell.take("d1") == ()
    end = cell.publish_all("d1")["a"]
    assert end.startswith(b"!K acme ")
    assert end.endswith(b"cancelled by ops")
    status = cell.status("acme")
    assert (status.depth, status.in_flight, status.cancelled) == (0, 0, 1)


def test_a_cancel_survives_the_death_of_its_dispatcher(cell: Cell) -> None:
    cell.tenant("acme")
    cell.submit("acme", cell.task("a"))
    cell.dispatcher("d1", "d2")
    cell.take("d1")
    cell.cancel("a")
    # When the dispatcher dies before it could act
    cell.keep_alive("d2", ms=4000)
    (a,) = cell.bury("d1", by="d2")
    # Then who takes over learns it
    renewed = cell.run(cell.leases.renew(dispatcher="d2", lease_ms=3000))
    assert renewed.cancels == {"a": "ops"}
    assert cell.settle("d2", retry(a)) == (True,)
    assert cell.status("acme").cancelled == 1


def test_an_unknown_task_cannot_be_cancelled(cell: Cell) -> None:
    assert cell.cancel("nothing").outcome == "unknown"


def test_a_sweep_rewrites_a_lane_that_is_mostly_tombstones(cell: Cell) -> None:
    # Given a lane of which most was cancelled, behind a class that nobody claims
    cell.tenant("acme")
    cell.submit("acme", *(cell.task(f"t{i}") for i in range(10)))
    for i in range(10):
        if i not in {3, 8}:
            cell.cancel(f"t{i}")
    # When it is swept
    assert cell.sweep() == 8
    # Then only what waits is left, in order
    lane = cell.run(cell.look.lane("acme", ANY_CLASS, 2, 0, -1))
    assert [r.task_id for r in lane] == ["t3", "t8"]
    assert cell.sweep() == 0
    cell.dispatcher("d1")
    assert ids(cell.take("d1", 5)) == ["t3", "t8"]


def test_a_sweep_leaves_a_lane_with_few_tombstones_alone(cell: Cell) -> None:
    cell.tenant("acme")
    cell.submit("acme", *(cell.task(f"t{i}") for i in range(10)))
    cell.cancel("t4")
    assert cell.sweep() == 0
    cell.dispatcher("d1")
    assert len(cell.take("d1", 10)) == 9
