"""A worker process that calls a backend behind a shared breaker, as fast as it can.

    python -m tests.breakers.hammer URL NAME hammer|hold

It begins when `go` stands. The backend is a key: it fails while `sick` stands. Moves and probes
that this process hears of go to lists. `hold` takes one permit, says so, and never gives it back.
"""

from __future__ import annotations

import itertools
import sys
import time

import redis

from godel_tasks.domain.breaker import BreakerConfig, BreakerState
from godel_tasks.store.breakers import BreakerCommands, BreakerReply
from godel_tasks.store.executor import SyncExecutor, connect_sync

BREAKER = "backend"
CONFIG = BreakerConfig(
    window_s=10, min_calls=20, open_s=0.5, half_open_permits=5, success_threshold=5,
    permit_lease_s=0.6,
)  # fmt: skip


def main(url: str, name: str, act: str) -> None:
    executor, commands = SyncExecutor(connect_sync(url)), BreakerCommands()
    client = redis.Redis.from_url(url)

    def heard(reply: BreakerReply) -> None:
        if reply.moved:
            client.rpush("moves", f"{reply.before} {reply.snapshot.state}")

    client.rpush("ready", name)
    while not client.exists("go"):
        time.sleep(0.005)
    for number in itertools.count():
        permit = f"{name}/{number}"
        reply = executor.run(commands.acquire(BREAKER, permits=[permit]))
        heard(reply)
        if not reply.granted:
            time.sleep(0.01)
            continue
        probes = reply.snapshot.state is BreakerState.HALF_OPEN
        if probes:
            client.rpush("probes", permit)
        if act == "hold":
            print("holds", flush=True)
            sys.stdin.read()
        letter = "f" if client.exists("sick") else "o"
        told = {"probes": {permit: letter}} if probes else {"outcomes": letter}
        heard(executor.run(commands.report(BREAKER, config=CONFIG, reporter=name, live=8, **told)))


if __name__ == "__main__":
    main(*sys.argv[1:])
