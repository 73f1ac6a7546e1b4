"""Sending: messages to ordinary tasks that follow, once each for as long as this process tries."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from celery import Celery
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


class SendsOnce(Celery):
    """An app that respects `sending_once`."""

    def send_task(self, name: str, *args: Any, **options: Any) -> Any:
        """As Celery's."""
        sent, task_id = _sent.get(), options.get("task_id")
        if sent is None or task_id is None:
            return super().send_task(name, *args, **options)
        if task_id in sent:
            return self.AsyncResult(task_id)
        result = super().send_task(name, *args, **options)
        sent.add(task_id)
        return result
