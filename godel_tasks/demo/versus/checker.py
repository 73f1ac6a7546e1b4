"""What one side did, from journals alone. Imports nothing but the standard library.

    python -I checker.py --dir DIR

Reads from DIR (all times are milliseconds since the epoch, of one machine's clock):

    producer-*.jsonl  {key, tenant, at}: what was accepted; `at` is just before the submit
    runs-*.jsonl      {key, event: "start" | "end", at, pid}: by the handler
    kills.jsonl       {kind, target, at}: by whoever killed
    run.json          {began, ended, sender, held: [key, ...]}: when the producers were let go and
                      when all was over, whose waits are asked for, and what the side still had
                      then, waiting or running

and prints one JSON object:

    accepted, finished   tasks that were submitted; those whose handler came to its end
    held                 not finished, but still there: it would have run later
    lost                 neither finished nor there any more
    reruns               starts beyond the first of each task
    p50_s, p99_s, max_s  the sender's wait from submit to the first start (nearest rank); of a task
                         that never started, from submit to the end of the run, which is too short
    never_started        such tasks of the sender
    seconds              from the beginning until the last end of a handler
    waits                [[sent_s, wait_s, started], ...] of the sender, seconds since the beginning
    kills                [{kind, target, at_s}, ...]
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

Line = dict[str, Any]


def report(folder: Path) -> Line:
    """The figures of the journals in that folder."""
    run = json.loads((folder / "run.json").read_text(encoding="utf-8"))
    began, ended = run["began"], run["ended"]
    accepted = {line["key"]: line for line in _all(folder, "producer-*.jsonl")}
    first_start: dict[str, int] = {}
    starts: Counter[str] = Counter()
    ends: dict[str, int] = {}
    for line in _all(folder, "runs-*.jsonl"):
        key, at = line["key"], line["at"]
        if line["event"] == "start":
            starts[key] += 1
            first_start[key] = min(at, first_start.get(key, at))
        else:
            ends[key] = max(at, ends.get(key, at))
    unfinished = accepted.keys() - ends.keys()
    held = unfinished & set(run["held"])
    waits = [
        [
            round((line["at"] - began) / 1000, 3),
            round((first_start.get(key, ended) - line["at"]) / 1000, 3),
            key in first_start,
        ]
        for key, line in sorted(accepted.items())
        if line["tenant"] == run["sender"]
    ]
    seconds = [wait for _, wait, _ in waits]
    return {
        "accepted": len(accepted),
        "finished": len(accepted) - len(unfinished),
        "held": len(held),
        "lost": len(unfinished - held),
        "reruns": sum(starts.values()) - len(starts),
        "p50_s": percentile(seconds, 50),
        "p99_s": percentile(seconds, 99),
        "max_s": percentile(seconds, 100),
        "never_started": sum(not started for *_, started in waits),
        "seconds": round((max(ends.values(), default=began) - began) / 1000, 3),
        "waits": waits,
        "kills": [
            {
                "kind": kill["kind"],
                "target": kill["target"],
                "at_s": round((kill["at"] - began) / 1000, 3),
            }
            for kill in _all(folder, "kills.jsonl")
        ],
    }


def percentile(values: Sequence[float], wanted: int) -> float | None:
    """By nearest rank: the smallest value that at least `wanted` percent do not exceed."""
    if not values:
        return None
    return sorted(values)[max(0, math.ceil(len(values) * wanted / 100) - 1)]


def _all(folder: Path, pattern: str) -> Iterator[Line]:
    """The lines of all these journals. A torn last one was never committed, and does not count."""
    for path in sorted(folder.glob(pattern)):
        lines = path.read_text(encoding="utf-8").split("\n")
        for number, line in enumerate(lines, 1):
            if not line:
                continue
            try:
                yield json.loads(line)
            except ValueError:
                if number < len(lines):
                    raise ValueError(f"{path}, line {number}: not a line of JSON") from None


def main() -> None:
    parser = argparse.ArgumentParser(description="Check one side from its journals.")
    parser.add_argument("--dir", type=Path, required=True, help="folder of the journals")
    print(json.dumps(report(parser.parse_args().dir)))


if __name__ == "__main__":
    main()
