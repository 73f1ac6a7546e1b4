"""One drain: enqueue the backlog, start the workers, time until every result is stored.

The clock runs from the first look that finds a result stored to the first one that finds all of
them; what the first look found is not counted. So starting up is not part of it, for anybody.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import redis

from benchmarks.common import own_server, processes
from benchmarks.peers.install import NotMeasured
from benchmarks.peers.peer import Look, Peer, Settings, read_ids, results_url
from godel_tasks.embedded import EmbeddedServer
from godel_tasks.supervisor.supervisor import Supervisor

#: Seconds between two looks: one cheap command each.
LOOK_EVERY_S = 0.01
#: Without a further result for so long a drain has failed.
STALLED_S = 20.0
#: From the last result to the last acknowledgement.
ACKNOWLEDGED_S = 5.0
CLIENT_TIMEOUT_S = 300.0


@dataclass(frozen=True, slots=True)
class Stretch:
    """The part of a drain that was timed."""

    counted: int
    seconds: float

    @property
    def tasks_per_s(self) -> float:
        return self.counted / self.seconds


async def drain(peer: Peer, settings: Settings, tasks: int) -> Stretch:
    """Drain so many no-ops on a server of its own.

    Raises `NotMeasured` if not every task has a readable result and an acknowledgement.
    """
    with own_server() as server, tempfile.TemporaryDirectory() as folder:
        ids = Path(folder) / "ids.json"
        await asyncio.to_thread(client, peer, server, settings, "enqueue", str(tasks), str(ids))
        if (accepted := len(set(read_ids(ids)))) != tasks:
            raise NotMeasured(f"{accepted} of {tasks} tasks were accepted")
        with (
            redis.Redis.from_url(server.url) as queue,
            redis.Redis.from_url(results_url(server.url)) as results,
        ):
            look = Look(queue, results, tasks)
            # The fleet is ready before the workers start.
            async with (
                processes(peer.fleet(server, settings)),
                processes(peer.workers(server, settings)) as workers,
            ):
                stretch = await timed(peer, look, workers)
                await acknowledged(peer, look)
        answer = await asyncio.to_thread(client, peer, server, settings, "verify", str(ids))
        if int(answer) != tasks:
            raise NotMeasured(f"{int(answer)} of {tasks} results are there and successful")
        return stretch


async def timed(peer: Peer, look: Look, workers: Supervisor) -> Stretch:
    """Wait for the last result, and time it from the first."""
    at_first, begun = 0, 0.0
    seen, moved = 0, time.monotonic()
    while seen < look.tasks:
        await asyncio.sleep(LOOK_EVERY_S)
        now, stored = time.monotonic(), peer.stored(look)
        if stored and not at_first:
            at_first, begun = stored, now
        if stored > seen:
            seen, moved = stored, now
        elif now - moved > STALLED_S:
            raise NotMeasured(f"stalled at {seen} of {look.tasks} results")
        if ended := [c.spec.name for c in workers.children if c.state == "ended"]:
            raise NotMeasured(f"{', '.join(ended)} ended at {seen} of {look.tasks} results")
    if at_first >= look.tasks:
        raise NotMeasured(f"{look.tasks} tasks are too few: all were done at the first look")
    return Stretch(look.tasks - at_first, time.monotonic() - begun)


async def acknowledged(peer: Peer, look: Look) -> None:
    """Wait until nothing is left in the queue, beside the clock."""
    ends_at = time.monotonic() + ACKNOWLEDGED_S
    while left := peer.left(look):
        if time.monotonic() > ends_at:
            raise NotMeasured(f"{left} tasks have a result and no acknowledgement")
        await asyncio.sleep(LOOK_EVERY_S)


def client(peer: Peer, server: EmbeddedServer, settings: Settings, *arguments: str) -> str:
    """Run a command of the peer's client; answers what it printed."""
    ended = subprocess.run(
        [*peer.client, *arguments],
        env={**os.environ, **peer.environment(server, settings)},
        capture_output=True,
        text=True,
        timeout=CLIENT_TIMEOUT_S,
        check=False,
    )
    if ended.returncode:
        said = ended.stderr.strip().splitlines() or ["no word why"]
        raise NotMeasured(f"its client could not {arguments[0]}: {said[-1]}")
    return ended.stdout
