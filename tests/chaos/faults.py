"""Which fault comes when: a plan that depends on the seed alone."""

from __future__ import annotations

import random
from collections.abc import Iterator
from dataclasses import dataclass

KILL, STALL, TERM = "kill", "stall", "term"

#: Kinds of faults with their weights: what is done, to what.
KINDS: tuple[tuple[int, str, str], ...] = (
    (3, KILL, "producer"),
    (5, KILL, "dispatcher"),
    (5, KILL, "instance"),
    (4, KILL, "server"),
    (5, STALL, "dispatcher"),
    (3, STALL, "instance"),
    (2, STALL, "server"),
    (1, TERM, "dispatcher"),
    (1, TERM, "instance"),
)
#: How many processes there are of each.
PEOPLE = {"producer": 2, "dispatcher": 2, "instance": 3, "server": 1}
#: A share of rounds has two faults at once.
TWO_AT_ONCE = 0.25


@dataclass(frozen=True, slots=True)
class Fault:
    """One process (`target` and its number), `after_s` into the round, for `for_s`: then it is
    started again, or continued."""

    act: str
    target: str
    number: int
    after_s: float
    for_s: float

    @property
    def name(self) -> str:
        """The process's name in the world."""
        return "server" if self.target == "server" else f"{self.target}{self.number}"

    def __str__(self) -> str:
        return f"{self.act} {self.name} at {self.after_s:.1f} s for {self.for_s:.1f} s"


def plan(seed: int, rounds: int, seconds: float) -> Iterator[tuple[Fault, ...]]:
    """The faults of each round. No process has two at once."""
    rng = random.Random(seed)
    for _ in range(rounds):
        faults = [_fault(rng, seconds)]
        if rng.random() < TWO_AT_ONCE:
            second = _fault(rng, seconds)
            if second.name != faults[0].name:
                faults.append(second)
        yield tuple(faults)


def _fault(rng: random.Random, seconds: float) -> Fault:
    weights = [weight for weight, _, _ in KINDS]
    _, act, target = rng.choices(KINDS, weights)[0]
    number = rng.randint(1, PEOPLE[target])
    after_s = rng.uniform(0.1, 0.4) * seconds
    if act == STALL:
        # Around every limit: a lease lasts 3 s, and a dispatcher stops delivering after 2.
        for_s = rng.uniform(4.0, 8.0) if target == "dispatcher" else rng.uniform(0.5, 6.0)
    else:
        for_s = rng.uniform(0.0, 2.0)
    return Fault(act, target, number, round(after_s, 2), round(for_s, 2))
