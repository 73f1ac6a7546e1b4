"""The demo's producer, a process of its own: submits when it is told to, and writes down what was
accepted.

    python -m godel_tasks.demo.producer --count 1500 --journal producer.jsonl
    python -m godel_tasks.demo.producer --items items.jsonl --journal producer.jsonl

Prints `ready` when it has its texts; starts at SIGUSR1; prints how many were accepted. The journal
has a line `{id, tenant, at}` (milliseconds since the epoch) for each, fsynced.
"""

from __future__ import annotations

import argparse
import json
import signal
import sys
import time
from collections.abc import Iterable, Sequence
from itertools import islice
from pathlib import Path
from typing import Any

from godel_tasks import submit_task, submit_tasks
from godel_tasks.demo.corpus import paragraphs
from godel_tasks.demo.journal import Journal
from godel_tasks.demo.plan import IN_BULK, work

START = signal.SIGUSR1
#: Tasks of one call of `submit_tasks`.
BATCH = 300


def submit_in_bulk(items: Iterable[dict[str, Any]], journal: Journal) -> int:
    """Submit with `submit_tasks`; how many. Raises the error of the first that is refused."""
    count, rest = 0, iter(items)
    while batch := list(islice(rest, BATCH)):
        outcomes = submit_tasks(batch)
        at = _now_ms()
        for item, outcome in zip(batch, outcomes, strict=True):
            if outcome.error is not None:
                raise outcome.error
            journal.append({"id": outcome.task_id, "tenant": item["tenant_id"], "at": at})
        count += len(batch)
    return count


def submit_one_by_one(items: Iterable[dict[str, Any]], journal: Journal) -> int:
    """Submit with `submit_task.delay`; how many. Raises what it raises."""
    count = 0
    for count, item in enumerate(items, 1):  # noqa: B007 - counted for the caller
        fields = dict(item)
        tenant, payload = fields.pop("tenant_id"), fields.pop("payload")
        result = submit_task.delay(tenant, payload, **fields)
        journal.append({"id": result.id, "tenant": tenant, "at": _now_ms()})
    return count


def items_of(options: argparse.Namespace) -> list[dict[str, Any]]:
    """What is to be submitted."""
    if options.items is not None:
        return [json.loads(line) for line in options.items.read_text("utf-8").splitlines()]
    return list(work(options.count, list(paragraphs(options.count))))


def _now_ms() -> int:
    return time.time_ns() // 1_000_000


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description="Submit the demo's tasks.")
    wanted = parser.add_mutually_exclusive_group(required=True)
    wanted.add_argument("--count", type=int, help="tasks of each tenant, out of the plan")
    wanted.add_argument("--items", type=Path, help="or these: a file of fields as JSON lines")
    parser.add_argument("--journal", type=Path, required=True)
    options = parser.parse_args(arguments)
    # Blocked, it is kept until somebody waits for it: it cannot come too early.
    signal.pthread_sigmask(signal.SIG_BLOCK, {START})
    items = items_of(options)
    in_bulk = round(len(items) * IN_BULK)
    with Journal(options.journal) as journal:
        print("ready", flush=True)
        signal.sigwait({START})
        accepted = submit_in_bulk(items[:in_bulk], journal)
        accepted += submit_one_by_one(items[in_bulk:], journal)
    print(f"accepted {accepted}", flush=True)
    return 0


if __name__ == "__main__":
    sys.exit(main())
