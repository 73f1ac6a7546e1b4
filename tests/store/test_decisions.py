"""Decisions: which one stands for a claim."""

from __future__ import annotations

from godel_tasks.domain.routing import Routed, Scored
from godel_tasks.store.decisions import DecisionCommands, KeptDecision, decision_of
from tests.cell import Cell

BEST = (Scored("gw-1", 0, 0.25, "load 0.25", 6),)


def routed(class_id: str = "shared.0", reason: str = "") -> Routed:
    return Routed(class_id, "least-loaded", reason, {"gw-1": 2}, BEST, 1, (), 0)


def kept(at_ms: int, first: int, last: int, dispatcher: str = "d1", **of: str) -> KeptDecision:
    return KeptDecision(at_ms, dispatcher, first, last, routed(**of))


def chosen(decisions: tuple[KeptDecision, ...], batch: int, claimed_ms: int = 1000) -> int | None:
    found = decision_of(
        decisions, dispatcher="d1", batch=batch, class_id="shared.0", claimed_ms=claimed_ms
    )
    return found.at_ms if found else None


def test_the_decision_of_its_batch_stands_for_a_claim() -> None:
    decisions = (
        kept(900, 1, 4), kept(910, 1, 9, "d2"), kept(920, 1, 9, class_id="gold.0"), kept(1100, 7, 9)
    )  # fmt: skip
    assert chosen(decisions, 3) == 900
    assert chosen(decisions, 8) == 1100
    # Between two of them, the one before
    assert chosen(decisions, 5) == 900
    assert chosen((), 5) is None


def test_of_a_task_that_was_taken_over_the_nearest_in_time_stands() -> None:
    decisions = (kept(900, 1, 4), kept(1100, 7, 9))
    assert chosen(decisions, 0, claimed_ms=1050) == 1100
    assert chosen(decisions, 0, claimed_ms=950) == 900


def test_decisions_are_read_back_by_the_time_of_the_claim(cell: Cell) -> None:
    # Given two decisions in the same millisecond, and one a minute later
    commands = DecisionCommands(0, lambda: cell.now)
    for batch in (1, 2):
        cell.run(
            commands.put(dispatcher="d1", first_batch=batch, last_batch=batch, routed=routed())
        )
    cell.now += 60_000
    cell.run(commands.put(dispatcher="d1", first_batch=3, last_batch=5, routed=routed()))
    # Then those around a moment are found, in order
    near = cell.run(commands.near(claimed_ms=cell.now - 60_000))
    assert [(d.first_batch, d.at_ms) for d in near] == [
        (1, cell.now - 60_000),
        (2, cell.now - 60_000),
    ]
    assert near[0].routed == routed()
    # And a clock that went back loses none
    cell.now -= 120_000
    cell.run(commands.put(dispatcher="d2", first_batch=1, last_batch=1, routed=routed()))
    assert len(cell.run(commands.near(claimed_ms=cell.now + 120_000))) == 2
