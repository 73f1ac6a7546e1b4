"""submit: what is admitted, what is refused, and that nothing is half-written."""

from __future__ import annotations

import pytest

from godel_tasks.domain.task import TaskState
from godel_tasks.store.queue import Admission
from tests.cell import ANY_CLASS, Cell, ids

Q, E, C, F, P = (
    Admission.QUEUED,
    Admission.EXISTS,
    Admission.CONFLICT,
    Admission.FULL,
    Admission.PAST,
)


def test_tasks_wait_in_the_order_in_which_they_came(cell: Cell) -> None:
    # Given a tenant
    cell.tenant("acme")
    # When three tasks come in one call and one in another
    first = cell.submit("acme", cell.task("a"), cell.task("b"), cell.task("c"))
    second = cell.submit("acme", cell.task("d"))
    # Then they are counted
    assert first.admissions == (Q, Q, Q)
    assert (first.depth, second.depth, second.limit) == (3, 4, 1000)
    assert cell.run(cell.look.waiting()) == {ANY_CLASS: 4}
    # And lie in one lane, in order
    lane = cell.run(cell.look.lane("acme", ANY_CLASS, 2, 0, -1))
    assert [(r.task_id, r.sequence, r.attempt) for r in lane] == [
        ("a", 1, 1),
        ("b", 2, 1),
        ("c", 3, 1),
        ("d", 4, 1),
    ]


def test_an_unknown_tenant_is_told_and_nothing_is_written(cell: Cell) -> None:
    assert not cell.submit("nobody", count=1).known
    assert list(cell.all_keys()) == []


def test_a_full_queue_refuses_what_is_over_the_limit(cell: Cell) -> None:
    # Given room for two
    cell.tenant("acme", max_queue=2)
    # When three come, one of them delayed
    reply = cell.submit("acme", cell.task("a", eta="+5000"), cell.task("b"), cell.task("c"))
    # Then the third is refused, and the reply says depth and limit
    assert reply.admissions == (Q, Q, F)
    assert (reply.depth, reply.limit) == (2, 2)
    assert cell.entry("c") is None
    # And a claimed task makes room, a delayed one does not
    cell.dispatcher("d1")
    cell.take("d1", 2)
    assert cell.submit("acme", cell.task("d"), cell.task("e")).admissions == (Q, F)


def test_the_same_id_and_body_is_the_same_task(cell: Cell) -> None:
    cell.tenant("acme")
    cell.tenant("other")
    one = cell.task("one", digest="abc")
    # When it comes twice in a batch, then again, with another body, and from another tenant
    assert cell.submit("acme", one, one).admissions == (Q, E)
    assert cell.submit("acme", one).admissions == (E,)
    assert cell.submit("acme", cell.task("one", digest="xyz")).admissions == (C,)
    assert cell.submit("other", one).admissions == (C,)
    # Then it waits once
    assert cell.status("acme").depth == 1
    assert cell.status("other").depth == 0


def test_a_settled_id_is_remembered(cell: Cell) -> None:
    # Given a task with its caller's own id that is settled
    cell.tenant("acme")
    cell.dispatcher("d1")
    one = cell.task("one", digest="abc")
    cell.submit("acme", one)
    cell.succeed("d1", *cell.take("d1"))
    # Then it does not run again for a day
    for hours in (0, 1, 22):
        cell.pass_time(hours * 3_600_000)
        assert cell.submit("acme", one, check_settled=True).admissions == (E,)
        other = cell.task("one", digest="xyz")
        assert cell.submit("acme", other, check_settled=True).admissions == (C,)


def test_an_id_that_godel_made_is_remembered_for_ten_minutes(cell: Cell) -> None:
    cell.tenant("acme")
    cell.dispatcher("d1")
    one = cell.task("one")
    cell.submit("acme", one)
    cell.succeed("d1", *cell.take("d1"))
    cell.pass_time(599_000)
    assert cell.submit("acme", one, check_settled=True).admissions == (E,)


@pytest.mark.parametrize("moment", ["+0", "1000"])
def test_a_task_whose_time_is_past_is_refused(cell: Cell, moment: str) -> None:
    cell.tenant("acme")
    assert cell.submit("acme", cell.task(start_by=moment)).admissions == (P,)
    assert cell.submit("acme", cell.task(deadline=moment)).admissions == (P,)
    assert cell.status("acme").depth == 0


def test_each_requirement_has_its_class(cell: Cell) -> None:
    # Given tasks of two requirements
    cell.tenant("acme")
    cell.submit("acme", cell.task("a"), cell.task("b", need="beef", spec='{"region":"eu"}'))
    # Then dispatchers learn both, and what waits in each
    assert cell.run(cell.leases.classes()) == {
        "shared.0": "shared\n",
        "shared.beef": 'shared\n{"region":"eu"}',
    }
    assert cell.run(cell.look.waiting()) == {"shared.0": 1, "shared.beef": 1}
    # And each goes with its last live task
    cell.dispatcher("d1")
    cell.succeed("d1", *cell.take("d1", classes=["shared.beef"]))
    assert cell.run(cell.leases.classes()).keys() == {"shared.0"}


def test_a_delayed_task_waits_outside_the_lanes(cell: Cell) -> None:
    cell.tenant("acme")
    cell.dispatcher("d1")
    cell.submit("acme", cell.task("later", eta="+5000"))
    entry = cell.entry("later")
    assert entry is not None
    assert entry.state is TaskState.DELAYED
    assert cell.take("d1") == ()
    # When its time comes
    cell.pass_time(5000)
    assert cell.due() == 1
    # Then it waits as any other
    assert ids(cell.take("d1")) == ["later"]


def test_thousands_in_one_call_are_one_batch(cell: Cell) -> None:
    # More than Lua's unpack can carry in one command
    cell.tenant("acme", max_queue=5000)
    reply = cell.submit("acme", count=2500)
    assert set(reply.admissions) == {Q}
    assert cell.status("acme").depth == 2500
    cell.dispatcher("d1")
    assert len(cell.take("d1", 2500)) == 2500
    assert cell.status("acme").in_flight == 2500
