"""Writes down every terminal result that Celery's result server announces. Knows nothing of Godel.

    python subscriber.py URL FILE

A line per announcement: `{"id", "state", "digest", "at"}`, `digest` over the bytes. While the
server is away it tries again; what was announced meanwhile is read from the stored results, so that
a gap of its own hides nothing but a result that was overwritten in it. TERM: ends when nothing came
for a while.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterable
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

PATTERN = "celery-task-meta-*"
TERMINAL = {"SUCCESS", "FAILURE", "REVOKED"}
RETRY_S = 0.05
QUIET_S = 0.5
PAGE = 1000


class Subscriber:
    """Listens at `url` and appends to the file at `path` until it is told to stop."""

    def __init__(self, url: str, path: str) -> None:
        # No retries of redis-py's own: it would subscribe again in silence, and hide the gap.
        self._client = redis.Redis.from_url(url, retry=Retry(NoBackoff(), 0))
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._known: dict[str, str] = {}
        self.stopping = False

    def run(self) -> None:
        while not self.stopping:
            try:
                self._listen()
            except redis.RedisError:
                time.sleep(RETRY_S)

    def _listen(self) -> None:
        with self._client.pubsub() as pubsub:
            pubsub.psubscribe(PATTERN)
            while (answer := pubsub.get_message(timeout=1.0)) is None:
                pass
            if answer["type"] != "psubscribe":
                return
            self._write(self._stored())
            print("ready", flush=True)
            while True:
                batch: list[bytes] = []
                message = pubsub.get_message(timeout=QUIET_S)
                while message is not None and len(batch) < PAGE:
                    if message["type"] == "pmessage":
                        batch.append(message["data"])
                    message = pubsub.get_message(timeout=0)
                self._write(batch)
                if self.stopping and not batch:
                    return

    def _stored(self) -> Iterable[bytes]:
        page: list[bytes] = []
        for key in self._client.scan_iter(match=PATTERN, count=PAGE):
            page.append(key)
            if len(page) == PAGE:
                yield from self._unknown(page)
                page = []
        yield from self._unknown(page)

    def _unknown(self, keys: list[bytes]) -> Iterable[bytes]:
        """Stored results that are not the last that was written down."""
        values: list[Any] = self._client.mget(keys) if keys else []
        for value in values:
            line = as_line(value) if value else None
            if line and self._known.get(line["id"]) != line["digest"]:
                yield value

    def _write(self, announced: Iterable[bytes]) -> None:
        lines = [line for data in announced if (line := as_line(data))]
        self._known.update((line["id"], line["digest"]) for line in lines)
        data = "".join(json.dumps(line) + "\n" for line in lines).encode()
        while data:
            data = data[os.write(self._file, data) :]


def as_line(data: bytes) -> dict[str, Any] | None:
    """A terminal result as a line of the journal; None for anything else."""
    meta = json.loads(data)
    if meta.get("status") not in TERMINAL:
        return None
    digest = hashlib.sha256(data).hexdigest()[:32]
    at = time.time_ns() // 1_000_000
    return {"id": meta["task_id"], "state": meta["status"], "digest": digest, "at": at}


def main() -> None:
    subscriber = Subscriber(sys.argv[1], sys.argv[2])

    def stop(*_: object) -> None:
        subscriber.stopping = True

    signal.signal(signal.SIGTERM, stop)
    subscriber.run()


if __name__ == "__main__":
    main()
