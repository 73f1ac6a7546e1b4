"""Task: one piece of work of one tenant. Frozen values, no I/O."""

from __future__ import annotations

from enum import IntEnum, StrEnum
from typing import Any

import msgspec


class Level(IntEnum):
    """Priority levels of a tenant's tasks; the lower number goes first."""

    CRITICAL = 0
    HIGH = 1
    NORMAL = 2
    LOW = 3

    @classmethod
    def names(cls) -> tuple[str, ...]:
        return tuple(level.name.lower() for level in cls)


#: Celery's integer priority 0..9 on Redis (0 is the highest) to a level. The bounds are kombu's
#: default `priority_steps` [0, 3, 6, 9].
CELERY_PRIORITY_STEPS = (0, 3, 6, 9)


def level_of_celery_priority(priority: int) -> Level:
    """The level of a Celery priority 0..9 (0 highest): 0-2, 3-5, 6-8, 9."""
    return Level(min(priority // 3, 3))


class OnUncertain(StrEnum):
    """What happens when an attempt may have run to an unknown end."""

    RETRY = "retry"
    HOLD = "hold"
    FAIL = "fail"


class TaskState(StrEnum):
    """Where a task is. UNROUTABLE is a condition of a waiting task, not a state."""

    WAITING = "WAITING"
    DELAYED = "DELAYED"
    CLAIMED = "CLAIMED"
    RUNNING = "RUNNING"
    ON_HOLD = "ON_HOLD"
    SUCCEEDED = "SUCCEEDED"
    FAILED = "FAILED"
    EXPIRED = "EXPIRED"
    CANCELLED = "CANCELLED"

    @property
    def is_terminal(self) -> bool:
        return self in TERMINAL_STATES


TERMINAL_STATES = frozenset(
    {TaskState.SUCCEEDED, TaskState.FAILED, TaskState.EXPIRED, TaskState.CANCELLED}
)

#: One letter per state, as the index hash stores it.
STATE_LETTERS = {
    TaskState.WAITING: "W",
    TaskState.DELAYED: "D",
    TaskState.CLAIMED: "C",
    TaskState.RUNNING: "R",
    TaskState.ON_HOLD: "H",
    TaskState.SUCCEEDED: "S",
    TaskState.FAILED: "F",
    TaskState.EXPIRED: "X",
    TaskState.CANCELLED: "K",
}
STATE_OF_LETTER = {letter: state for state, letter in STATE_LETTERS.items()}

#: Every allowed move. Code and property tests use this table; the picture in
#: docs/reference/states.md is checked against it.
TRANSITIONS: dict[TaskState, frozenset[TaskState]] = {
    TaskState.WAITING: frozenset(
        {TaskState.CLAIMED, TaskState.EXPIRED, TaskState.CANCELLED, TaskState.FAILED}
    ),
    TaskState.DELAYED: frozenset(
        {TaskState.WAITING, TaskState.EXPIRED, TaskState.CANCELLED, TaskState.FAILED}
    ),
    TaskState.CLAIMED: frozenset(
        {
            TaskState.RUNNING,
            TaskState.WAITING,
            TaskState.DELAYED,
            TaskState.ON_HOLD,
            *TERMINAL_STATES,
        }
    ),
    TaskState.RUNNING: frozenset(
        {TaskState.WAITING, TaskState.DELAYED, TaskState.ON_HOLD, *TERMINAL_STATES}
    ),
    TaskState.ON_HOLD: frozenset(
        {TaskState.WAITING, TaskState.SUCCEEDED, TaskState.FAILED, TaskState.CANCELLED}
    ),
    **{state: frozenset() for state in TERMINAL_STATES},
}


class TaskBody(msgspec.Struct, frozen=True, array_like=True, omit_defaults=False):
    """What scripts never look into: the opaque part of a record (MessagePack)."""

    payload: bytes
    #: "json" (payload is UTF-8 JSON text) or "bytes".
    encoding: str = "json"
    #: Longest time of one attempt; 0 means the deployment's default.
    timeout_ms: int = 0
    #: 0 means the deployment's default.
    max_attempts: int = 0
    #: "" means the tenant's choice.
    on_uncertain: str = ""
    session_id: str = ""
    correlation_id: str = ""
    headers: dict[str, Any] = {}
    #: Celery's own options that travel with the task (root_id, parent_id, group_id, ...).
    celery: dict[str, Any] = {}
    ignore_result: bool = False
    #: Something follows its end: the cell's `canvas` says what.
    followed: bool = False


_body_encoder = msgspec.msgpack.Encoder()
_body_decoder = msgspec.msgpack.Decoder(TaskBody)


def encode_body(body: TaskBody) -> bytes:
    return _body_encoder.encode(body)


def decode_body(data: bytes) -> TaskBody:
    return _body_decoder.decode(data)


class NewTask(msgspec.Struct, frozen=True, gc=False):
    """A task as submit sends it. A moment is "0" (none), "+ms" from now on Redis's clock, or ms
    since the epoch. `body_digest` is "-" for ids that Godel made; `canvas` says what follows the
    task's end (empty: nothing); `session` is "id affinity ttl_ms" (empty: it has none)."""

    task_id: str
    level: int
    spec_digest: str
    spec: str
    body: bytes
    start_by: str = "0"
    eta: str = "0"
    deadline: str = "0"
    body_digest: str = "-"
    canvas: bytes = b""
    session: str = ""
