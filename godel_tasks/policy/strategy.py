"""The contract of routing strategies. Implementations stand in `strategies/`."""

from __future__ import annotations

import random
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol


@dataclass(slots=True)
class Candidate:
    """An instance while a tick's slots are planned: `free` goes down as slots are planned on it."""

    instance_id: str
    capacity: int
    free: int

    @property
    def load(self) -> float:
        """Share of its slots in use, 0-1."""
        return 1.0 - self.free / self.capacity if self.capacity else 1.0


class Strategy(Protocol):
    """Chooses among candidates that passed every hard filter and have a free slot."""

    name: str

    def pick(self, candidates: Sequence[Candidate], rng: random.Random) -> Candidate:
        """One of the candidates (never empty)."""
        ...
