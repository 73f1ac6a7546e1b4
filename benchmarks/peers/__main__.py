"""Godel and other task queues drain the same no-op: `python -m benchmarks.peers [--json]`.

    <name>              tasks a second, the median of the rounds
    about.settings      what each ran with
    about.not_measured  who has no figure, and why
    about.rounds        the figure of each round
    about.notes         in what they differ

Each takes its turn on a fresh embedded server (AOF every second) with nothing else running: its
client enqueues the backlog, one message a task, then its workers start and drain it. Timed from the
first to the last stored result; then every task has to be acknowledged, and its result read back as
successful by the library itself. `--variants` runs every variant of settings that was tried.

The first run installs the peers under build/peers/, from locks, with pip and npm.
"""

from __future__ import annotations

import argparse
import asyncio
import statistics
import sys
from collections.abc import Sequence
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


def say(text: str) -> None:
    print(text, file=sys.stderr)


def tasks_of(peer: Peer, tasks: int) -> int:
    return max(1, round(tasks * peer.share))


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


async def turn(peer: Peer, settings: Settings, tasks: int) -> float:
    stretch = await drain(peer, settings, tasks_of(peer, tasks))
    say(f"{peer.name}: {stretch.tasks_per_s:.0f} /s over {stretch.seconds:.1f} s {dict(settings)}")
    return stretch.tasks_per_s


async def measure(peers: Sequence[Peer], *, tasks: int, rounds: int) -> dict[str, Any]:
    """All figures; peers take turns, so that what the machine does meanwhile hits all alike."""
    not_measured: dict[str, str] = {}
    there = prepared(peers, not_measured)
    seen: dict[str, list[float]] = {peer.name: [] for peer in there}
    for _ in range(rounds):
        for peer in there:
            if peer.name in not_measured:
                continue
            try:
                seen[peer.name].append(await turn(peer, peer.variants[0], tasks))
            except NotMeasured as reason:
                not_measured[peer.name] = str(reason)
                say(f"{peer.name} is not measured: {reason}")
    whole = {name: rates for name, rates in seen.items() if name not in not_measured}
    figures = {name: tidy(statistics.median(rates)) for name, rates in whole.items()}
    return {
        **figures,
        "about": {
            "settings": {p.name: {**p.variants[0], "tasks": tasks_of(p, tasks)} for p in there},
            "fixed": {p.name: p.fixed for p in there},
            "server": SERVER,
            "notes": {p.name: p.note for p in there},
            "not_measured": not_measured,
            "rounds": {name: [tidy(rate) for rate in rates] for name, rates in whole.items()},
            "machine": machine(),
            "calibration": calibrate(),
        },
    }


async def try_variants(peers: Sequence[Peer], *, tasks: int, rounds: int) -> dict[str, Any]:
    """`{name: [[settings, tasks_per_s or why not], ...]}`, the median of the rounds."""
    not_measured: dict[str, str] = {}
    tried: dict[str, Any] = {}
    for peer in prepared(peers, not_measured):
        tried[peer.name] = []
        for settings in peer.variants:
            try:
                rates = [await turn(peer, settings, tasks) for _ in range(rounds)]
                answer: Any = tidy(statistics.median(rates))
            except NotMeasured as reason:
                answer = str(reason)
            tried[peer.name].append([dict(settings), answer])
    return {**tried, "about": {"not_measured": not_measured, "calibration": calibrate()}}


def main() -> None:
    names = [peer.name for peer in PEERS]
    parser = argparse.ArgumentParser(description="The same no-op drained by Godel and its peers.")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--tasks", type=int, default=TASKS, help="of a drain; see about.settings")
    parser.add_argument("--rounds", type=int, default=ROUNDS)
    parser.add_argument("--only", nargs="+", choices=names, default=names, metavar="NAME")
    parser.add_argument(
        "--variants", action="store_true", help="compare the settings that were tried"
    )
    options = parser.parse_args()
    chosen = [peer for peer in PEERS if peer.name in options.only]
    rounds = max(1, options.rounds)
    work = (
        try_variants(chosen, tasks=options.tasks, rounds=rounds)
        if options.variants
        else measure(chosen, tasks=options.tasks, rounds=rounds)
    )
    emit(asyncio.run(work), as_json=options.json)


if __name__ == "__main__":
    main()
