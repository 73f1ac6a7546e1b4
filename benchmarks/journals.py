"""Journals of instances, read while they are written, and what a fault did according to them."""

from __future__ import annotations

import json
import statistics
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks.common import tidy


@dataclass
class Run:
    """One execution of a handler; wall times in ms, `ended_ms` 0 while it is not over."""

    task_id: str
    attempt: int
    instance: str
    started_ms: int
    ended_ms: int = 0


@dataclass
class Runs:
    """All executions that the journals tell of, in the order of each journal."""

    by_task: dict[str, list[Run]] = field(default_factory=dict)

    def add(self, line: Mapping[str, Any]) -> None:
        """A line of a journal (godel_tasks/instances/server/journal.py)."""
        runs = self.by_task.setdefault(line["id"], [])
        if line["event"] == "start":
            runs.append(Run(line["id"], line["attempt"], line["instance"], line["at"]))
            return
        for run in reversed(runs):
            if (run.attempt, run.instance) == (line["attempt"], line["instance"]):
                run.ended_ms = line["at"]
                return

    def __iter__(self) -> Iterator[Run]:
        return (run for runs in self.by_task.values() for run in runs)

    def on(self, instance: str) -> list[Run]:
        return [run for run in self if run.instance == instance]


class Journals:
    """The `*.jsonl` files of a folder, read on from where the last look ended."""

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._offsets: dict[Path, int] = {}
        self.runs = Runs()

    def look(self) -> Runs:
        for path in sorted(self._folder.glob("*.jsonl")):
            with path.open("rb") as journal:
                journal.seek(self._offsets.get(path, 0))
                data = journal.read()
            whole = data[: data.rfind(b"\n") + 1]  # the last line may be half written
            self._offsets[path] = self._offsets.get(path, 0) + len(whole)
            for line in whole.splitlines():
                self.runs.add(json.loads(line))
        return self.runs


def reruns(
    runs: Runs, struck_ms: Mapping[str, int], settled_on: Mapping[str, str]
) -> dict[str, dict[str, float | None]]:
    """For each victim, when it was struck given: the tasks that ran there at that moment, and the
    seconds until each ran on an instance that was not struck; None for those that have not (yet).

    A task whose end was under way is one of them if it was run again, and is not if that end was
    settled (`settled_on`: the instance that a task's result came from).
    """
    found: dict[str, dict[str, float | None]] = {victim: {} for victim in struck_ms}
    for run in runs:
        at_ms = struck_ms.get(run.instance)
        if at_ms is None or run.started_ms > at_ms:
            continue
        elsewhere = [
            other.started_ms
            for other in runs.by_task[run.task_id]
            if other.instance not in struck_ms and other.started_ms >= at_ms
        ]
        if elsewhere:
            found[run.instance][run.task_id] = (min(elsewhere) - at_ms) / 1000
        elif not 0 < run.ended_ms <= at_ms and settled_on.get(run.task_id) != run.instance:
            found[run.instance][run.task_id] = None
    return found


def failover_times(found: Sequence[Mapping[str, Mapping[str, float | None]]]) -> dict[str, Any]:
    """Over the victims of all rounds: p50 and max of the time to each one's last task. Null where
    some task never ran elsewhere; a victim that ran nothing does not count."""
    victims = [tasks for one in found for tasks in one.values() if tasks]
    times = [
        float("inf") if None in tasks.values() else max(s for s in tasks.values() if s is not None)
        for tasks in victims
    ]
    if not times:
        return {"p50_s": None, "max_s": None, "victims": 0, "tasks": 0, "not_rerun": 0}
    return {
        "p50_s": _finite(statistics.median(times)),
        "max_s": _finite(max(times)),
        "victims": len(victims),
        "tasks": sum(map(len, victims)),
        "not_rerun": sum(value is None for tasks in victims for value in tasks.values()),
    }


def _finite(value: float) -> float | None:
    return None if value == float("inf") else tidy(value)


def peak(runs: Iterable[Run]) -> int:
    """Most of these that went on at once; those that never ended go on for ever."""
    known = list(runs)
    moments = [(run.started_ms, 1) for run in known]
    moments += [(run.ended_ms, -1) for run in known if run.ended_ms]
    running = most = 0
    for _, change in sorted(moments):  # within one ms ends come first
        running += change
        most = max(most, running)
    return most


def shares(runs: Runs, instances: Collection[str], of: Collection[str], since_ms: int) -> float:
    """How much of its fair part of the starts since then each of `of` got, on average: 1 is all."""
    starts = [run.instance for run in runs if run.started_ms >= since_ms]
    if not starts:
        return 0.0
    fair = len(starts) / len(instances)
    return sum(name in of for name in starts) / len(of) / fair
