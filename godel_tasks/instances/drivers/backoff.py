"""How long to wait before connecting again."""

from __future__ import annotations

from dataclasses import dataclass
from random import Random

FIRST_S = 0.05
CAP_S = 1.0


@dataclass(slots=True)
class Backoff:
    """Doubles from `FIRST_S` to `CAP_S`, with half of it random so that dispatchers spread out."""

    random: Random
    tries: int = 0

    def next_s(self) -> float:
        ceiling = min(CAP_S, FIRST_S * 2.0 ** min(self.tries, 10))
        self.tries += 1
        return ceiling * (0.5 + self.random.random() / 2)

    def reset(self) -> None:
        self.tries = 0
