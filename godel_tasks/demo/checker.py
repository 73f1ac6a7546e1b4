"""What really happened, from journals alone. Imports nothing but the standard library.

    python -I checker.py --dir DIR [--json]

Reads from DIR (all times are milliseconds since the epoch, of one machine's clock):

    tenants.json        {name: weight}
    producer.jsonl      {id, tenant, at}: what submit accepted, by the producer
    results.jsonl       {id, state, digest, at, via}: what the result server said, by subscriber.py
    instances-*.jsonl   {id, attempt, instance, event: "start" | "end", at, [end]}: by instances
    kills.jsonl         {kind: "instance" | "dispatcher", target, at, [affected: [id, ...]]}: by
                        whoever killed

and prints one JSON object. Ends with 1 when something was lost or has two results. How each figure
comes about is said beside its function.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

Line = dict[str, Any]


@dataclass
class Run:
    """One execution. `end` is None when the instance never wrote one."""

    task_id: str
    attempt: int
    instance: str
    start: int
    end: int | None = None
    how: str = ""


@dataclass
class Journals:
    """Everything that was written down."""

    weights: dict[str, float]
    accepted: dict[str, Line]
    results: dict[str, list[Line]]
    runs: dict[str, list[Run]]
    kills: list[Line]
    #: Ends without a start: a journal is broken.
    stray_ends: int = 0
    tenants: dict[str, list[str]] = field(default_factory=dict)


def read(folder: Path) -> Journals:
    """Read the folder. Files of things that did not happen may be missing."""
    weights_file = folder / "tenants.json"
    weights = json.loads(weights_file.read_text()) if weights_file.exists() else {}
    accepted = {line["id"]: line for line in lines(folder / "producer.jsonl")}
    results: dict[str, list[Line]] = defaultdict(list)
    for line in lines(folder / "results.jsonl"):
        results[line["id"]].append(line)
    events = [line for path in sorted(folder.glob("instances-*.jsonl")) for line in lines(path)]
    runs, stray = _runs(events)
    journals = Journals(
        weights, accepted, results, runs, list(lines(folder / "kills.jsonl")), stray
    )
    for task_id, line in accepted.items():
        journals.tenants.setdefault(line["tenant"], []).append(task_id)
    return journals


def lines(path: Path) -> Iterator[Line]:
    """The lines of a journal. A torn last one was never committed, and does not count."""
    if not path.exists():
        return
    written = path.read_text(encoding="utf-8").split("\n")
    for number, line in enumerate(written, 1):
        if not line:
            continue
        try:
            yield json.loads(line)
        except ValueError:
            if number < len(written):
                raise ValueError(f"{path}, line {number}: not a line of JSON") from None


def _runs(events: list[Line]) -> tuple[dict[str, list[Run]], int]:
    """Pair starts with ends: an end closes the newest open run of its task, attempt and instance;
    an older open one was cut short."""
    runs: dict[str, list[Run]] = defaultdict(list)
    stray = 0
    for event in events:
        of_task = runs[event["id"]]
        if event["event"] == "start":
            of_task.append(Run(event["id"], event["attempt"], event["instance"], event["at"]))
            continue
        same = (event["attempt"], event["instance"])
        opened = (
            run
            for run in reversed(of_task)
            if (run.attempt, run.instance) == same and run.end is None
        )
        if (run := next(opened, None)) is not None:
            run.end, run.how = event["at"], event.get("end", "")
        elif event.get("end") in {"ok", "failed"}:
            stray += 1  # an attempt may be rejected or cancelled before it starts, but not end well
    for of_task in runs.values():
        of_task.sort(key=lambda run: run.start)
    return runs, stray


def report(journals: Journals) -> Line:
    """The closing figures."""
    accepted, results = journals.accepted, journals.results
    states = {task_id: results[task_id][0]["state"] for task_id in accepted if task_id in results}
    submitted_at = min((line["at"] for line in accepted.values()), default=0)
    settled_at = max((lines[0]["at"] for lines in results.values()), default=submitted_at)
    seconds = max(0, settled_at - submitted_at) / 1000
    shares = shares_under_contention(journals)
    completed = completed_by_instance(journals)
    repeats = {
        task_id: len({line["digest"] for line in lines}) for task_id, lines in results.items()
    }
    starts = {task_id: len(runs) for task_id, runs in journals.runs.items()}
    attempts = Counter(
        (run.task_id, run.attempt) for runs in journals.runs.values() for run in runs
    )
    return {
        "submitted": len(accepted),
        "succeeded": sum(1 for state in states.values() if state == "SUCCESS"),
        "failed": sum(1 for state in states.values() if state != "SUCCESS"),
        "lost": len(accepted) - len(states),
        "duplicates": sum(1 for different in repeats.values() if different > 1),
        "republished": republished(results),
        "reruns": sum(count - 1 for count in starts.values() if count > 1),
        "same_attempt_reruns": sum(count - 1 for count in attempts.values()),
        "never_accepted": sum(1 for task_id in results if task_id not in accepted),
        "stray_ends": journals.stray_ends,
        "seconds": round(seconds, 3),
        "throughput_per_s": round(len(states) / seconds, 1) if seconds else None,
        "tenants": {
            name: {
                "weight": journals.weights.get(name),
                "share_under_contention": shares.get(name),
                "succeeded": sum(1 for task_id in ids if states.get(task_id) == "SUCCESS"),
            }
            for name, ids in sorted(journals.tenants.items())
        },
        "instances": {name: {"completed": count} for name, count in sorted(completed.items())},
        "killed": {kill["kind"]: kill["target"] for kill in journals.kills},
        **recovery(journals),
    }


def republished(results: dict[str, list[Line]]) -> int:
    """Identical repeats of a result that were published. What the subscriber read by itself after a
    gap is no repeat."""
    return sum(
        count - 1
        for lines in results.values()
        for count in Counter(
            line["digest"] for line in lines if line.get("via", "publish") == "publish"
        ).values()
    )


def completed_by_instance(journals: Journals) -> dict[str, int]:
    """Tasks by the instance whose run of them ended well; of several runs, the last. Instances that
    only started tasks show 0."""
    completed = {run.instance: 0 for runs in journals.runs.values() for run in runs}
    for runs in journals.runs.values():
        if well := [run for run in runs if run.how in {"", "ok"} and run.end is not None]:
            completed[well[-1].instance] += 1
    return completed


def shares_under_contention(journals: Journals, apart: Collection[str] = ()) -> dict[str, float]:
    """Shares of slot-seconds while every tenant has tasks waiting.

    A tenant's backlog lasts from its first submit until the first start of its last task; tasks
    that are `apart` (they wait for something else than a slot) are no part of it. Runs are
    clipped to the time that all backlogs have in common; a run that a kill cut short ends with the
    kill. Empty when the backlogs have no time in common, or nothing ran in it.
    """
    backlogs = []
    for every in journals.tenants.values():
        ids = [task_id for task_id in every if task_id not in apart]
        first_starts = [
            journals.runs[task_id][0].start for task_id in ids if journals.runs.get(task_id)
        ]
        if not first_starts:
            return {}
        backlogs.append(
            (min(journals.accepted[task_id]["at"] for task_id in ids), max(first_starts))
        )
    if not backlogs:
        return {}
    opens, closes = max(begin for begin, _ in backlogs), min(end for _, end in backlogs)
    slot_ms = {
        tenant: sum(
            max(0, min(_ended(run, journals.kills, closes), closes) - max(run.start, opens))
            for task_id in ids
            for run in journals.runs.get(task_id, [])
        )
        for tenant, ids in journals.tenants.items()
    }
    total = sum(slot_ms.values())
    return {tenant: round(ms / total, 4) for tenant, ms in slot_ms.items()} if total else {}


def _ended(run: Run, kills: Iterable[Line], otherwise: int) -> int:
    if run.end is not None:
        return run.end
    cuts = (
        kill["at"] for kill in kills if kill["target"] == run.instance and kill["at"] >= run.start
    )
    return min(cuts, default=otherwise)


def recovery(journals: Journals) -> Line:
    """Seconds from a kill until the last task that it affected runs under a live owner.

    A killed instance affects the tasks that it had started and not ended; each is back with its
    next start, or with its result. A killed dispatcher affects the tasks that its line in
    kills.jsonl names; each is back in the same way: an end alone proves no owner, for an instance
    ends what it runs by itself. What was settled before the kill is not affected. `recovery_s` is
    the longest over all kills, null when there was nothing to recover; `unrecovered` counts tasks
    that never came back.
    """
    seconds: list[float] = []
    unrecovered = 0
    for kill in journals.kills:
        for task_id in _affected(kill, journals):
            back = [run.start for run in journals.runs.get(task_id, []) if run.start > kill["at"]]
            back += [line["at"] for line in journals.results.get(task_id, [])]
            if back:
                seconds.append((min(back) - kill["at"]) / 1000)
            else:
                unrecovered += 1
    return {
        "affected": len(seconds) + unrecovered,
        "unrecovered": unrecovered,
        "recovery_s": round(max(seconds), 3) if seconds else None,
    }


def _affected(kill: Line, journals: Journals) -> set[str]:
    if kill["kind"] == "instance":
        ids = {
            run.task_id
            for runs in journals.runs.values()
            for run in runs
            if run.instance == kill["target"]
            and run.start <= kill["at"]
            and (run.end is None or run.end > kill["at"])
        }
    else:
        ids = set(kill.get("affected", ()))
    return {
        task_id
        for task_id in ids
        if not any(line["at"] <= kill["at"] for line in journals.results.get(task_id, []))
    }


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Check a demo from its journals.")
    parser.add_argument("--dir", type=Path, required=True, help="folder of the journals")
    parser.add_argument("--json", action="store_true", help="one line of JSON")
    options = parser.parse_args(arguments)
    figures = report(read(options.dir))
    print(json.dumps(figures, indent=None if options.json else 2))
    return 1 if figures["lost"] or figures["duplicates"] else 0


if __name__ == "__main__":
    sys.exit(main())
