"""A producer that writes down what it is about to submit, and what was accepted.

    python -m tests.chaos.producer --journal FILE --tenants a,b,c --seed N --rate TASKS_PER_S

Journal, a JSON line each, fsynced before the next step: `{"event": "intent", "id", "tenant"}`
before a submit with an id of its own; `{"event": "accepted", "id", "tenant", "at"}` after the
submit returned. What got no answer is submitted again under the same id. TERM: ends after the
submit under way.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import signal
import time
import uuid
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from godel_tasks import cancel_task, submit_task, submit_tasks
from godel_tasks.errors import QueueFull, StoreUnavailable, TaskNotFound

#: Seconds between two tries while Redis is away.
RETRY_S = 0.1
#: The largest batch of `submit_tasks`.
BATCH = 60


class Journal:
    """Appends lines; each call is on the disk when it returns."""

    def __init__(self, path: Path) -> None:
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)

    def write(self, event: str, tasks: Sequence[tuple[str, str]]) -> None:
        at = time.time_ns() // 1_000_000
        lines = [{"event": event, "id": i, "tenant": tenant, "at": at} for i, tenant in tasks]
        os.write(self._file, "".join(json.dumps(line) + "\n" for line in lines).encode())
        os.fsync(self._file)


class Producer:
    """Submits at a mean rate until told to stop."""

    def __init__(self, journal: Journal, tenants: Sequence[str], rng: random.Random) -> None:
        self._journal = journal
        self._tenants = tenants
        self._rng = rng
        self._count = 0
        self._recent: list[str] = []
        self.stopping = False

    def run(self, rate: float) -> None:
        while not self.stopping:
            roll = self._rng.random()
            if roll < 0.15:
                size = self._bulk(self._rng.randint(2, BATCH))
            elif roll < 0.45:
                size = self._named()
            else:
                size = self._unnamed()
            if self._recent and self._rng.random() < 0.05:
                self._cancel(self._recent.pop(self._rng.randrange(len(self._recent))))
            time.sleep(self._rng.expovariate(1.0) * size / rate)

    def _fields(self) -> dict[str, Any]:
        """A task of any kind: quick or slow, failing, delayed, urgent, with times to keep."""
        rng = self._rng
        self._count += 1
        payload: dict[str, Any] = {"n": self._count, "ms": round(rng.expovariate(1 / 60), 1)}
        if rng.random() < 0.02:
            payload["fail"] = True
        fields: dict[str, Any] = {
            "tenant_id": rng.choice(self._tenants),
            "payload": payload,
            "priority": rng.choice(("critical", "high", "normal", "normal", "low")),
        }
        kind = rng.random()
        if kind < 0.05:
            fields["countdown"] = round(rng.uniform(0.1, 3.0), 2)
        elif kind < 0.10:
            fields["expires"] = round(rng.uniform(0.5, 5.0), 2)
        elif kind < 0.15:
            fields["deadline"] = round(rng.uniform(0.5, 8.0), 2)
            fields["on_uncertain"] = "hold"
        elif kind < 0.20:
            fields["on_uncertain"] = "fail"
        elif kind < 0.25:
            payload["ms"] *= 20
            fields["timeout"] = 0.4
        return fields

    def _named(self) -> int:
        """One task under an id of ours: an unanswered submit is repeated."""
        fields = {**self._fields(), "task_id": str(uuid.uuid4())}
        task = (fields["task_id"], fields["tenant_id"])
        self._journal.write("intent", [task])
        while not self.stopping:
            try:
                submit_task.apply_async(kwargs=fields)
            except QueueFull as full:
                time.sleep(min(full.retry_after_s, 1.0))
            except StoreUnavailable:
                time.sleep(RETRY_S)
            else:
                self._accepted([task])
                break
        return 1

    def _unnamed(self) -> int:
        """One task under an id that Godel makes: an unanswered submit is left alone."""
        fields = self._fields()
        try:
            result = submit_task.delay(**fields)
        except (QueueFull, StoreUnavailable):
            time.sleep(RETRY_S)
        else:
            self._accepted([(result.id, fields["tenant_id"])])
        return 1

    def _bulk(self, size: int) -> int:
        items = [{**self._fields(), "task_id": str(uuid.uuid4())} for _ in range(size)]
        self._journal.write("intent", [(i["task_id"], i["tenant_id"]) for i in items])
        left = items
        while left and not self.stopping:
            try:
                outcomes = submit_tasks(left)
            except StoreUnavailable:
                time.sleep(RETRY_S)
                continue
            pairs = list(zip(left, outcomes, strict=True))
            self._accepted([(i["task_id"], i["tenant_id"]) for i, outcome in pairs if outcome.ok])
            left = [item for item, outcome in pairs if isinstance(outcome.error, QueueFull)]
            if left:
                time.sleep(RETRY_S)
        return size

    def _accepted(self, tasks: Sequence[tuple[str, str]]) -> None:
        if tasks:
            self._journal.write("accepted", tasks)
            self._recent = [*self._recent, *(task_id for task_id, _ in tasks)][-50:]

    def _cancel(self, task_id: str) -> None:
        with contextlib.suppress(StoreUnavailable, TaskNotFound):
            cancel_task(task_id)


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--journal", type=Path, required=True)
    parser.add_argument("--tenants", required=True)
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--rate", type=float, required=True)
    options = parser.parse_args()
    rng = random.Random(options.seed)
    producer = Producer(Journal(options.journal), options.tenants.split(","), rng)

    def stop(*_: object) -> None:
        producer.stopping = True

    signal.signal(signal.SIGTERM, stop)
    print("ready", flush=True)
    producer.run(options.rate)


if __name__ == "__main__":
    main()
