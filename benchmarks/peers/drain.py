"""One drain: enqueue the backlog, start the workers, time until every result is stored.

The clock runs from the first look that finds a task taken from the queue to the first one that
finds every result stored. So a worker's starting up is not part of it, and its first batch is.
"""

from __future__ import annotations

import asyncio
import os
import subprocess
import tempfile
import time
from pathlib import Path

import redis

from benchmarks.common import own_server, processes
from benchmarks.peers.install import NotMeasured
from benchmarks.peers.peer import Look, Peer, Settings, read_ids, results_url
from godel_tasks.embedded import EmbeddedServer
from godel_tasks.supervisor.supervisor import Supervisor

#: Seconds between two looks: one cheap command each.
LOOK_EVERY_S = 0.01
#: Without a task taken, or a further result, for so long a drain has failed.
STALLED_S = 20.0
#: From the last result to the last acknowledgement.
ACKNOWLEDGED_S = 5.0
CLIENT_TIMEOUT_S = 300.0


async def drain(peer: Peer, settings: Settings, tasks: int) -> float:
    """Drain so many no-ops on a server of its own; answers the seconds that it took.

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
                seconds = await timed(peer, look, workers)
                await acknowledged(peer, look)
        answer = await asyncio.to_thread(client, peer, server, settings, "verify", str(ids))
        if int(answer) != tasks:
            raise NotMeasured(f"{int(answer)} of {tasks} results are there and successful")
        return seconds


async def timed(peer: Peer, look: Look, workers: Supervisor) -> float:
    """Seconds from the first task taken to the last result stored."""
    moved = time.monotonic()
    while not peer.begun(look):
        await again(workers, moved, "no task was taken")
    begun = moved = time.monotonic()
    seen = 0
    while (stored := peer.stored(look)) < look.tasks:
        if stored > seen:
            seen, moved = stored, time.monotonic()
        await again(workers, moved, f"stalled at {seen} of {look.tasks} results")
    return time.monotonic() - begun


async def again(workers: Supervisor, moved: float, otherwise: str) -> None:
    """Wait for the next look. Raises `NotMeasured` if nothing can be hoped for."""
    if ended := [child.spec.name for child in workers.children if child.state == "ended"]:
        raise NotMeasured(f"{', '.join(ended)} ended: {otherwise}")
    if time.monotonic() - moved > STALLED_S:
        raise NotMeasured(otherwise)
    await asyncio.sleep(LOOK_EVERY_S)


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
