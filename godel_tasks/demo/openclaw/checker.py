"""What really happened, from the journals and the model's own count of its calls.

Reads what `godel_tasks.demo.checker` does, but for the journals of instances, which gateways do not
write, and

    items.jsonl    {task_id, tenant_id, payload, ...}: what was to be submitted
    drama.jsonl    {event: "kill", kind, target, at, affected, running, pinned} and
                   {event: "back", id, at}: who was killed, what that hit, and when each turn that
                   it hit had a live owner again
    calls.json     {prompt: calls}: by the stand-in model
    records.json   {"tenants": {name: {"tokens", "cost_usd"}}, "strays_aborted": n}: what Redis
                   has at the end

When a turn ran is known from its result: the time of its end, and how long that attempt ran.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from godel_tasks.demo import checker
from godel_tasks.demo.checker import Journals, Line, Run

#: What the report begins with, in this order.
FIRST_KEYS = (
    "submitted", "succeeded", "failed", "lost", "duplicates", "reruns", "republished", "seconds",
    "throughput_per_s", "tenants", "instances", "killed", "recovery_s", "tokens", "cost_usd",
    "adopted", "aborted_after_restart",
)  # fmt: skip
#: And with these it goes on.
MORE_KEYS = (
    "pinned_s", "affected", "unrecovered", "never_accepted", "model_calls",
    "answered_without_model",
)  # fmt: skip


def report(folder: Path) -> Line:
    """The closing figures."""
    journals = checker.read(folder)
    drama = list(checker.lines(folder / "drama.jsonl"))
    journals.kills = [line for line in drama if line["event"] == "kill"]
    journals.runs = _runs(journals)
    calls = _calls(folder)
    records = json.loads((folder / "records.json").read_text())
    found = checker.report(journals) | {
        "reruns": sum(count - 1 for count in calls.values() if count > 1),
        "model_calls": sum(calls.values()),
        "answered_without_model": sum(
            1
            for task_id, lines in journals.results.items()
            if lines[0]["state"] == "SUCCESS" and not calls.get(task_id)
        ),
        "adopted": len(adopted(journals, calls)),
        "aborted_after_restart": records["strays_aborted"],
        **recovery(journals, [line for line in drama if line["event"] == "back"]),
    }
    shares = checker.shares_under_contention(journals, apart=_pinned(folder))
    for name, row in found["tenants"].items():
        row |= {"tasks": len(journals.tenants[name]), **records["tenants"][name]}
        row["share_under_contention"] = shares.get(name)
    tenants = records["tenants"].values()
    found["tokens"] = sum(row["tokens"] for row in tenants)
    found["cost_usd"] = round(sum(row["cost_usd"] for row in tenants), 6)
    return {key: found[key] for key in (*FIRST_KEYS, *MORE_KEYS)}


def adopted(journals: Journals, calls: dict[str, int]) -> set[str]:
    """Turns that ran when their dispatcher was killed, and that succeeded in that very attempt:
    their first one, with one call of the model."""
    return {
        task_id
        for kill in journals.kills
        if kill["kind"] == "dispatcher"
        for task_id in kill["running"]
        if not _over(journals, task_id, kill["at"])
        and (lines := journals.results.get(task_id))
        and lines[0]["state"] == "SUCCESS"
        and (lines[0]["godel"] or {}).get("attempts") == 1
        and calls.get(task_id) == 1
    }


def recovery(journals: Journals, back: list[Line]) -> Line:
    """Seconds from a kill until the last turn that it hit has a live owner again, or its result;
    the longest over all kills. Turns of a session wait for their gateway: how long is `pinned_s`.
    `unrecovered` counts turns that never came back."""
    seconds: dict[bool, list[float]] = {True: [], False: []}
    unrecovered = 0
    for kill in journals.kills:
        at = kill["at"]
        for task_id in kill["affected"]:
            if _over(journals, task_id, at):
                continue
            times = [line["at"] for line in back if line["id"] == task_id and line["at"] > at]
            times += [line["at"] for line in journals.results.get(task_id, [])]
            waits = kill["kind"] == "instance" and task_id in kill["pinned"]
            if times:
                seconds[waits].append((min(times) - at) / 1000)
            else:
                unrecovered += 1
    return {
        "affected": sum(map(len, seconds.values())) + unrecovered,
        "unrecovered": unrecovered,
        "recovery_s": round(max(seconds[False]), 3) if seconds[False] else None,
        "pinned_s": round(max(seconds[True]), 3) if seconds[True] else None,
    }


def _over(journals: Journals, task_id: str, at: int) -> bool:
    """Whether it had its result by then."""
    return any(line["at"] <= at for line in journals.results.get(task_id, []))


def _calls(folder: Path) -> dict[str, int]:
    """Calls of the model by task."""
    counts = json.loads((folder / "calls.json").read_text())
    return {
        item["task_id"]: counts.get(item["payload"], 0)
        for item in checker.lines(folder / "items.jsonl")
    }


def _pinned(folder: Path) -> set[str]:
    """Turns that wait for their gateway, whoever has slots."""
    items = checker.lines(folder / "items.jsonl")
    return {item["task_id"] for item in items if "instance" in item}


def _runs(journals: Journals) -> dict[str, list[Run]]:
    """The run that each result tells of, and before it those that a kill of their gateway cut
    short: when these began is not known, so they count for no time."""
    runs: dict[str, list[Run]] = {}
    for kill in journals.kills:
        if kill["kind"] == "instance":
            for task_id in kill["running"]:
                runs.setdefault(task_id, []).append(Run(task_id, 0, kill["target"], kill["at"]))
    for task_id, lines in journals.results.items():
        runs.setdefault(task_id, []).extend(_told(lines[0]))
    return runs


def _told(line: Line) -> Iterator[Run]:
    godel: dict[str, Any] = line["godel"] or {}
    if not godel.get("instance"):
        return
    end = line["at"]
    start = end - int(godel["run_ms"])
    how = "ok" if line["state"] == "SUCCESS" else "failed"
    yield Run(line["id"], godel["attempts"], godel["instance"], start, end, how)
