"""Ends: what the end of a turn means. One pure function for each way that the end is heard of.

| kind | whose fault | end | another attempt | costs one | may have run |
|---|---|---|---|---|---|
| ok | nobody's | OK | | yes | |
| cancelled | nobody's | CANCELLED | | yes | |
| timed_out | the task's | TIMED_OUT | yes | yes | |
| bad_request | the task's | FAILED | no | yes | no |
| model_rejected (400) | the task's | FAILED | no | yes | |
| model_not_found (404) | the instance's | FAILED | yes | yes | |
| model_auth (401, 403) | the provider's | FAILED | yes | yes | |
| model_rate_limited (429) | the provider's | FAILED | yes | yes | |
| model_unavailable (5xx, refused) | the provider's | FAILED | yes | yes | |
| model_failed (anything else) | the provider's | FAILED | yes | yes | |
| session_busy | the instance's | FAILED | yes | yes: its key is used up | no |
| draining, starting | the instance's | REJECTED | yes | no | no |
| forbidden | the instance's | REJECTED | yes | no | no |
| interrupted (by a restart) | the instance's | LOST | by on_uncertain | yes | yes |
| unknown | the instance's | LOST | by on_uncertain | yes | yes |
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import StrEnum

from godel_tasks.domain.attempt import End, Fault
from godel_tasks.instances.drivers.openclaw.frames import AgentAnswer, GatewayError, WaitAnswer


class Kind(StrEnum):
    """What happened; the `error_type` of a completion is made of it."""

    OK = "ok"
    CANCELLED = "cancelled"
    TIMED_OUT = "timed_out"
    BAD_REQUEST = "bad_request"
    MODEL_REJECTED = "model_rejected"
    MODEL_NOT_FOUND = "model_not_found"
    MODEL_AUTH = "model_auth"
    MODEL_RATE_LIMITED = "model_rate_limited"
    MODEL_UNAVAILABLE = "model_unavailable"
    MODEL_FAILED = "model_failed"
    SESSION_BUSY = "session_busy"
    DRAINING = "draining"
    STARTING = "starting"
    FORBIDDEN = "forbidden"
    INTERRUPTED = "interrupted"
    UNKNOWN = "unknown"

    @property
    def error_type(self) -> str:
        """As `ModelRejected` for `model_rejected`."""
        return "".join(word.capitalize() for word in self.value.split("_"))


@dataclass(frozen=True, slots=True)
class Judgement:
    """What the end means. `reason` is the gateway's text, or ours where it gave none."""

    kind: Kind
    reason: str = ""

    @property
    def end(self) -> End:
        return _MEANING[self.kind][0]

    @property
    def fault(self) -> Fault:
        return _MEANING[self.kind][1]

    @property
    def retryable(self) -> bool:
        """Whether another attempt may help."""
        return self.kind not in _FINAL

    @property
    def costs_attempt(self) -> bool:
        return self.end is not End.REJECTED

    @property
    def uncertain(self) -> bool:
        """The turn may have run, to an end that nobody knows."""
        return self.end is End.LOST


_MEANING = {
    Kind.OK: (End.OK, Fault.NONE),
    Kind.CANCELLED: (End.CANCELLED, Fault.NONE),
    Kind.TIMED_OUT: (End.TIMED_OUT, Fault.TASK),
    Kind.BAD_REQUEST: (End.FAILED, Fault.TASK),
    Kind.MODEL_REJECTED: (End.FAILED, Fault.TASK),
    Kind.MODEL_NOT_FOUND: (End.FAILED, Fault.INSTANCE),
    Kind.MODEL_AUTH: (End.FAILED, Fault.PROVIDER),
    Kind.MODEL_RATE_LIMITED: (End.FAILED, Fault.PROVIDER),
    Kind.MODEL_UNAVAILABLE: (End.FAILED, Fault.PROVIDER),
    Kind.MODEL_FAILED: (End.FAILED, Fault.PROVIDER),
    Kind.SESSION_BUSY: (End.FAILED, Fault.INSTANCE),
    Kind.DRAINING: (End.REJECTED, Fault.INSTANCE),
    Kind.STARTING: (End.REJECTED, Fault.INSTANCE),
    Kind.FORBIDDEN: (End.REJECTED, Fault.INSTANCE),
    Kind.INTERRUPTED: (End.LOST, Fault.INSTANCE),
    Kind.UNKNOWN: (End.LOST, Fault.INSTANCE),
}
_FINAL = frozenset({Kind.OK, Kind.CANCELLED, Kind.BAD_REQUEST, Kind.MODEL_REJECTED})

#: The gateway's texts, in the order they are looked for: there is no code that tells them apart.
_MODEL_TEXTS = tuple(
    (re.compile(pattern, re.IGNORECASE), kind)
    for pattern, kind in (
        (r"authentication failed|temporarily disabled|HTTP 40[13]\b|API key", Kind.MODEL_AUTH),
        (r"model was not found|HTTP 404\b", Kind.MODEL_NOT_FOUND),
        (r"rejected the request|HTTP 400\b", Kind.MODEL_REJECTED),
        (r"rate.?limit|overloaded|HTTP 429\b|quota", Kind.MODEL_RATE_LIMITED),
        (
            r"connection (refused|error|reset|closed)|(server|internal|network) error|"  # noqa: ISC004
            r"unavailable|stream .*(cut|ended|closed)|terminated|HTTP 5\d\d\b",
            Kind.MODEL_UNAVAILABLE,
        ),
    )
)


def judge_refusal(error: GatewayError) -> Judgement:
    """The first answer to `agent` was an error: the turn did not begin."""
    if error.code == "INVALID_REQUEST":
        return Judgement(Kind.BAD_REQUEST, error.message)
    if error.code in ("FORBIDDEN", "NOT_PAIRED"):
        return Judgement(Kind.FORBIDDEN, error.message)
    if "SESSION_WORK_START_CHANGED" in error.message:
        return Judgement(Kind.SESSION_BUSY, error.message)
    if error.reason.startswith("startup"):
        return Judgement(Kind.STARTING, error.message)
    if error.reason == "gateway-restarting" or error.retryable:
        return Judgement(Kind.DRAINING, error.message)
    return judge_failure(error.message)


def judge_failure(message: str, stopping: End | None = None) -> Judgement:
    """The turn ended with an error after it had begun."""
    if "operation was aborted" in message:
        return _stopped(stopping)
    if "SESSION_WORK_START_CHANGED" in message or "changed while starting work" in message:
        return Judgement(Kind.SESSION_BUSY, message)
    for pattern, kind in _MODEL_TEXTS:
        if pattern.search(message):
            return Judgement(kind, message)
    return Judgement(Kind.MODEL_FAILED, message or "the turn failed")


def judge_final(
    *, ok: bool, answer: AgentAnswer, error: GatewayError | None, stopping: End | None
) -> Judgement:
    """The last answer to `agent`. `stopping` is why we asked for it to stop, if we did."""
    if not ok:
        return judge_failure((error.message if error else "") or answer.summary, stopping)
    return _judge_status(answer, stopping, answer.summary)


def judge_wait(answer: WaitAnswer, *, stopping: End | None) -> Judgement:
    """An answer of `agent.wait` that has `endedAt`: without it the run goes on, or is unknown."""
    error = answer.error
    text = str(error.get("message", "")) if isinstance(error, dict) else str(error or "")
    if answer.status == "error" and answer.stopReason not in ("rpc", "restart"):
        return judge_failure(text, stopping)
    return _judge_status(answer, stopping, text)


def _judge_status(answer: AgentAnswer | WaitAnswer, stopping: End | None, text: str) -> Judgement:
    if answer.status == "ok":
        return Judgement(Kind.OK)
    if answer.stopReason == "restart" or answer.timeoutPhase == "gateway_draining":
        return Judgement(Kind.INTERRUPTED, "the gateway restarted in the middle of the turn")
    if answer.stopReason == "rpc":
        return _stopped(stopping)
    if answer.status == "timeout":
        return Judgement(Kind.TIMED_OUT, f"the gateway stopped it: {text or 'its time was up'}")
    return Judgement(Kind.UNKNOWN, f"the gateway ended it as {answer.status!r}, unknown here")


def _stopped(stopping: End | None) -> Judgement:
    """It was asked to stop, by us or by somebody at the gateway."""
    if stopping is End.TIMED_OUT:
        return Judgement(Kind.TIMED_OUT, "stopped when its time was up")
    return Judgement(Kind.CANCELLED, "cancelled, and the gateway confirmed the stop")
