"""Writes down every result that Celery's result server announces. Knows nothing of Godel.

    DEMO_RESULT_URL=unix:///path?db=0 python -I subscriber.py results.jsonl

Prints `ready` when it listens. Each terminal message becomes one line: `{"id", "state", "digest",
"at", "godel", "via"}`; `digest` is SHA-256 over the message's bytes, `at` is milliseconds since the
epoch, `godel` is what the message has under that name, or null, `via` is "publish". Lines are
fsynced in groups. Pub/sub forgets who is away: after a broken connection it subscribes again and
reads every stored result ("read"), so that a gap of its own does not look like a lost task. TERM:
takes what is still coming, and ends.
"""

from __future__ import annotations

import hashlib
import json
import os
import signal
import sys
import time
from collections.abc import Iterator
from typing import Any

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry

PATTERN = "celery-task-meta-*"
TERMINAL = {"SUCCESS", "FAILURE", "REVOKED"}
#: After TERM it ends when nothing came for so long.
QUIET_S = 0.3
#: The result server may be restarting: how long to keep trying, and how often.
RETRY_FOR_S = 30.0
RETRY_EVERY_S = 0.1

Line = dict[str, Any]


class Subscriber:
    """Listens at `url` and appends to the file at `path` until `stop` is called."""

    def __init__(self, url: str, path: str) -> None:
        # No retries of redis-py's own: it would subscribe again in silence, and hide the gap.
        self._client = redis.Redis.from_url(
            url, socket_connect_timeout=5, retry=Retry(NoBackoff(), 0)
        )
        self._file = os.open(path, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o644)
        self._stopping = False

    def stop(self) -> None:
        self._stopping = True

    def run(self) -> None:
        """Listen, and come back after broken connections, until `stop`."""
        self._listen(first=True)
        broken_at = time.monotonic()
        while not self._stopping:
            try:
                self._listen(first=False)
                broken_at = time.monotonic()
            except redis.RedisError:
                if time.monotonic() - broken_at > RETRY_FOR_S:
                    raise
                time.sleep(RETRY_EVERY_S)

    def _listen(self, *, first: bool) -> None:
        """One connection's life. Ends when it breaks, or after `stop`."""
        pubsub = self._client.pubsub()
        pubsub.psubscribe(PATTERN)
        while (answer := pubsub.get_message(timeout=1.0)) is None:
            pass
        if answer["type"] != "psubscribe":
            raise redis.ConnectionError("the subscription was not confirmed")
        if first:
            print("ready", flush=True)
        else:
            self._write(self._stored())
        try:
            while True:
                lines = list(_arriving(pubsub, QUIET_S))
                self._write(lines)
                if self._stopping and not lines:
                    return
        except (redis.ConnectionError, redis.TimeoutError):
            return
        finally:
            pubsub.close()

    def _stored(self) -> Iterator[Line]:
        for key in self._client.scan_iter(match=PATTERN, count=1000):
            value = self._client.get(key)
            if isinstance(value, bytes) and (line := as_line(value, via="read")):
                yield line

    def _write(self, lines: Iterator[Line] | list[Line]) -> None:
        text = "".join(json.dumps(line, separators=(",", ":")) + "\n" for line in lines)
        if text:
            data = memoryview(text.encode())
            while data:
                data = data[os.write(self._file, data) :]
            os.fsync(self._file)


def _arriving(pubsub: Any, quiet_s: float) -> Iterator[Line]:
    """What arrives within `quiet_s` and, once something did, up to 1,000 that are there already."""
    wait_s = quiet_s
    for _ in range(1000):
        message = pubsub.get_message(timeout=wait_s)
        if message is None:
            return
        if message["type"] == "pmessage" and (line := as_line(message["data"], via="publish")):
            yield line
        wait_s = 0.0


def as_line(data: bytes, *, via: str) -> Line | None:
    """A terminal result as a line of the journal; None for any other message."""
    try:
        meta = json.loads(data)
    except ValueError:
        return None
    if not isinstance(meta, dict) or meta.get("status") not in TERMINAL:
        return None
    return {
        "id": meta.get("task_id"),
        "state": meta["status"],
        "digest": hashlib.sha256(data).hexdigest(),
        "at": time.time_ns() // 1_000_000,
        "godel": meta.get("godel"),
        "via": via,
    }


def main() -> None:
    if len(sys.argv) != 2 or not os.environ.get("DEMO_RESULT_URL"):
        sys.exit("usage: DEMO_RESULT_URL=redis://... subscriber.py FILE")
    subscriber = Subscriber(os.environ["DEMO_RESULT_URL"], sys.argv[1])
    signal.signal(signal.SIGTERM, lambda *_: subscriber.stop())
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for who started it
    subscriber.run()


if __name__ == "__main__":
    main()
