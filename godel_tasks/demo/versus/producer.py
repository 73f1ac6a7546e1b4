"""A tenant, as a process of its own: submits to either side, and writes down what was accepted.

    python -m godel_tasks.demo.versus.producer --side celery --tenant b --count 70 --every 1 \
        --pause-s 0.03 --journal producer-b.jsonl

Prints `ready` when it has imported what it needs; starts at SIGUSR1. Every submit is one
`.delay()`, on both sides. The journal has a line `{key, id, tenant, at}` for each that was
accepted, `at` from just before the call (milliseconds since the epoch). A submit that is refused
ends it with the error.
"""

from __future__ import annotations

import argparse
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from godel_tasks.demo.journal import Journal

START = signal.SIGUSR1

Submit = Callable[[dict[str, Any]], str]


def to_celery(_tenant: str) -> Submit:
    """Submit to the one queue; the task's id."""
    from godel_tasks.demo.versus.celery_app import answer

    return lambda payload: str(answer.delay(payload).id)


def to_godel(tenant: str) -> Submit:
    """Submit for the tenant; the task's id."""
    from godel_tasks import submit_task

    return lambda payload: str(submit_task.delay(tenant, payload).id)


SIDES: dict[str, Callable[[str], Submit]] = {"celery": to_celery, "godel": to_godel}


def produce(submit: Submit, options: argparse.Namespace, journal: Journal) -> None:
    """Submit `options.count` tasks, `options.every` seconds apart."""
    began = time.monotonic()
    for number in range(options.count):
        time.sleep(max(0.0, began + number * options.every - time.monotonic()))
        key = f"{options.tenant}-{number:05d}"
        at = time.time_ns() // 1_000_000
        task_id = submit({"key": key, "pause_s": options.pause_s})
        journal.append({"key": key, "id": task_id, "tenant": options.tenant, "at": at})


def main() -> int:
    parser = argparse.ArgumentParser(description="Submit tasks of one tenant.")
    parser.add_argument("--side", choices=sorted(SIDES), required=True)
    parser.add_argument("--tenant", required=True)
    parser.add_argument("--count", type=int, required=True)
    parser.add_argument("--every", type=float, default=0.0, help="seconds; 0: as fast as it goes")
    parser.add_argument("--pause-s", type=float, required=True, help="of the handler")
    parser.add_argument("--journal", type=Path, required=True)
    options = parser.parse_args()
    # Blocked, it is kept until somebody waits for it: it cannot come too early.
    signal.pthread_sigmask(signal.SIG_BLOCK, {START})
    submit = SIDES[options.side](options.tenant)
    with Journal(options.journal) as journal:
        print("ready", flush=True)
        signal.sigwait({START})
        produce(submit, options, journal)
    return 0


if __name__ == "__main__":
    sys.exit(main())
