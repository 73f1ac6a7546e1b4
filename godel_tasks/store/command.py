"""Commands: what is to be said to Redis, with no I/O (the sans-I/O way of h11 and httpcore).

A store function builds a `Command`; `SyncExecutor` or `AsyncExecutor` runs one, or a pipeline of
them, and hands each reply to the command's own decoder.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Generic, TypeVar

import msgspec

from godel_tasks.store.script import Script, load

T = TypeVar("T")
Argument = str | bytes | int | float


class Command(msgspec.Struct, Generic[T], frozen=True, gc=False):
    """One call: a script or a plain command, and how to read its reply."""

    parts: tuple[Argument, ...]
    decode: Callable[[Any], T]
    script: Script | None = None

    @property
    def name(self) -> str:
        """The verb, for logs and for a simulation's trace."""
        return self.script.name if self.script else str(self.parts[0])


def same(reply: Any) -> Any:
    """The decoder of replies that are what they are."""
    return reply


def call(
    name: str,
    *,
    keys: Sequence[str],
    args: Sequence[Argument],
    decode: Callable[[Any], T],
) -> Command[T]:
    """A call of the script `lua/<name>.lua`."""
    script = load(name)
    return Command(("EVALSHA", script.sha, len(keys), *keys, *args), decode, script)


def plain(*parts: Argument, decode: Callable[[Any], T]) -> Command[T]:
    """A command of the server's own."""
    return Command(parts, decode)


def text(value: Any) -> str:
    """A reply as text (replies are bytes; Godel's own words are ASCII)."""
    return value.decode() if isinstance(value, bytes) else str(value)


def pairs(flat: Sequence[Any]) -> dict[str, str]:
    """A flat reply of fields and values as a dict of text."""
    it = iter(flat)
    return {text(field): text(value) for field, value in zip(it, it, strict=True)}


def counts(flat: Sequence[Any]) -> dict[str, int]:
    """A flat reply of names and counts."""
    return {name: int(count) for name, count in pairs(flat).items()}


def moment(reply: Any) -> int | None:
    """A time in ms, or None where the script answered ""."""
    return int(float(reply)) if reply else None
