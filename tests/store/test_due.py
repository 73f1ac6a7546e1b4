"""due, bury_class: what time does to tasks that nobody claims."""

from __future__ import annotations

from tests.cell import ANY_CLASS, Cell, ids


def test_due_says_when_the_next_is(cell: Cell) -> None:
    cell.tenant("acme")
    cell.submit("acme", cell.task("a", eta="+1000"), cell.task("b", eta="+5000"))
    cell.pass_time(1000)
    assert cell.run(cell.queue.due()) == (1, cell.now + 4000)
    cell.pass_time(4000)
    assert cell.run(cell.queue.due()) == (1, None)


def test_due_handles_a_bounded_number(cell: Cell) -> None:
    cell.tenant("acme")
    cell.submit("acme", *(cell.task(eta="+1000") for _ in range(10)))
    cell.pass_time(1000)
    assert [cell.run(cell.queue.due(limit=4))[0] for _ in range(4)] == [4, 4, 2, 0]


def test_promoted_tasks_keep_the_order_of_their_times(cell: Cell) -> None:
    cell.tenant("acme")
    cell.submit("acme", cell.task("late", eta="+2000"), cell.task("early", eta="+1000"))
    cell.pass_time(3000)
    cell.due()
    cell.dispatcher("d1")
    assert ids(cell.take("d1", 2)) == ["early", "late"]


def test_a_waiting_task_expires_though_nobody_claims(cell: Cell) -> None:
    cell.tenant("acme")
    cell.submit("acme", cell.task("a", start_by="+1000"), cell.task("b"))
    cell.pass_time(1000)
    assert cell.due() == 1
    status = cell.status("acme")
    assert (status.depth, status.expired) == (1, 1)
    assert cell.run(cell.look.waiting()) == {ANY_CLASS: 1}
    cell.dispatcher("d1")
    assert list(cell.publish_all("d1")) == ["a"]
    assert ids(cell.take("d1", 2)) == ["b"]


def test_a_delayed_task_can_expire_before_its_time_comes(cell: Cell) -> None:
    cell.tenant("acme")
    cell.submit("acme", cell.task("a", eta="+5000", start_by="+1000"))
    cell.pass_time(1000)
    assert cell.due() == 1
    assert cell.status("acme").expired == 1
    assert not cell.server("EXISTS", cell.key("due"), cell.key("parked"))


def test_the_time_of_a_claimed_task_is_not_over_while_it_runs(cell: Cell) -> None:
    cell.tenant("acme")
    cell.submit("acme", cell.task("a", start_by="+1000"))
    cell.dispatcher("d1")
    taken = cell.take("d1")
    cell.pass_time(1000)
    cell.due()
    assert cell.succeed("d1", *taken) == (True,)


def test_a_class_that_nobody_can_run_is_buried_task_by_task(cell: Cell) -> None:
    # Given tasks of a class that is marked unroutable, some of them new
    cell.tenant("acme")
    cell.submit("acme", cell.task("old", need="gpu"), cell.task("high", need="gpu", level=0))
    cell.run(cell.leases.mark_unroutable(class_id="shared.gpu", now_ms=cell.now))
    cell.pass_time(500)
    cell.submit("acme", cell.task("new", need="gpu"), cell.task("other"))

    def bury() -> int:
        return cell.run(
            cell.queue.bury_class(class_id="shared.gpu", limit_ms=1000, why="nobody can")
        )

    # When the limit is not over, nothing happens
    assert bury() == 0
    # When it is, what waited that long fails, and is kept
    cell.pass_time(500)
    assert bury() == 2
    assert {i for i, _ in cell.run(cell.look.dead_letters(0, -1))} == {"old", "high"}
    status = cell.status("acme")
    assert (status.depth, status.failed) == (2, 2)
    # And the rest waits on
    assert cell.run(cell.look.waiting()) == {"shared.gpu": 1, ANY_CLASS: 1}
    cell.dispatcher("d1")
    assert cell.publish_all("d1")["old"].endswith(b" nobody can")
    cell.pass_time(500)
    assert bury() == 1
    assert ids(cell.take("d1", 5)) == ["other"]


def test_a_class_that_is_not_marked_is_not_buried(cell: Cell) -> None:
    cell.tenant("acme")
    cell.submit("acme", count=1)
    cell.pass_time(10_000)
    buried = cell.run(cell.queue.bury_class(class_id=ANY_CLASS, limit_ms=1000, why="nobody"))
    assert buried == 0


def test_tombstones_and_expired_tasks_do_not_stop_a_burial(cell: Cell) -> None:
    cell.tenant("acme")
    cell.submit("acme", cell.task("a", need="gpu"), cell.task("b", need="gpu", start_by="+100"))
    cell.submit("acme", cell.task("c", need="gpu"))
    cell.cancel("a")
    cell.run(cell.leases.mark_unroutable(class_id="shared.gpu", now_ms=cell.now))
    cell.pass_time(2000)
    cell.run(cell.queue.bury_class(class_id="shared.gpu", limit_ms=1000, why="nobody"))
    status = cell.status("acme")
    assert (status.cancelled, status.expired, status.failed, status.depth) == (1, 1, 1, 0)
    assert cell.run(cell.look.waiting()) == {}
    cell.dispatcher("d1")
    assert cell.publish_all("d1").keys() == {"a", "b", "c"}
