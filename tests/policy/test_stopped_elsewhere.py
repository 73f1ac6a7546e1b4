"""An attempt that somebody stopped at its instance, without Godel."""

from __future__ import annotations

from godel_tasks.domain.attempt import Completion, End
from godel_tasks.domain.task import OnUncertain
from godel_tasks.policy.retry import CancelCause, Decision, Next, RetryRules, decide


def _decide(cause: CancelCause, *, attempt: int = 1) -> Decision:
    return decide(
        Completion("t", attempt, "gw-1", End.CANCELLED, error_type="Cancelled"),
        max_attempts=2,
        on_uncertain=OnUncertain.RETRY,
        cancel_cause=cause,
        past_deadline=False,
        rules=RetryRules(),
        jitter=0.0,
    )


def test_it_is_tried_again_and_said_to_be_what_it_was() -> None:
    decision = _decide(CancelCause.NONE)
    assert decision.next is Next.RETRY
    assert "stopped on its instance by somebody else" in decision.reason
    last = _decide(CancelCause.NONE, attempt=2)
    assert last.next is Next.BURY
    assert "stopped on its instance" in last.reason


def test_our_own_stops_are_told_apart() -> None:
    assert "ran out of time" in _decide(CancelCause.TIMEOUT).reason
    assert _decide(CancelCause.PERSON).next is Next.CANCEL
