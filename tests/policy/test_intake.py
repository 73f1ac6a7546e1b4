"""What becomes of a message that could not be enqueued: a table."""

from __future__ import annotations

from itertools import pairwise

import pytest

from godel_tasks.errors import (
    GodelError,
    InvalidTask,
    QueueFull,
    StoreError,
    StoreUnavailable,
    UnknownTenant,
    Unroutable,
)
from godel_tasks.policy.intake import (
    FIRST_PAUSE_S,
    LONGEST_PAUSE_S,
    REFUSING_STORE_PATIENCE_S,
    Refuse,
    Wait,
    after_failure,
)

FULL = QueueFull("acme", depth=5, limit=5, retry_after_s=1.0)


def decide(
    error: GodelError, tries: int = 1, waited_s: float = 0.0, *, crowded: bool = False
) -> Wait | Refuse:
    return after_failure(
        error, tries=tries, waited_s=waited_s, patience_s=15.0, crowded=crowded, jitter=0.5
    )


@pytest.mark.parametrize("error", [UnknownTenant("no"), InvalidTask("no"), Unroutable("no")])
def test_what_would_be_refused_again_is_refused_at_once(error: GodelError):
    assert decide(error) == Refuse("it would be refused again")


def test_a_full_queue_is_waited_for_a_bounded_time():
    assert decide(FULL) == Wait(FIRST_PAUSE_S, "the queue is full")
    assert isinstance(decide(FULL, 6, 10.9), Wait)
    assert decide(FULL, 6, 14.0) == Refuse("the queue was full for 14.0 s")


def test_few_wait_for_room():
    assert decide(FULL, crowded=True) == Refuse("the queue is full, and many wait for room already")


def test_a_store_that_is_away_is_waited_for_however_long_it_takes():
    assert isinstance(decide(StoreUnavailable("away"), 10_000, 1e6, crowded=True), Wait)


def test_a_store_that_refuses_for_ever_does_not_go_round_for_ever():
    assert isinstance(decide(StoreError("out of memory"), 5, 100.0), Wait)
    assert isinstance(decide(StoreError("no"), 90, REFUSING_STORE_PATIENCE_S), Refuse)


def test_pauses_double_up_to_the_longest():
    decisions = [decide(StoreUnavailable("away"), tries) for tries in range(1, 12)]
    pauses = [decision.after_s for decision in decisions if isinstance(decision, Wait)]
    assert len(pauses) == 11
    assert pauses[0] == FIRST_PAUSE_S
    assert all(later == min(2 * sooner, LONGEST_PAUSE_S) for sooner, later in pairwise(pauses))
