"""Judge: who says what a breaker is: Redis, or the process itself while Redis is away."""

from __future__ import annotations

import os
import secrets
import socket
import time
from collections.abc import Callable, Mapping
from functools import cache
from typing import Any, TypeVar

import structlog

from godel_tasks.domain.breaker import BreakerConfig, BreakerSnapshot
from godel_tasks.errors import StoreUnavailable
from godel_tasks.policy import breaker as model
from godel_tasks.runtime import Runtime
from godel_tasks.settings import load_settings
from godel_tasks.store.breakers import BreakerCommands, BreakerReply
from godel_tasks.store.command import Command
from godel_tasks.store.executor import SyncExecutor

T = TypeVar("T")
log = structlog.get_logger(__name__)

#: Seconds before a Redis that did not answer is asked again.
AWAY_S = 5.0


@cache
def default_runtime() -> Runtime:
    """The process's own, by its settings, for breakers that are given none.

    Raises:
        SettingsError: a setting is wrong.
    """
    return Runtime(load_settings())


class Judge:
    """One breaker as one process sees it."""

    def __init__(self, name: str, config: BreakerConfig, store: Callable[[], SyncExecutor]) -> None:
        self._name = name
        self._config = config
        self._store = store
        self._commands = BreakerCommands()
        self._own = model.Breaker()
        self._away_until = float("-inf")
        self._pid, self._reporter = 0, ""

    @property
    def reporter(self) -> str:
        """This process; a fork is another one."""
        if self._pid != os.getpid():
            self._pid = os.getpid()
            self._reporter = f"{socket.gethostname()}-{self._pid}-{secrets.token_hex(4)}"
        return self._reporter

    def read(self) -> BreakerSnapshot:
        replies = self._shared(self._commands.read(self._name))
        return replies[0] if replies else model.look(self._own, self._name, now_ms=_now_ms())

    def acquire(self, permit: str) -> BreakerReply:
        replies = self._shared(self._commands.acquire(self._name, permits=[permit]))
        if replies:
            reply: BreakerReply = replies[0]
            return reply
        now_ms, before = _now_ms(), self._own.state
        self._own, granted = model.acquire(self._own, [permit], now_ms=now_ms)
        return BreakerReply(before, model.look(self._own, self._name, now_ms=now_ms), granted)

    def report(self, outcomes: str, probes: Mapping[str, str]) -> BreakerReply:
        replies = self._shared(
            self._commands.report(
                self._name,
                config=self._config,
                reporter=self.reporter,
                outcomes=outcomes,
                probes=probes,
            ),
            self._commands.enlist(self._name),
        )
        if replies:
            reply: BreakerReply = replies[0]
            return reply
        now_ms = _now_ms()
        before = self._own.state_at(now_ms)
        self._own = model.report(
            self._own,
            self._config,
            now_ms=now_ms,
            reporter=self.reporter,
            outcomes=outcomes,
            probes=probes,
        )
        return BreakerReply(before, model.look(self._own, self._name, now_ms=now_ms))

    def _shared(self, *commands: Command[Any]) -> list[Any] | None:
        """Redis's replies; None while it does not answer. Once it does, what was judged alone is
        forgotten."""
        if time.monotonic() < self._away_until:
            return None
        try:
            replies = self._store().pipeline(commands)
        except StoreUnavailable as error:
            if self._away_until == float("-inf"):
                log.warning("breaker.alone", breaker=self._name, error=str(error))
            self._away_until = time.monotonic() + AWAY_S
            return None
        self._own, self._away_until = model.Breaker(), float("-inf")
        return replies


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
