"""Attempt: one execution of a task on one instance. Frozen values, no I/O.

`attempt` counts executions; `<task_id>:<attempt>` is the idempotency key that the instance sees.
`epoch` counts owners: it fences writes to the cell and is never sent to decide whether to run.
"""

from __future__ import annotations

from enum import StrEnum

import msgspec


class Delivery(msgspec.Struct, frozen=True):
    """One attempt on its way to one instance."""

    task_id: str
    attempt: int
    instance_id: str
    #: Registration of the instance that was chosen; another generation must refuse.
    generation: int
    tenant_id: str
    payload: bytes
    encoding: str = "json"
    #: What is left of the attempt's time, in milliseconds; 0 means no limit.
    timeout_ms: int = 0
    session_id: str = ""
    correlation_id: str = ""
    headers: dict[str, str] = {}

    @property
    def key(self) -> str:
        """The idempotency key, `<task_id>:<attempt>`."""
        return f"{self.task_id}:{self.attempt}"


class End(StrEnum):
    """How an attempt ended."""

    #: The handler returned; `result` holds JSON text.
    OK = "ok"
    #: The handler raised; it ran.
    FAILED = "failed"
    #: The attempt was cancelled, and it has stopped.
    CANCELLED = "cancelled"
    #: The attempt ran out of its time. It has stopped, or it cannot be stopped (a sync handler on
    #: a thread) and holds its slot on the instance until its function returns.
    TIMED_OUT = "timed_out"
    #: The instance did not start it (full, draining, another generation): costs no attempt.
    REJECTED = "rejected"
    #: The instance is gone (or ends now), or does not know: the attempt may have run to any end.
    LOST = "lost"


class Completion(msgspec.Struct, frozen=True):
    """The end of one attempt, as the instance (or the driver, for LOST) reports it.

    For every end but OK `error_type` and `error_message` say why; for REJECTED the type is one of
    `instances.attempts.Refusal`.
    """

    task_id: str
    attempt: int
    instance_id: str
    end: End
    #: JSON text, for OK.
    result: bytes = b""
    error_type: str = ""
    error_module: str = ""
    error_message: str = ""
    traceback: str = ""
    #: How long it ran, by the instance's own monotonic clock.
    run_ms: float = 0.0
    #: For FAILED: whether another attempt may help (the handler can say no).
    retryable: bool = True

    @property
    def key(self) -> str:
        return f"{self.task_id}:{self.attempt}"
