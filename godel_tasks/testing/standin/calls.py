"""What the stand-in was asked, for tests that count model calls."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from enum import StrEnum


class Ending(StrEnum):
    """How a call of the model ended."""

    ANSWERED = "answered"
    FAILED = "failed"  #: with a status, or refused
    CUT = "cut"
    LEFT = "left"  #: the caller went away, or the stand-in stopped


@dataclass
class Call:
    """One call. `at` is in seconds since the epoch; `ended` is None while it goes on."""

    prompt: str
    at: float
    model: str
    ended: Ending | None = None


@dataclass
class Calls:
    """All calls, in the order in which they came."""

    made: list[Call] = field(default_factory=list)
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, call: Call) -> int:
        """How many there are of its prompt now."""
        self.made.append(call)
        self.counts[call.prompt] += 1
        return self.counts[call.prompt]

    def of(self, prompt: str) -> list[Call]:
        return [call for call in self.made if call.prompt == prompt]
