"""Verdict: from the end of an attempt to what settle is told. No I/O."""

from __future__ import annotations

import random

import msgspec

from godel_tasks.dispatch.config import DispatchConfig
from godel_tasks.dispatch.flights import Flight
from godel_tasks.dispatch.outcome import Outcome, encode_outcome
from godel_tasks.domain.attempt import Completion, End
from godel_tasks.domain.task import OnUncertain
from godel_tasks.policy.retry import CancelCause, Decision, Next, decide
from godel_tasks.store.queue import Settlement, Verb

_ERROR_OF_END = {
    End.TIMED_OUT: "TaskTimedOut",
    End.CANCELLED: "TaskTimedOut",
    End.LOST: "AttemptUncertain",
}


def judge(
    flight: Flight,
    completion: Completion,
    config: DispatchConfig,
    rng: random.Random,
    *,
    redis_now_ms: float,
    tenant_on_uncertain: str,
) -> Decision:
    """What happens to the flight's task."""
    record = flight.held.record
    choice = record.body.on_uncertain or tenant_on_uncertain
    # Its instance counts by a clock of its own, and may be done a few ms before our estimate of
    # Redis's: what ran until its deadline has no time left for another attempt.
    ran_out = completion.end is End.TIMED_OUT and flight.till_deadline
    return decide(
        completion,
        max_attempts=record.body.max_attempts,
        on_uncertain=OnUncertain(choice) if choice else config.on_uncertain,
        cancel_cause=flight.cancel_cause,
        past_deadline=ran_out or 0 < record.deadline_ms <= redis_now_ms,
        rules=config.retry,
        jitter=rng.random(),
    )


def settlement_of(
    flight: Flight, completion: Completion, decision: Decision, *, at_ms: int, hold_for_ms: int
) -> tuple[Settlement, Outcome | None]:
    """What settle is told, and the outcome to publish when the task ends here."""
    if completion.usage is not None:
        completion = msgspec.structs.replace(completion, usage=completion.usage.credible())
    held = flight.held
    record = held.record
    letter = {Next.SUCCEED: "S", Next.BURY: "F", Next.FAIL: "F", Next.CANCEL: "K"}.get(
        decision.next
    )
    if letter is not None:
        outcome = _outcome(flight, completion, decision, letter, at_ms)
        return (
            Settlement(
                record.task_id,
                held.epoch,
                Verb.TERMINAL,
                held.estimate_ms,
                completion.run_ms,
                letter=letter,
                bury=decision.next is Next.BURY,
                data=encode_outcome(outcome),
                usage=completion.usage,
            ),
            outcome,
        )
    if decision.next is Next.RETRY:
        verb, after_ms, data = Verb.RETRY, int(decision.after_s * 1000), b""
    elif decision.next is Next.HOLD:
        evidence = f"attempt {record.attempt} on {held.instance_id}: {decision.reason}"
        verb, after_ms, data = Verb.HOLD, hold_for_ms, evidence.encode()
    else:
        verb, after_ms, data = Verb.BACK, 0, b""
    return (
        Settlement(
            record.task_id,
            held.epoch,
            verb,
            held.estimate_ms,
            completion.run_ms,
            after_ms=after_ms,
            data=data,
            usage=completion.usage,
        ),
        None,
    )


def _stopped_elsewhere(flight: Flight, completion: Completion) -> bool:
    """Cancelled, and not by us: its own words say more than that its time was up."""
    return completion.end is End.CANCELLED and flight.cancel_cause is CancelCause.NONE


def _outcome(
    flight: Flight, completion: Completion, decision: Decision, letter: str, at_ms: int
) -> Outcome:
    record = flight.held.record
    if letter == "S":
        return Outcome(
            letter,
            record.tenant_id,
            at_ms,
            flight.held.instance_id,
            record.attempt,
            completion.run_ms,
            completion.result,
            ignore_result=record.body.ignore_result,
            correlation_id=record.body.correlation_id,
            followed=record.body.followed,
            usage=completion.usage,
            routed=flight.held.routed,
            session_note=flight.session_note,
        )
    error_type, module = completion.error_type, completion.error_module
    message = completion.error_message or decision.reason
    if letter == "K":
        by = flight.cancel_by if flight.cancel_cause is CancelCause.PERSON else ""
        message = f"cancelled by {by or 'somebody'} while it ran"
    elif completion.end in _ERROR_OF_END and not _stopped_elsewhere(flight, completion):
        error_type, module = _ERROR_OF_END[completion.end], "godel_tasks.errors"
        message = (
            f"{decision.reason}"
            if not completion.error_message
            else (f"{decision.reason}: {completion.error_message}")
        )
    return Outcome(
        letter,
        record.tenant_id,
        at_ms,
        flight.held.instance_id,
        record.attempt,
        completion.run_ms,
        error_type=error_type or "TaskFailed",
        error_module=module if error_type else "godel_tasks.errors",
        error_message=message,
        traceback=completion.traceback,
        ignore_result=record.body.ignore_result,
        correlation_id=record.body.correlation_id,
        followed=record.body.followed,
        usage=completion.usage,
        routed=flight.held.routed,
        session_note=flight.session_note,
    )
