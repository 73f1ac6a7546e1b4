"""settle: ends of attempts, fenced on owner and epoch; outcome and outbox entry are one write."""

from __future__ import annotations

import pytest

from tests.cell import ANY_CLASS, Cell, back, failure, hold, ids, retry, success


def test_a_success_leaves_the_queue_and_waits_to_be_published(cell: Cell) -> None:
    # Given a task that ran
    cell.tenant("acme")
    cell.submit("acme", cell.task("a"))
    cell.dispatcher("d1")
    (a,) = cell.take("d1")
    # When it is settled
    assert cell.settle("d1", success(a, actual_ms=250, data=b"the result")) == (True,)
    # Then nothing of it is queued or held, and its end is counted
    status = cell.status("acme")
    assert (status.depth, status.in_flight, status.succeeded, status.slot_ms) == (0, 0, 1, 250)
    assert cell.entry("a") is None
    assert cell.run(cell.leases.held(dispatcher="d1")) == ()
    # And its result stands in the outbox until it is published
    assert cell.publish_all("d1") == {"a": b"the result"}
    assert cell.publish_all("d1") == {}


def test_a_repeated_settle_gets_the_answer_of_the_first(cell: Cell) -> None:
    # Given a settle whose reply was lost
    cell.tenant("acme")
    cell.submit("acme", count=2)
    cell.dispatcher("d1")
    a, b = cell.take("d1", 2)
    stale = success(b).__class__("no-such-task", 1, success(b).verb, 1.0, letter="S")
    first = cell.settle("d1", success(a), retry(b), stale, sequence=1)
    # When it is made again
    second = cell.settle("d1", success(a), retry(b), stale, sequence=1)
    # Then it says the same, and did nothing
    assert first == second == (True, True, False)
    status = cell.status("acme")
    assert (status.depth, status.in_flight, status.succeeded) == (1, 0, 1)


def test_a_task_is_settled_once_even_within_a_batch(cell: Cell) -> None:
    cell.tenant("acme")
    cell.submit("acme", count=1)
    cell.dispatcher("d1")
    (a,) = cell.take("d1")
    assert cell.settle("d1", success(a), failure(a)) == (True, False)
    assert cell.status("acme").in_flight == 0
    assert cell.status("acme").failed == 0


@pytest.mark.parametrize("end", [success, failure, retry, back, hold])
def test_a_late_owner_can_settle_nothing(cell: Cell, end) -> None:
    # Given a task that was taken over from its dispatcher
    cell.tenant("acme")
    cell.submit("acme", cell.task("a"))
    cell.dispatcher("d1", "d2")
    (late,) = cell.take("d1")
    cell.keep_alive("d2", ms=4000)
    (now,) = cell.bury("d1", by="d2")
    assert (now.epoch, now.record.attempt) == (late.epoch + 1, late.record.attempt)
    # When the old owner comes back with an end
    assert cell.settle("d1", end(late)) == (False,)
    # Then the new owner's stands, and the old one left no key behind
    assert cell.settle("d2", success(now, data=b"true")) == (True,)
    assert cell.publish_all("d2") == {"a": b"true"}
    assert cell.status("acme").in_flight == 0
    assert not cell.server("HEXISTS", cell.key("settles"), "d1")


def test_a_stale_epoch_of_the_same_owner_settles_nothing(cell: Cell) -> None:
    # Given a task that a dispatcher handed back and claimed again
    cell.tenant("acme")
    cell.submit("acme", cell.task("a"))
    cell.dispatcher("d1")
    (first,) = cell.take("d1")
    cell.settle("d1", back(first))
    (second,) = cell.take("d1")
    # Then only the claim of now counts
    assert cell.settle("d1", success(first)) == (False,)
    assert cell.settle("d1", success(second)) == (True,)


def test_a_retry_can_wait_for_its_turn(cell: Cell) -> None:
    # Given a failed attempt
    cell.tenant("acme")
    cell.submit("acme", cell.task("a"))
    cell.dispatcher("d1")
    (a,) = cell.take("d1")
    # When it is to be tried again in two seconds
    cell.settle("d1", retry(a, after_ms=2000))
    entry = cell.entry("a")
    assert entry is not None
    assert (cell.letter("a"), entry.retrying) == ("D", True)
    assert cell.status("acme").depth == 1
    # Then it is not there before, and there afterwards
    cell.pass_time(1999)
    assert cell.due() == 0
    cell.pass_time(1)
    assert cell.due() == 1
    (again,) = cell.take("d1")
    assert again.record.attempt == 2


def test_a_task_that_started_in_time_is_not_expired_when_it_is_tried_again(cell: Cell) -> None:
    # Given a task that is to start within a second, and did
    cell.tenant("acme")
    cell.submit("acme", cell.task("a", start_by="+1000"))
    cell.dispatcher("d1")
    (a,) = cell.take("d1")
    # When it failed and waits for another attempt
    cell.settle("d1", retry(a))
    cell.pass_time(2000)
    cell.due()
    # Then its time to start by is over and done with
    assert ids(cell.take("d1")) == ["a"]


def test_a_deadline_goes_on_for_every_attempt(cell: Cell) -> None:
    cell.tenant("acme")
    cell.submit("acme", cell.task("a", deadline="+3000"))
    cell.dispatcher("d1")
    (a,) = cell.take("d1")
    cell.settle("d1", retry(a, after_ms=5000))
    cell.pass_time(3000)
    assert cell.due() == 1
    assert cell.publish_all("d1")["a"].startswith(b"!X acme ")


def test_a_failure_can_be_kept_as_a_dead_letter(cell: Cell) -> None:
    cell.tenant("acme")
    cell.submit("acme", cell.task("a", payload=b"body"))
    cell.dispatcher("d1")
    (a,) = cell.take("d1")
    cell.settle("d1", failure(a, bury=True))
    assert cell.run(cell.look.dead_letters(0, -1)) == (("a", cell.now),)
    record = cell.run(cell.look.dead_letter("a"))
    assert record is not None
    assert record.body.payload == b"body"


def test_virtual_time_is_trued_up(cell: Cell) -> None:
    # Given an estimate of 100 ms
    cell.tenant("acme", weight=2)
    cell.submit("acme", count=2)
    cell.dispatcher("d1")
    a, b = cell.take("d1", 2)
    assert cell.status("acme").virtual_time == 100
    # When one took 300 and the other was handed back
    cell.settle("d1", success(a, actual_ms=300), back(b))
    # Then the tenant paid for 300, by its weight
    assert cell.status("acme").virtual_time == 150


def test_what_is_on_hold_waits_for_a_person(cell: Cell) -> None:
    # Given an attempt whose end nobody knows
    cell.tenant("acme")
    cell.submit("acme", cell.task("a"))
    cell.dispatcher("d1")
    (a,) = cell.take("d1")
    cell.settle("d1", hold(a, why=b"the instance is gone"))
    assert cell.letter("a") == "H"
    assert cell.run(cell.look.evidence("a")) == "the instance is gone"
    assert cell.take("d1") == ()
    # When a person says: again
    assert cell.run(cell.queue.resolve(task_id="a", verdict="retry")) == "ok"
    # Then it runs as another attempt
    (again,) = cell.take("d1")
    assert again.record.attempt == 2
    assert cell.run(cell.look.evidence("a")) == ""
    assert cell.run(cell.queue.resolve(task_id="a", verdict="retry")) == "C"


@pytest.mark.parametrize(("verdict", "letter"), [("fail", b"F"), ("succeed", b"S")])
def test_a_person_can_say_how_a_hold_ended(cell: Cell, verdict: str, letter: bytes) -> None:
    cell.tenant("acme")
    cell.submit("acme", cell.task("a", start_by="+9000"))
    cell.dispatcher("d1")
    (a,) = cell.take("d1")
    cell.settle("d1", hold(a))
    assert cell.run(cell.queue.resolve(task_id="a", verdict=verdict, note="42")) == "ok"
    entry = cell.publish_all("d1")["a"]
    assert entry.split(b" ", 3) == [b"!" + letter, b"acme", str(cell.now).encode(), b"42"]
    assert cell.status("acme").depth == 0
    assert cell.run(cell.queue.resolve(task_id="a", verdict=verdict)) == "unknown"
    # And nothing of it stays due
    assert cell.server("EXISTS", cell.key("due")) == 0


def test_a_hold_that_nobody_resolves_ends(cell: Cell) -> None:
    cell.tenant("acme")
    cell.submit("acme", cell.task("a"))
    cell.dispatcher("d1")
    (a,) = cell.take("d1")
    cell.settle("d1", hold(a, after_ms=60_000))
    cell.pass_time(60_000)
    assert cell.due() == 1
    assert cell.publish_all("d1")["a"].startswith(b"!F acme ")
    assert cell.status("acme").failed == 1
    assert cell.run(cell.look.waiting()).get(ANY_CLASS) is None
