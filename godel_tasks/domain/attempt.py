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
    #: It may have been sent before (by this dispatcher or by one that died): an instance that
    #: cannot tell a repeat by its key is asked what became of it before anything is started.
    may_have_run: bool = False

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


class Fault(StrEnum):
    """Whose fault an end was, where the driver can tell: what a breaker counts it against."""

    NONE = ""
    TASK = "task"
    INSTANCE = "instance"
    PROVIDER = "provider"


#: Costs are added up in 10^-9 dollars: a sum of floats would depend on its order.
NANOS = 1_000_000_000
#: More than one attempt can use: tokens of a kind, and dollars. 500 of them still add up exactly in
#: the doubles of a Lua script.
MOST_TOKENS = 10**12
MOST_USD = 10_000.0


class Usage(msgspec.Struct, frozen=True, array_like=True):
    """What one attempt used of a model, as the instance counts it. `cost_usd` is by the prices that
    the instance is configured with."""

    input_tokens: int = 0
    output_tokens: int = 0
    cache_read_tokens: int = 0
    cache_write_tokens: int = 0
    cost_usd: float = 0.0
    model: str = ""
    provider: str = ""

    @property
    def tokens(self) -> int:
        """All of them."""
        return (
            self.input_tokens
            + self.output_tokens
            + self.cache_read_tokens
            + self.cache_write_tokens
        )

    def credible(self) -> Usage:
        """With 0 for what cannot be (below 0, not a number, beyond all bounds): a wrong number of
        one instance must not keep others' attempts from being settled."""
        return Usage(
            _tokens(self.input_tokens),
            _tokens(self.output_tokens),
            _tokens(self.cache_read_tokens),
            _tokens(self.cache_write_tokens),
            float(self.cost_usd) if 0 <= self.cost_usd <= MOST_USD else 0.0,
            self.model,
            self.provider,
        )


def _tokens(count: int) -> int:
    return int(count) if 0 <= count <= MOST_TOKENS else 0


class Progress(msgspec.Struct, frozen=True):
    """What an attempt has said so far. `text` is all of it, not what was added."""

    task_id: str
    attempt: int
    instance_id: str
    text: str


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
    #: What it used, however it ended; None where the instance does not say.
    usage: Usage | None = None
    fault: Fault = Fault.NONE

    @property
    def key(self) -> str:
        return f"{self.task_id}:{self.attempt}"
