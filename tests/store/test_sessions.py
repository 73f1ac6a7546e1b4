"""Tasks of a session: one after the other, on its instance, whatever becomes of the head."""

from __future__ import annotations

import itertools

import pytest

from godel_tasks.domain.session import Affinity
from godel_tasks.store.queue import Admission, SlotRange
from godel_tasks.store.records import HeldTask
from tests.cell import Cell, back, failure, hold, ids, retry, success

FREE, ON_I1, ONLY_I1 = "shared.0~", "shared.0~i1", "shared.0~i1!"
NUMBERS = itertools.count(1)
ALL = ("shared.0", FREE, ON_I1, ONLY_I1, "shared.0~i2", "shared.0~i2!")


@pytest.fixture
def ready(cell: Cell) -> Cell:
    cell.tenant("acme")
    cell.dispatcher("d1")
    return cell


def put(cell: Cell, *names: str, session: str = "s", **options: object) -> None:
    """Submit tasks of these ids to a session."""
    tasks = [cell.task(name, session=session, **options) for name in names]  # type: ignore[arg-type]
    reply = cell.submit("acme", *tasks)
    assert set(reply.admissions) == {Admission.QUEUED}


def take(cell: Cell, count: int = 9, *, instance: str = "i1") -> tuple[HeldTask, ...]:
    """What a dispatcher with slots of one instance gets: nothing that is pinned to others."""
    classes = [name for name in ALL if "~" not in name or name == FREE or instance in name]
    number = next(NUMBERS)
    slots = [SlotRange(instance, 1, number * 10_000, count)]
    return cell.take("d1", slots=slots, classes=classes)


def status(cell: Cell, session: str = "s"):
    found = cell.session(f"acme:{session}")
    assert found is not None
    return found


# ------------------------------------------------------------------------------------- order


def test_tasks_of_a_session_run_one_after_the_other(ready: Cell):
    # Given three tasks of a session, of any priority, and one of none
    put(ready, "a", level=3)
    put(ready, "b", level=0)
    put(ready, "c")
    ready.submit("acme", ready.task("free"))
    # Then only its head, and the one without a session, can be claimed
    first = take(ready)
    assert set(ids(first)) == {"a", "free"}
    assert take(ready) == ()
    assert status(ready).waiting == 2
    # And each next one when the one before it has ended
    (a,) = [held for held in first if held.record.task_id == "a"]
    ready.succeed("d1", a)
    (b,) = take(ready)
    assert ids([b]) == ["b"]
    ready.settle("d1", failure(b))
    (c,) = take(ready)
    ready.succeed("d1", c, *[held for held in first if held is not a])
    # And nothing of it is left but the session itself
    assert (status(ready).head, status(ready).unsettled) == ("", 0)
    assert ready.status("acme").depth == 0


@pytest.mark.parametrize("after_ms", [0, 500])
def test_a_retry_keeps_the_head_and_goes_to_the_same_instance(ready: Cell, after_ms: int):
    # Given a session whose head failed on an instance
    put(ready, "a", "b")
    (a,) = take(ready)
    ready.settle("d1", retry(a, after_ms=after_ms))
    assert take(ready, instance="i2") == ()
    # When its time has come
    ready.pass_time(after_ms)
    ready.due()
    # Then it is the same task again, and only its instance gets it
    assert take(ready, instance="i2") == ()
    (again,) = take(ready)
    assert (again.record.task_id, again.record.attempt) == ("a", 2)
    assert status(ready).instance_id == "i1"
    assert ready.run(ready.sessions.pinned()) == {"i1": 1}


def test_a_head_on_hold_holds_its_session(ready: Cell):
    # Given a head that may have run, and waits for a person
    put(ready, "a", "b")
    (a,) = take(ready)
    ready.settle("d1", hold(a))
    assert take(ready) == ()
    # When the person lets it run again
    assert ready.run(ready.queue.resolve(task_id="a", verdict="retry")) == "ok"
    # Then it still goes first
    assert ids(take(ready)) == ["a"]


def test_a_hold_that_is_decided_lets_the_next_one_go(ready: Cell):
    put(ready, "a", "b")
    ready.settle("d1", hold(take(ready)[0]))
    assert ready.run(ready.queue.resolve(task_id="a", verdict="fail")) == "ok"
    assert ids(take(ready)) == ["b"]


def test_a_task_for_later_joins_when_it_is_due(ready: Cell):
    # Given a task for later, before one for now
    put(ready, "later", eta="+1000")
    put(ready, "a", "b")
    held = take(ready)
    assert ids(held) == ["a"]
    # When it is due
    ready.pass_time(1000)
    assert ready.due() == 1
    # Then it stands behind those that came before that
    order = []
    while held:
        order += ids(held)
        ready.succeed("d1", *held)
        held = take(ready)
    assert order == ["a", "b", "later"]


def test_the_same_id_in_two_tenants_is_two_sessions(ready: Cell):
    ready.tenant("bolt")
    put(ready, "a")
    ready.submit("bolt", ready.task("b", session="s"))
    assert set(ids(take(ready))) == {"a", "b"}


# --------------------------------------------------------------- what ends without being run


def test_cancelling_the_head_lets_the_next_one_go(ready: Cell):
    put(ready, "a", "b")
    assert ready.cancel("a").outcome == "cancelled"
    assert ids(take(ready)) == ["b"]


def test_cancelling_one_behind_takes_it_out_of_the_order(ready: Cell):
    put(ready, "a", "b", "c")
    assert ready.cancel("b").outcome == "cancelled"
    assert ready.status("acme").depth == 2
    (a,) = take(ready)
    ready.succeed("d1", a)
    assert ids(take(ready)) == ["c"]


@pytest.mark.parametrize("by", ["claim", "due"])
def test_a_head_that_is_late_lets_the_next_one_go(ready: Cell, by: str):
    # Given a head that must start soon
    put(ready, "a", start_by="+100")
    put(ready, "b")
    # When it is too late, and whoever comes upon it settles it
    ready.pass_time(100)
    taken = ids(take(ready)) if by == "claim" else []
    if by == "due":
        assert ready.due() == 1
    # Then the next one runs
    assert taken + ids(take(ready)) == ["b"]
    assert ready.status("acme").expired == 1
    assert ready.status("acme").depth == 0


def test_one_behind_that_is_late_ends_where_it_is(ready: Cell):
    put(ready, "a")
    put(ready, "b", start_by="+100")
    put(ready, "c")
    (a,) = take(ready)
    ready.pass_time(100)
    assert ready.due() == 1
    assert ready.letter("b") == ""
    ready.succeed("d1", a)
    assert ids(take(ready)) == ["c"]


def test_a_dead_dispatchers_head_is_taken_over_and_nothing_overtakes_it(ready: Cell):
    put(ready, "a", "b")
    (a,) = take(ready)
    ready.dispatcher("d2")
    ready.keep_alive("d2", ms=4000)
    (taken,) = ready.bury("d1", by="d2")
    assert ids([taken]) == ids([a])
    assert ready.take("d2", classes=ALL) == ()
    ready.succeed("d2", taken)
    assert ids(ready.take("d2", classes=ALL)) == ["b"]


# --------------------------------------------------------------------------------- instances


def test_a_session_that_never_ran_is_bound_to_nothing(ready: Cell):
    # Given a head that was claimed for an instance, and handed back before it was sent
    put(ready, "a")
    ready.settle("d1", back(take(ready)[0]))
    # Then any instance may have it
    assert status(ready).instance_id == ""
    assert ids(take(ready, instance="i2")) == ["a"]


def test_a_soft_session_moves_and_says_so(ready: Cell):
    # Given two sessions on an instance, one at its second task, the other at a retry
    put(ready, "a", "b", session="one")
    put(ready, "x", session="two")
    a, x = take(ready)
    ready.settle("d1", success(a), retry(x))
    assert take(ready, instance="i2") == ()
    # When their instance does not serve any more
    assert ready.move(ON_I1, "it was lost") == 2
    # Then they run elsewhere, in their order
    assert ids(take(ready, instance="i2")) == ["x", "b"]
    # And it is told, of the session and of the tasks
    moved = status(ready, "one")
    assert (moved.instance_id, moved.moves, moved.moved_from) == ("i2", 1, "i1")
    assert moved.moved_why == "it was lost"
    notes = ready.run(ready.sessions.notes(["a", "b", "x"]))
    assert notes == dict.fromkeys(["b", "x"], "session moved from i1: it was lost; started fresh")
    assert ready.run(ready.sessions.pinned()) == {"i2": 2}


def test_a_move_is_bounded_and_skips_what_does_not_wait(ready: Cell):
    # Given three sessions that wait for an instance, the first of them cancelled
    for name in ("one", "two", "three"):
        put(ready, name, f"{name}-next", session=name)
    ready.succeed("d1", *take(ready))
    ready.cancel("one-next")
    # When they are moved, one record at a time
    moved = [ready.move(ON_I1, limit=1) for _ in range(4)]
    # Then each is, in their order
    assert sorted(moved) == [0, 0, 1, 1]
    assert ids(take(ready, instance="i2")) == ["two-next", "three-next"]


def test_a_hard_session_waits_and_is_not_moved(ready: Cell):
    put(ready, "a", "b", hard=True)
    ready.succeed("d1", *take(ready))
    assert ready.move(ONLY_I1) == 0
    assert take(ready, instance="i2") == ()
    assert ids(take(ready)) == ["b"]


def test_what_waits_too_long_for_the_one_instance_is_buried_one_after_the_other(ready: Cell):
    # Given a hard session with two tasks that wait since long ago
    put(ready, "a", "b", "c", hard=True)
    ready.succeed("d1", *take(ready))
    ready.run(ready.leases.mark_unroutable(class_id=ONLY_I1, now_ms=ready.now))
    ready.pass_time(5000)
    # When their time is up
    bury = ready.queue.bury_class(class_id=ONLY_I1, limit_ms=5000, why="its instance i1 is lost")
    ready.run(bury)
    ready.run(bury)
    # Then both failed, and nothing waits
    assert ready.status("acme").failed == 2
    assert ready.status("acme").depth == 0
    assert status(ready).head == ""


# -------------------------------------------------------------------------- a session's life


def open_(cell: Cell, **options: object) -> str:
    fields = {"session_id": "s", "affinity": Affinity.SOFT, "ttl_ms": 1000, "labels": {}}
    return cell.run(cell.sessions.open(tenant_id="acme", **{**fields, **options}))  # type: ignore[arg-type]


def test_a_session_that_was_made_keeps_its_terms(ready: Cell):
    # Given a hard session that was made beforehand
    assert open_(ready, affinity=Affinity.HARD, labels={"who": "ann"}) == "created"
    assert open_(ready) == "exists"
    # When a task with other terms comes first
    put(ready, "a", "b")
    ready.succeed("d1", *take(ready))
    # Then those it was made with hold
    found = status(ready)
    assert (found.affinity, found.labels, found.ttl_ms) == (Affinity.HARD, {"who": "ann"}, 1000)
    assert take(ready, instance="i2") == ()
    assert ready.run(ready.sessions.names(tenant_id="acme", cursor=0)) == (0, ("acme:s",))
    assert ready.run(ready.sessions.names(tenant_id="acm", cursor=0)) == (0, ())


def test_a_session_of_an_unknown_tenant_is_not_made(cell: Cell):
    assert open_(cell) == "unknown"


def test_ending_a_session_cancels_what_it_has(ready: Cell):
    # Given a session with a running head, some behind it, and one for later
    put(ready, "a", "b", "c", "d")
    put(ready, "later", eta="+1000")
    (a,) = take(ready)
    # When it is ended, two tasks at a time
    replies = [ready.end_session("acme:s", limit=2) for _ in range(3)]
    # Then what waited is cancelled, the running one was told to stop, and nothing new comes in
    assert [r.cancelled for r in replies] == [2, 1, 1]
    assert [r.asked for r in replies] == [1, 0, 0]
    assert replies[-1].left == 1
    assert ready.submit("acme", ready.task(session="s")).admissions == (Admission.SESSION_ENDED,)
    assert open_(ready) == "ended"
    # And once it has stopped the session is gone, and another may begin under its id
    ready.settle("d1", retry(a))
    assert ready.status("acme").cancelled == 5
    assert ready.session("acme:s") is None
    put(ready, "new")
    assert ids(take(ready, instance="i2")) == ["new"]


def test_an_end_that_was_broken_off_is_finished(ready: Cell):
    # Given a session whose end got no further than its first step
    put(ready, "a", "b", "c", "d")
    assert ready.end_session("acme:s", limit=1).left == 2
    # Then nothing of it runs, and whoever looks for idle sessions is told to go on
    assert take(ready) == ()
    reply = ready.run(ready.sessions.idle())
    assert reply.unfinished == {"acme:s": "ops"}
    assert ready.end_session("acme:s").left == 0
    assert ready.session("acme:s") is None
    assert ready.status("acme").depth == 0


def test_a_session_is_forgotten_when_it_was_idle_for_its_time(ready: Cell):
    # Given a session that ran, and one that still has something to do
    put(ready, "a", session="done", ttl_ms=1000)
    put(ready, "x", session="busy", ttl_ms=1000)
    ready.succeed("d1", take(ready)[0])
    ready.pass_time(999)
    assert ready.run(ready.sessions.idle()).forgotten == 0
    # When its time is up
    ready.pass_time(1)
    assert ready.run(ready.sessions.idle()).forgotten == 1
    # Then it alone is gone
    assert ready.session("acme:done") is None
    assert status(ready, "busy").unsettled == 1


def test_a_session_past_its_time_begins_anew_though_nobody_swept(ready: Cell):
    put(ready, "a", ttl_ms=1000)
    ready.succeed("d1", *take(ready))
    ready.pass_time(1001)
    put(ready, "b")
    assert ids(take(ready, instance="i2")) == ["b"]
    assert status(ready).created_ms == ready.now


def test_tasks_of_sessions_count_into_the_queues_limit(cell: Cell):
    cell.tenant("acme", max_queue=2)
    reply = cell.submit("acme", *(cell.task(session="s") for _ in range(3)))
    assert "".join(reply.admissions) == "qqf"
    assert cell.session("acme:s").unsettled == 2  # type: ignore[union-attr]
