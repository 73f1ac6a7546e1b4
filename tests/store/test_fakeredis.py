"""Users' own offline tests submit into fakeredis: submit and put_tenant run there."""

from __future__ import annotations

import fakeredis
import pytest

from godel_tasks.store.executor import SyncExecutor
from godel_tasks.store.queue import Admission
from tests.cell import ANY_CLASS, Cell


@pytest.fixture
def offline() -> Cell:
    return Cell(SyncExecutor(fakeredis.FakeRedis()))


def test_submit_runs_offline(offline: Cell) -> None:
    # Given a tenant with little room
    offline.tenant("acme", max_queue=4)
    # When tasks of every kind come
    reply = offline.submit(
        "acme",
        offline.task("a", digest="x"),
        offline.task("a", digest="x"),
        offline.task("a", digest="y"),
        offline.task("later", eta="+5000"),
        offline.task("high", level=0, need="gpu", spec='{"region":"eu"}'),
        offline.task("soon", start_by="+5000"),
        offline.task("over"),
        check_settled=True,
    )
    # Then each is answered as on a server
    assert reply.admissions == tuple(map(Admission, "qecqqqf"))
    assert (reply.depth, reply.limit) == (4, 4)
    assert offline.run(offline.look.waiting()) == {ANY_CLASS: 2, "shared.gpu": 1}
    assert offline.letter("later") == "D"
    assert not offline.submit("nobody", count=1).known


def test_a_waiting_task_can_be_cancelled_offline(offline: Cell) -> None:
    offline.tenant("acme")
    offline.submit("acme", offline.task("a"))
    assert offline.cancel("a").outcome == "cancelled"
    assert offline.status("acme").depth == 0
