"""Sending: messages to ordinary tasks that follow, once each for as long as this process tries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from kombu.exceptions import OperationalError
from redis.exceptions import BusyLoadingError
from redis.exceptions import ConnectionError as RedisConnectionError
from redis.exceptions import TimeoutError as RedisTimeoutError

from godel_tasks.errors import QueueFull, StoreUnavailable

#: What may be over when the same is tried later: nobody answers, or there is no room.
PASSING = (
    OperationalError, RedisConnectionError, RedisTimeoutError, BusyLoadingError,
    StoreUnavailable, QueueFull,
)  # fmt: skip

_sent: ContextVar[set[str] | None] = ContextVar("godel_sent", default=None)


class TryLater(BaseException):
    """Something in `PASSING` stands in the way. No `Exception`: Celery would take one for the end
    of a chord."""


@contextmanager
def sending_once(sent: set[str]) -> Iterator[None]:
    """Within, a message whose task is in `sent` is not sent again, and those sent are added."""
    token = _sent.set(sent)
    try:
        yield
    finally:
        _sent.reset(token)


def was_sent(task_id: str | None) -> bool:
    """Whether a message with this id was sent before; remembers it."""
    sent = _sent.get()
    return sent is not None and task_id is not None and task_id in sent


def remember_sent(task_id: str | None) -> None:
    """It is in the broker's hands."""
    sent = _sent.get()
    if sent is not None and task_id is not None:
        sent.add(task_id)
