"""Godel and other task queues drain the same no-op: `python -m benchmarks.peers [--json]`.

    <name>              tasks a second, the median of the rounds
    about.settings      what each ran with
    about.not_measured  who has no figure, and why
    about.rounds        the figure of each round
    about.notes         in what they differ

Each takes its turn on a fresh embedded server (AOF every second) with nothing else running: its
client enqueues the backlog, one message a task, then its workers start and drain it. The clock runs
from the first task taken to the last result stored. Then every task has to be acknowledged, and its
result read back as successful by the library itself.

`--variants` compares the settings that were tried for each; the first of them is the one measured.
The first run installs the peers under build/peers/, from locks, with pip and npm.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from benchmarks.calibrate import calibrate
from benchmarks.common import emit, machine, tidy
from benchmarks.peers.arq import ArqPeer
from benchmarks.peers.bullmq import BullMQPeer
from benchmarks.peers.celery import CeleryPeer
from benchmarks.peers.drain import drain
from benchmarks.peers.dramatiq import DramatiqPeer
from benchmarks.peers.godel import GodelPeer
from benchmarks.peers.install import NotMeasured
from benchmarks.peers.peer import Peer, Settings
from benchmarks.peers.taskiq import TaskiqPeer

PEERS: tuple[Peer, ...] = (
    GodelPeer(),
    CeleryPeer(),
    DramatiqPeer(),
    TaskiqPeer(),
    ArqPeer(),
    BullMQPeer(),
)
TASKS = 10_000
ROUNDS = 3
SERVER = "Valkey as Godel embeds it: unix socket, AOF everysec, noeviction; results in database 1"


@dataclass
class Contender:
    """A peer with one variant of its settings, and what came out."""

    peer: Peer
    settings: Settings
    tasks: int
    rates: list[float] = field(default_factory=list)
    failure: str = ""

    async def turn(self) -> None:
        """Drain once; after a failure never again."""
        if self.failure:
            return
        try:
            seconds = await drain(self.peer, self.settings, self.tasks)
        except NotMeasured as reason:
            self.failure = str(reason)
            say(f"{self.peer.name} is not measured: {reason}")
            return
        self.rates.append(self.tasks / seconds)
        say(f"{self.peer.name}: {self.tasks} in {seconds:.2f} s, {self.rates[-1]:.0f} /s")

    @property
    def tasks_per_s(self) -> float:
        return tidy(statistics.median(self.rates))


def say(text: str) -> None:
    print(text, file=sys.stderr)


def prepared(peers: Sequence[Peer], not_measured: dict[str, str]) -> list[Peer]:
    """Those that are installed, or could be; why the others are not is written down."""
    there = []
    for peer in peers:
        if not peer.ready:
            say(f"installing {peer.name} under build/peers/")
        try:
            peer.prepare()
        except NotMeasured as reason:
            not_measured[peer.name] = str(reason)
            say(f"{peer.name} is not measured: {reason}")
        else:
            there.append(peer)
    return there


async def take_turns(contenders: Sequence[Contender], rounds: int) -> None:
    """In turns, so that what the machine does meanwhile hits all of them alike."""
    for _ in range(rounds):
        for contender in contenders:
            await contender.turn()


async def measure(peers: Sequence[Peer], *, tasks: int, rounds: int) -> dict[str, Any]:
    """All figures."""
    not_measured: dict[str, str] = {}
    contenders = [
        Contender(peer, peer.variants[0], max(1, round(tasks * peer.share)))
        for peer in prepared(peers, not_measured)
    ]
    await take_turns(contenders, rounds)
    not_measured |= {one.peer.name: one.failure for one in contenders if one.failure}
    whole = [one for one in contenders if not one.failure]
    return {
        **{one.peer.name: one.tasks_per_s for one in whole},
        "about": {
            "settings": {one.peer.name: {**one.settings, "tasks": one.tasks} for one in contenders},
            "fixed": {one.peer.name: one.peer.fixed for one in contenders},
            "server": SERVER,
            "notes": {one.peer.name: one.peer.note for one in contenders},
            "not_measured": not_measured,
            "rounds": {one.peer.name: [tidy(rate) for rate in one.rates] for one in whole},
            "machine": machine(),
            "calibration": calibrate(),
        },
    }


async def compare_variants(peers: Sequence[Peer], *, tasks: int, rounds: int) -> dict[str, Any]:
    """`{name: [[settings, tasks_per_s or why not], ...]}`, in the order of `Peer.variants`."""
    not_measured: dict[str, str] = {}
    tried: dict[str, Any] = {}
    for peer in prepared(peers, not_measured):
        count = max(1, round(tasks * peer.share))
        contenders = [Contender(peer, settings, count) for settings in peer.variants]
        await take_turns(contenders, rounds)
        tried[peer.name] = [
            [dict(one.settings), one.failure or one.tasks_per_s] for one in contenders
        ]
    return {**tried, "about": {"not_measured": not_measured, "calibration": calibrate()}}


def main() -> None:
    names = [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser(description="The same no-op drained by Godel and its peers.")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--tasks", type=int, default=TASKS, help="of a drain; see about.settings")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument("--variants", action="store_true", help="compare the settings tried")
    options = parser.parse_args()
    chosen = [peer for peer in PEERS if peer.name in options.only]
    work = compare_variants if options.variants else measure
    figures = work(chosen, tasks=options.tasks, rounds=max(1, options.rounds))
    emit(asyncio.run(figures), as_json=options.json)


if __name__ == "__main__":
    main()
