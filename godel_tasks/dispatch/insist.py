"""Asking Redis until it answers. Only for commands that may be repeated (see each command)."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from godel_tasks.dispatch.config import Ports
from godel_tasks.errors import StoreUnavailable
from godel_tasks.store.command import Command

T = TypeVar("T")

_FIRST_PAUSE_S = 0.02
_LONGEST_PAUSE_S = 0.5


async def insist(ports: Ports, build: Callable[[], Command[T]]) -> T:
    """Run a command, again after each lost answer; built anew, as it may carry the time."""
    pause = _FIRST_PAUSE_S
    while True:
        try:
            return await ports.store.run(build())
        except StoreUnavailable:
            await ports.clock.sleep(pause * (0.5 + ports.rng.random()))
            pause = min(pause * 2, _LONGEST_PAUSE_S)


async def insist_all(ports: Ports, build: Callable[[], Sequence[Command[Any]]]) -> list[Any]:
    """As `insist`, for a pipeline; all of it is repeated."""
    pause = _FIRST_PAUSE_S
    while True:
        try:
            return await ports.store.pipeline(build())
        except StoreUnavailable:
            await ports.clock.sleep(pause * (0.5 + ports.rng.random()))
            pause = min(pause * 2, _LONGEST_PAUSE_S)
