"""Dead letters: what a person needs to replay them stays as long as they do."""

from __future__ import annotations

from godel_tasks.domain.requirement import Requirement, digest_of, spec_of
from godel_tasks.store.deadletters import DeadLetterCommands
from tests.cell import Cell, failure, ids

SPEC = spec_of(Requirement(region="eu"))
CLASS = f"shared.{digest_of(SPEC)}"


def test_a_dead_letter_keeps_what_it_asked_of_an_instance(cell: Cell) -> None:
    # Given tasks with a requirement that failed for good, so that nobody waits in their class
    cell.tenant("acme")
    cell.submit("acme", *(cell.task(need=digest_of(SPEC), spec=SPEC) for _ in range(3)))
    cell.dispatcher("d1")
    taken = cell.take("d1", 3, classes=[CLASS])
    cell.settle("d1", *(failure(task, bury=True) for task in taken))
    assert cell.run(cell.leases.classes()) == {}
    dead = DeadLetterCommands(0)
    # When some are dropped, one of them twice
    first, second, third = ids(taken)
    assert cell.run(dead.drop([first, second])) == 2
    assert cell.run(dead.drop([first])) == 0
    # Then what the last one asked for is still known, and goes with it
    assert cell.run(dead.requirement(CLASS)) == f"shared\n{SPEC}"
    assert cell.run(dead.drop([third])) == 1
    assert cell.run(dead.requirement(CLASS)) is None
    assert cell.run(cell.look.dead_letters(0, -1)) == ()


def test_what_control_cuts_leaves_nothing_behind(cell: Cell) -> None:
    # Given a class that nobody can run, buried
    cell.tenant("acme")
    cell.submit("acme", cell.task("t", need=digest_of(SPEC), spec=SPEC))
    cell.run(cell.leases.mark_unroutable(class_id=CLASS, now_ms=cell.now))
    cell.pass_time(1000)
    cell.run(cell.queue.bury_class(class_id=CLASS, limit_ms=500, why="no instance"))
    assert cell.run(DeadLetterCommands(0).requirement(CLASS)) == f"shared\n{SPEC}"
    assert cell.run(cell.look.buried_at("t")) == cell.now
    # When control cuts what is past the retention
    assert cell.run(cell.queue.cut_dead_letters(before_ms=cell.now)) == 1
    # Then nothing of it is left
    assert cell.run(DeadLetterCommands(0).requirement(CLASS)) is None
    assert cell.run(cell.look.buried_at("t")) is None
