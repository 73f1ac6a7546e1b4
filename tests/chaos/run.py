"""Chaos itself: one long-lived world, a fault or two a round, and a verdict at the end."""

from __future__ import annotations

import contextlib
import json
import os
import random
import signal
import sys
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path

import redis

from tests.chaos.checker import Verdict, accepted_ids, judge
from tests.chaos.faults import KILL, PEOPLE, STALL, Fault, plan
from tests.chaos.subscriber import as_line
from tests.helpers import wait_until
from tests.keyleaks import leaks
from tests.world import World

CAPACITY = 8
#: Tasks a second of each producer: a good part of what the instances can run.
RATE = 60.0
TENANTS = {"ada": 4.0, "bob": 2.0, "cyd": 1.0, "dan": 1.0}
SETTINGS = {
    "backoff_base_s": 0.2,
    "drain_timeout_s": 5,
    "result_expires_s": 86_400,
}
#: Seconds in which everything that was accepted must be settled once the load has stopped.
DRAIN_S = 120.0
#: Seconds in which a process that was told to end must have ended.
END_S = 20.0


class Chaos:
    """`say` is given a line per round."""

    def __init__(self, folder: Path, seed: int, say: Callable[[str], None]) -> None:
        self._world = World(folder, **SETTINGS)
        self._rng = random.Random(seed)
        self._say = say
        self._problems: list[str] = []
        #: Names of processes that are down because of us.
        self._down: set[str] = set()

    def run(self, seed: int, rounds: int, seconds: float) -> Verdict:
        with self._world:
            self._begin()
            for number, faults in enumerate(plan(seed, rounds, seconds), 1):
                self._round(faults, seconds)
                told = "; ".join(map(str, faults))
                self._say(f"round {number}/{rounds}: {told}; {self._progress()}")
            return self._end(rounds)

    # -- the world -----------------------------------------------------------------------------

    def _begin(self) -> None:
        world = self._world
        for name, weight in TENANTS.items():
            world.tenant(name, weight=weight)
        results = str(world.journals / "results.jsonl")
        program = str(Path(__file__).with_name("subscriber.py"))
        url = world.server.url
        world.spawn("subscriber", [sys.executable, program, url, results]).wait_for("ready")
        for n in range(1, PEOPLE["dispatcher"] + 1):
            world.dispatcher(f"dispatcher{n}", ready=False)
        for n in range(1, PEOPLE["instance"] + 1):
            handler = "tests.chaos.handler:work"
            world.instance(f"instance{n}", handler, "--capacity", str(CAPACITY), ready=False)
        for n in range(1, PEOPLE["producer"] + 1):
            self._producer(f"producer{n}")
        for name, process in world.processes.items():
            process.wait_for(
                "dispatcher.up" if "dispatcher" in name
                else "listens on" if "instance" in name else "ready"
            )  # fmt: skip

    def _producer(self, name: str) -> None:
        """A producer with another seed each time: it must not submit the same again."""
        journal = self._world.journals / f"{name}.jsonl"
        command = [
            sys.executable, "-m", "tests.chaos.producer", "--journal", str(journal),
            "--tenants", ",".join(TENANTS), "--seed", str(self._rng.getrandbits(32)),
            "--rate", str(RATE),
        ]  # fmt: skip
        self._world.spawn(name, command)

    # -- a round -------------------------------------------------------------------------------

    def _round(self, faults: Iterable[Fault], seconds: float) -> None:
        steps: list[tuple[float, Callable[[Fault], None], Fault]] = []
        for fault in faults:
            steps.append((fault.after_s, self._strike, fault))
            steps.append((fault.after_s + fault.for_s, self._heal, fault))
        began = time.monotonic()
        for at, step, fault in sorted(steps, key=lambda entry: entry[0]):
            time.sleep(max(0.0, began + at - time.monotonic()))
            step(fault)
        time.sleep(max(0.0, began + seconds - time.monotonic()))
        self._look_after()

    def _strike(self, fault: Fault) -> None:
        self._down.add(fault.name)
        self._note(fault.act, fault.name)
        if fault.target == "server":
            if fault.act == KILL:
                kill_between_fsyncs(self._world)
            else:
                os.kill(self._world.server.info.pid, signal.SIGSTOP)
            return
        process = self._world.processes[fault.name]
        if fault.act == KILL:
            process.kill()
        elif fault.act == STALL:
            process.stall()
        else:
            process.terminate()

    def _heal(self, fault: Fault) -> None:
        world = self._world
        if fault.target == "server":
            if fault.act == STALL:
                os.kill(world.server.info.pid, signal.SIGCONT)
            else:
                wait_until(lambda: not world.server.alive(), description="the server is dead")
                world.server.start()
        elif fault.act == STALL:
            world.processes[fault.name].resume()
        else:
            self._ended(fault.name)
            self._restart(fault.name)
        self._note("heal", fault.name)
        self._down.discard(fault.name)

    def _ended(self, name: str) -> None:
        process = self._world.processes[name]
        try:
            process.wait(END_S)
        except Exception:
            self._problems.append(f"{process!r} was told to end, and did not in {END_S:.0f} s")
            process.kill()

    def _restart(self, name: str) -> None:
        if name.startswith("producer"):
            self._producer(name)
            return
        if name.startswith("instance"):
            # For the checker: what ran before this line is over.
            path = self._world.journals / f"instances-{name}.jsonl"
            with path.open("a") as journal:
                journal.write(json.dumps({"event": "boot", "id": "", "at": _now_ms()}) + "\n")
        self._world.processes[name].start()

    def _look_after(self) -> None:
        """Whoever ended without our doing is a finding, and is started again."""
        for name, process in list(self._world.processes.items()):
            if name not in self._down and not process.alive:
                self._problems.append(f"{process!r} ended by itself, see {process.log}")
                self._restart(name)

    def _note(self, act: str, name: str) -> None:
        with (self._world.journals / "faults.jsonl").open("a") as journal:
            journal.write(json.dumps({"event": act, "target": name, "at": _now_ms()}) + "\n")

    def _progress(self) -> str:
        status = [self._world.tenant_status(name) for name in TENANTS]
        ended = sum(s.succeeded + s.failed + s.expired + s.cancelled for s in status)
        submitted = sum(s.submitted for s in status)
        in_flight = sum(s.in_flight for s in status)
        return f"submitted {submitted}, settled {ended}, in flight {in_flight}"

    # -- the end -------------------------------------------------------------------------------

    def _end(self, rounds: int) -> Verdict:
        world = self._world
        self._stop(n for n in world.processes if n.startswith("producer"))
        with contextlib.suppress(AssertionError):
            wait_until(
                lambda: world.unsettled() == 0,
                description="all is settled",
                timeout=DRAIN_S,
                every=0.1,
            )
        unsettled = world.unsettled()
        with redis.Redis.from_url(world.server.url) as client:
            self._await_outboxes(client)
            self._stop(["subscriber"])
            stored = dict(_take_results(client, accepted_ids(world.journals)))
            self._problems += self._left_over(client)
            self._stop(n for n in world.processes if n.startswith("dispatcher"))
            self._problems += [f"after the end: {leak}" for leak in _leaks(client)]
            self._problems += [f"a lease is left: {name}" for name in world.leases()]
        self._problems += self._skewed()
        verdict = judge(
            world.journals, stored, rounds=rounds, unsettled=unsettled, capacity=CAPACITY
        )
        verdict.problems += self._problems
        return verdict

    def _stop(self, names: Iterable[str]) -> None:
        chosen = list(names)
        for name in chosen:
            self._down.add(name)
            self._world.processes[name].terminate()
        for name in chosen:
            self._ended(name)

    def _await_outboxes(self, client: redis.Redis) -> None:
        with contextlib.suppress(AssertionError):
            wait_until(
                lambda: not list(client.scan_iter("godel:*:outbox:*", count=1000)),
                description="everything is published", timeout=30,
            )  # fmt: skip

    def _left_over(self, client: redis.Redis) -> list[str]:
        """Keys that should be gone with nothing left to do; slots of stalled runs take a while."""
        with contextlib.suppress(AssertionError):
            wait_until(
                lambda: not _leaks(client),
                description="no key is left over", timeout=20, every=0.2,
            )  # fmt: skip
        return _leaks(client)

    def _skewed(self) -> Iterator[str]:
        """Counters that do not add up."""
        for name in TENANTS:
            s = self._world.tenant_status(name)
            ended = s.succeeded + s.failed + s.expired + s.cancelled
            if s.depth or s.in_flight or ended != s.submitted:
                yield f"tenant {name} does not add up: {s}"


def kill_between_fsyncs(world: World) -> None:
    """SIGKILL for the server, as soon as no fsync is under way.

    With `appendfsync everysec` a server whose background fsync is not done yet answers its clients
    and puts off its write() for up to 2 s: what it acknowledged in that time dies with it. That is
    the durability level in force, not a loss of Godel's; `appendfsync always` has no such time.
    """
    with redis.Redis.from_url(world.server.url) as client:

        def no_fsync() -> bool:
            return int(client.info("persistence")["aof_pending_bio_fsync"]) == 0

        wait_until(no_fsync, description="no fsync is under way", every=0.001)
        os.kill(world.server.info.pid, signal.SIGKILL)


def _take_results(client: redis.Redis, ids: list[str]) -> Iterator[tuple[str, str]]:
    """Digests of the stored terminal results; all results are then dropped from the server."""
    for i in range(0, len(ids), 1000):
        keys = [f"celery-task-meta-{task_id}" for task_id in ids[i : i + 1000]]
        for value in client.mget(keys):
            line = as_line(value) if isinstance(value, bytes) else None
            if line:
                yield line["id"], line["digest"]
    for key in client.scan_iter("celery-task-meta-*", count=1000):
        client.unlink(key)


def _leaks(client: redis.Redis) -> list[str]:
    """Keys that should not be there, with nothing left to do; the broker's own are kombu's."""
    return [leak for leak in leaks(client, quiet=True) if not leak.startswith("_kombu.")]


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
