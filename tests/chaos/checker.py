"""What chaos did, from journals that producers, instances and the subscriber wrote."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from tests.world import read


@dataclass
class Verdict:
    """The closing figures. Everything but the first two and `reruns` must be 0."""

    rounds: int
    accepted: int
    #: Accepted, and no terminal result is stored at the end.
    lost: list[str]
    #: Still in the index when everything should have been settled.
    unsettled: int
    #: Ids with two differing terminal results.
    duplicates: list[str]
    #: Executions beyond the first that no failure and no timeout asked for.
    reruns: int
    #: Starts on an instance that had its capacity running.
    over_capacity: list[str]
    #: Anything else that must not be, a line each.
    problems: list[str] = field(default_factory=list)

    @property
    def good(self) -> bool:
        return not (
            self.lost or self.unsettled or self.duplicates or self.over_capacity or self.problems
        )

    def figures(self) -> dict[str, int]:
        return {
            "rounds": self.rounds,
            "accepted": self.accepted,
            "lost": len(self.lost),
            "unsettled": self.unsettled,
            "duplicates": len(self.duplicates),
            "reruns": self.reruns,
            "over_capacity": len(self.over_capacity),
        }

    def __str__(self) -> str:
        return ", ".join(f"{name} {value}" for name, value in self.figures().items())


def judge(
    journals: Path, stored: Mapping[str, str], *, rounds: int, unsettled: int, capacity: int
) -> Verdict:
    """`stored`: the digests of the results that are there at the end, by id."""
    accepted, intended = _produced(journals)
    announced: dict[str, set[str]] = defaultdict(set)
    for line in read(journals / "results.jsonl"):
        announced[line["id"]].add(line["digest"])
    for task_id, digest in stored.items():
        announced[task_id].add(digest)
    runs = _executions(journals, capacity)
    problems = [f"{key} was started twice by one process" for key in runs.twice]
    # An id that Godel made may be settled without its producer having lived to write it down.
    problems += [
        f"{task_id} ran, and nobody meant to submit it"
        for task_id in runs.ends
        if task_id not in accepted and task_id not in intended and task_id not in announced
    ]
    return Verdict(
        rounds=rounds,
        accepted=len(accepted),
        lost=[f"{i} accepted at {at}" for i, at in accepted.items() if i not in stored],
        unsettled=unsettled,
        duplicates=[task_id for task_id, digests in announced.items() if len(digests) > 1],
        reruns=runs.reruns(),
        over_capacity=runs.over,
        problems=problems,
    )


def accepted_ids(journals: Path) -> list[str]:
    return list(_produced(journals)[0])


def _produced(journals: Path) -> tuple[dict[str, int], set[str]]:
    accepted: dict[str, int] = {}
    intended: set[str] = set()
    for path in sorted(journals.glob("producer*.jsonl")):
        for line in read(path):
            if line["event"] == "accepted":
                accepted[line["id"]] = line["at"]
            else:
                intended.add(line["id"])
    return accepted, intended


@dataclass
class _Runs:
    """What the instances' journals tell, over all of them."""

    capacity: int
    #: By task: how each execution ended, "" when it was cut short; in the order of starts.
    ends: dict[str, list[list[Any]]] = field(default_factory=lambda: defaultdict(list))
    over: list[str] = field(default_factory=list)
    twice: list[str] = field(default_factory=list)

    def read(self, lines: Iterable[Mapping[str, Any]]) -> None:
        """One instance. The order of its lines is the order of what happened."""
        running: dict[str, list[Any]] = {}
        seen: set[str] = set()
        for line in lines:
            if line["event"] == "boot":  # whatever ran in the process before it is over
                running.clear()
                seen.clear()
                continue
            key = f"{line['id']}:{line['attempt']}"
            if line["event"] == "end":
                if key in running:
                    running.pop(key)[1] = line["end"]
                continue
            if key in seen:
                self.twice.append(key)
            seen.add(key)
            if len(running) >= self.capacity:
                self.over.append(f"{key} on {line['instance']} at {line['at']}: {len(running)} ran")
            running[key] = [line["at"], ""]
            self.ends[line["id"]].append(running[key])

    def reruns(self) -> int:
        """Executions of what had run before, and had not failed or run out of its time by itself:
        those are retries that somebody asked for."""
        return sum(
            1
            for runs in self.ends.values()
            for before in sorted(runs)[:-1]
            if before[1] not in ("failed", "timed_out")
        )


def _executions(journals: Path, capacity: int) -> _Runs:
    runs = _Runs(capacity)
    for path in sorted(journals.glob("instances-*.jsonl")):
        runs.read(read(path))
    return runs
