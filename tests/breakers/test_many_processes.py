"""One breaker, many processes: it moves once, and lets the permitted probes through, no more."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
import redis

from godel_tasks.domain.breaker import BreakerSnapshot, BreakerState
from godel_tasks.store.breakers import BreakerCommands
from godel_tasks.store.executor import SyncExecutor, connect_sync
from tests.breakers.hammer import BREAKER, CONFIG
from tests.helpers import wait_until

ROOT = Path(__file__).parents[2]


class Backend:
    """The backend's key, the breaker, and the processes that call."""

    def __init__(self, url: str) -> None:
        self.url = url
        self.client = redis.Redis.from_url(url, decode_responses=True)
        self.executor = SyncExecutor(connect_sync(url))
        self.callers: list[subprocess.Popen[str]] = []

    def call_from(self, name: str, act: str = "hammer") -> subprocess.Popen[str]:
        process = subprocess.Popen(
            [sys.executable, "-m", "tests.breakers.hammer", self.url, name, act],
            cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )  # fmt: skip
        self.callers.append(process)
        return process

    def go(self, callers: int) -> None:
        """Let them begin at once, when all of them are there."""
        wait_until(
            lambda: self.client.llen("ready") == callers, description="all are there", timeout=30
        )
        self.client.set("go", 1)

    def breaker(self) -> BreakerSnapshot:
        return self.executor.run(BreakerCommands().read(BREAKER))

    def wait_for(self, state: BreakerState) -> BreakerSnapshot:
        def there() -> BreakerSnapshot | None:
            snapshot = self.breaker()
            return snapshot if snapshot.state is state else None

        return wait_until(there, description=f"the breaker is {state}", timeout=20, every=0.002)

    def close(self) -> None:
        for caller in self.callers:
            caller.kill()
            caller.communicate()
        self.executor.close()
        self.client.close()


@pytest.fixture
def backend(redis_url: str) -> Iterator[Backend]:
    backend = Backend(redis_url)
    yield backend
    backend.close()


def test_eight_processes_move_it_once_and_make_exactly_the_permitted_probes(
    backend: Backend,
) -> None:
    # Given a backend that fails, and eight processes that call it as fast as they can
    backend.client.set("sick", 1)
    for number in range(8):
        backend.call_from(f"w{number}")
    backend.go(8)
    # When enough of their calls have failed
    opened = backend.wait_for(BreakerState.OPEN)
    # Then it is open for exactly its time, by what at least two of them saw
    assert opened.until_ms - opened.since_ms == 500
    assert opened.calls == opened.failures >= 20
    assert opened.reporters >= 2
    # And when the backend is well again, it closes by itself
    backend.client.delete("sick")
    closed = backend.wait_for(BreakerState.CLOSED)
    assert closed.since_ms >= opened.until_ms
    wait_until(lambda: backend.breaker().calls >= 200, description="everybody calls again")
    # After exactly five probes over all of them
    assert backend.client.llen("probes") == CONFIG.half_open_permits == 5
    # And each move was heard of by exactly one of them
    moves = backend.client.lrange("moves", 0, -1)
    assert moves == ["closed open", "open half-open", "half-open closed"]
    assert backend.breaker().state is BreakerState.CLOSED


def test_a_process_that_dies_with_a_permit_gives_it_back(backend: Backend) -> None:
    # Given an open breaker whose time is up, and five processes that take a permit each
    commands = BreakerCommands()
    report = commands.report(BREAKER, config=CONFIG, reporter="me", outcomes="f" * 20)
    assert backend.executor.run(report).snapshot.state is BreakerState.OPEN
    holders = [backend.call_from(f"h{number}", "hold") for number in range(5)]
    backend.go(5)
    for holder in holders:
        assert holder.stdout
        assert holder.stdout.readline() == "holds\n"
    half_open = backend.breaker()
    # When one is killed in the middle of its probe
    holders[0].kill()
    # Then others can have its permit once its lease is over, and not before
    ask = commands.acquire(BREAKER, permits=["mine"])
    reply = wait_until(
        lambda: reply if (reply := backend.executor.run(ask)).granted else None,
        description="the dead one's permit comes back",
    )
    assert reply.snapshot.now_ms - half_open.since_ms >= CONFIG.permit_lease_s * 1000
