"""What follows from the end of an attempt. Values in, a frozen decision with a reason out."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from godel_tasks.domain.attempt import Completion, End
from godel_tasks.domain.task import OnUncertain


class Next(StrEnum):
    """What happens to the task."""

    SUCCEED = "succeed"
    RETRY = "retry"
    BURY = "bury"
    FAIL = "fail"
    HOLD = "hold"
    HAND_BACK = "hand back"
    CANCEL = "cancel"


class CancelCause(StrEnum):
    """Why a dispatcher asked an instance to stop an attempt."""

    NONE = ""
    PERSON = "person"
    TIMEOUT = "timeout"


@dataclass(frozen=True, slots=True)
class RetryRules:
    """Deployment's rules. Times in seconds."""

    max_attempts: int = 3
    backoff_base_s: float = 0.5
    backoff_max_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Decision:
    """`after_s` is for RETRY: how long to wait first."""

    next: Next
    reason: str
    after_s: float = 0.0


def backoff_s(attempt: int, rules: RetryRules, jitter: float) -> float:
    """Exponential back-off, halved at most by jitter in 0..1 ("equal jitter" of the AWS
    architecture blog, 2015)."""
    ceiling = min(rules.backoff_max_s, rules.backoff_base_s * 2.0 ** (attempt - 1))
    return float(ceiling * (0.5 + 0.5 * jitter))


def decide(
    completion: Completion,
    *,
    max_attempts: int,
    on_uncertain: OnUncertain,
    cancel_cause: CancelCause,
    past_deadline: bool,
    rules: RetryRules,
    jitter: float,
) -> Decision:
    """The next step of a task whose attempt ended so."""
    limit = max_attempts or rules.max_attempts
    attempts_left = completion.attempt < limit
    end = completion.end
    if end is End.OK:
        return Decision(Next.SUCCEED, "the handler returned")
    if end is End.REJECTED:
        if cancel_cause is CancelCause.PERSON:
            return Decision(Next.CANCEL, "cancelled; the instance does not run it")
        return Decision(Next.HAND_BACK, completion.error_message or "the instance did not start it")
    if cancel_cause is CancelCause.PERSON and end is not End.LOST:
        return Decision(Next.CANCEL, "cancelled, and the instance confirmed the stop")
    if past_deadline:
        return Decision(Next.FAIL, "its deadline passed")
    if end is End.LOST:
        if cancel_cause is CancelCause.PERSON:
            return Decision(Next.CANCEL, "cancelled; its instance is gone")
        if on_uncertain is OnUncertain.HOLD:
            return Decision(Next.HOLD, f"the attempt may have run: {completion.error_message}")
        if on_uncertain is OnUncertain.FAIL:
            return Decision(Next.FAIL, f"the attempt may have run: {completion.error_message}")
        if attempts_left:
            return Decision(Next.RETRY, f"the attempt may have run: {completion.error_message}")
        return Decision(Next.BURY, f"{limit} attempts, the last one lost with its instance")
    if end is End.FAILED and not completion.retryable:
        return Decision(Next.BURY, "the handler said that another attempt will not help")
    what = f"raised {completion.error_type}" if end is End.FAILED else "ran out of time"
    if end is End.CANCELLED and cancel_cause is CancelCause.NONE:
        what = "was stopped on its instance by somebody else"
    if not attempts_left:
        return Decision(Next.BURY, f"{limit} attempts, the last one {what}")
    return Decision(
        Next.RETRY,
        f"attempt {completion.attempt} {what}",
        backoff_s(completion.attempt, rules, jitter),
    )
