"""What a method is."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from godel_tasks.testing.fake_gateway.boot import Boot
from godel_tasks.testing.fake_gateway.peer import Peer
from godel_tasks.testing.fake_gateway.wire import Request

#: The answer was sent already, or comes when it is there.
LATER: Final = object()


@dataclass(frozen=True, slots=True)
class Method:
    """`known` None: it takes any parameters."""

    answer: Callable[[Boot, Peer, Request], object]
    scope: str
    known: frozenset[str] | None = None
    required: tuple[str, ...] = ()
