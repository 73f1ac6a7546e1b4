"""How soon work goes on elsewhere: `python -m benchmarks.failover [--json] [--seed N]`.

Twenty instance processes and two dispatchers under a load that keeps every slot busy. Five are
killed (-9), five stopped (SIGSTOP) and five cut off from everybody (packets vanish, nothing is
reset), each kind in a phase of its own; then all of them come back.

    killed, stopped, cut  per victim, the time from the fault until the last task that ran there at
                          that moment runs on an instance that was not struck: p50 and max
    unreachable           the same for three that dispatchers cannot reach while heartbeats go on
    slow                  two whose turns take 20 times as long: their part of new work, 1 is fair
    lost                  accepted tasks without a readable result at the end
    duplicates            settlements beyond one per task, and tasks with differing results
    failed, slots_left    tasks that did not succeed; slots in use when nothing runs any more
    over_capacity         instances that ran more at once than they may

`misrouted` tasks were claimed for a victim after the fault; `misrouted_max_s` is how long the
slowest of them then took to run elsewhere. `back_s`: from the end of the fault until every victim
ran something again. Executions are counted by the instances' own journals.
"""

from __future__ import annotations

import argparse
import asyncio
import random
import tempfile
import time
from pathlib import Path
from typing import Any

from benchmarks.calibrate import calibrate
from benchmarks.common import emit, machine, tidy
from benchmarks.faults import (
    CUT,
    KILLED,
    SLOW,
    STOPPED,
    UNREACHABLE,
    VICTIMS,
    Fleet,
    plan,
)
from benchmarks.journals import Journals, Runs, failover_times, peak, reruns, shares
from benchmarks.load import Answers, Load, keeping, listening, steady
from benchmarks.world import World, world

#: Seconds of load before each fault, and between looks.
STEADY_S = 2.0
LOOK_EVERY_S = 0.1
#: Seconds until what has not been run elsewhere is told as such.
LIMIT_S = 30.0
#: Seconds that slow instances are watched.
SLOW_S = 12.0
#: Seconds in which all victims must be back, and in which everything must be settled at the end.
BACK_S = 30.0
END_S = 90.0
#: Seconds that a turn takes.
TURN_S = (0.4, 1.2)

Phase = dict[str, Any]


class Round:
    """All faults, one after the other, in one world."""

    def __init__(self, w: World, fleet: Fleet, answers: Answers) -> None:
        self._world = w
        self._fleet = fleet
        self._answers = answers
        self.journals = Journals(fleet.journals)
        self.found: dict[str, dict[str, dict[str, float | None]]] = {}
        self.phases: dict[str, Phase] = {}

    async def run(self) -> None:
        await self._serving(self._fleet.names, 0)
        for kind in (KILLED, STOPPED, CUT, UNREACHABLE):
            await self._phase(kind)
        await self._slow()

    async def _phase(self, kind: str) -> None:
        await asyncio.sleep(STEADY_S)
        struck = self._fleet.strike(kind, self._world.supervisor)
        first_ms = min(struck.values())
        misrouted: dict[str, int] = {}
        ends_at = time.monotonic() + LIMIT_S
        settles_at = time.monotonic() + STEADY_S
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            self._collect(struck, misrouted)
            found = reruns(self.journals.look(), struck, self._answers.settled_on)
            waits = any(None in tasks.values() for tasks in found.values())
            now = time.monotonic()
            if now > ends_at or (now > settles_at and not waits):
                break
        self.found[kind] = found
        healed_ms = time.time_ns() // 1_000_000
        await self._fleet.heal(kind, self._world.supervisor)
        back_s = await self._serving(list(struck), healed_ms)
        waits_s = _waits(self.journals.look(), misrouted, struck)
        self.phases[kind] = {
            "misrouted": len(misrouted),
            "misrouted_max_s": tidy(max(waits_s, default=0.0)),
            "back_s": tidy(back_s),
            "watched_s": tidy((healed_ms - first_ms) / 1000),
        }

    def _collect(self, struck: dict[str, int], misrouted: dict[str, int]) -> None:
        """Tasks that are held for a victim and were claimed after it was struck."""
        runtime = self._world.runtime
        leases = runtime.cells[0].leases
        names = runtime.store.run(runtime.cells[0].lookup.dispatchers())
        for held in runtime.store.pipeline([leases.held(dispatcher=name) for name in names]):
            for task in held:
                at_ms = struck.get(task.instance_id)
                if at_ms is not None and task.claimed_ms > at_ms:
                    misrouted.setdefault(task.record.task_id, task.claimed_ms)

    async def _serving(self, names: list[str], since_ms: int) -> float:
        """Until each of them has begun a task since then; the seconds it took."""
        began = time.monotonic()
        while True:
            runs = self.journals.look()
            served = {run.instance for run in runs if run.started_ms > since_ms}
            left = [name for name in names if name not in served]
            if not left:
                return time.monotonic() - began
            if time.monotonic() - began > BACK_S:
                raise TimeoutError(f"nothing ran within {BACK_S:.0f} s on {', '.join(left)}")
            await asyncio.sleep(LOOK_EVERY_S)

    async def _slow(self) -> None:
        victims = self._fleet.victims[SLOW]
        before_ms = time.time_ns() // 1_000_000
        await asyncio.sleep(STEADY_S)
        before = shares(self.journals.look(), self._fleet.names, victims, before_ms)
        struck_ms = max(self._fleet.strike(SLOW, self._world.supervisor).values())
        await asyncio.sleep(SLOW_S)
        after = shares(self.journals.look(), self._fleet.names, victims, struck_ms)
        held = sum(
            run.instance in victims and not run.ended_ms and run.started_ms >= struck_ms
            for run in self.journals.runs
        )
        await self._fleet.heal(SLOW, self._world.supervisor)
        self.phases[SLOW] = {
            "share_before": tidy(before),
            "share_after": tidy(after),
            "held_there": held,
            "watched_s": SLOW_S,
        }


def _waits(runs: Runs, misrouted: dict[str, int], struck: dict[str, int]) -> list[float]:
    """Seconds from such a claim until the task ran on somebody who was not struck."""
    return [
        (min(starts) - claimed_ms) / 1000
        for task_id, claimed_ms in misrouted.items()
        if (
            starts := [
                run.started_ms
                for run in runs.by_task.get(task_id, [])
                if run.instance not in struck and run.started_ms >= claimed_ms
            ]
        )
    ]


async def slots_left(w: World, names: list[str]) -> int:
    """Slots in use or orphaned when nothing runs: an orphan is freed once its instance is asked."""
    registry, store = w.runtime.registry, w.runtime.store
    looks = [command for name in names for command in registry.slots_used(instance_id=name)]
    ends_at = time.monotonic() + BACK_S
    while (used := store.pipeline(looks)) and any(used) and time.monotonic() < ends_at:
        await asyncio.sleep(0.2)
    return int(sum(used))


async def one_round(options: argparse.Namespace, seed: int) -> tuple[Round, dict[str, Any]]:
    rng = random.Random(seed)
    names = [f"i{n:02d}" for n in range(1, options.instances + 1)]
    with tempfile.TemporaryDirectory(prefix="godel-fo-") as folder:
        fleet = Fleet(Path(folder), names, plan(names, rng), options.capacity)
        try:
            async with world(
                handler="", instances=0, instance_processes=0, dispatchers=options.dispatchers,
                tenants=options.tenants, more=fleet.specs,
            ) as w, listening(w.server.url) as answers:  # fmt: skip
                slots = options.instances * options.capacity

                def payload(number: int) -> object:
                    slow = str(fleet.slow_folder)
                    return {"s": rng.uniform(*TURN_S), "n": number, "slow": slow}

                full = options.fill >= 1
                turn_s = sum(TURN_S) / len(TURN_S)
                wanted = keeping(w, slots) if full else steady(options.fill * slots / turn_s)
                load = Load(w, payload, wanted)
                load.start()
                try:
                    done = Round(w, fleet, answers)
                    await done.run()
                    await load.stop()
                    lost = await load.unsettled(END_S)
                    left = await slots_left(w, names)
                    await asyncio.sleep(1.0)  # for what would come twice
                    runs = done.journals.look()
                    # Of those killed no journal says when their runs ended.
                    whole = [name for name in names if name not in fleet.victims[KILLED]]
                    return done, {
                        "seed": seed,
                        "accepted": len(load.ids),
                        "lost": lost,
                        "duplicates": load.extra_settlements() + answers.doubled,
                        "failed": len(answers.failed),
                        "slots_left": left,
                        "over_capacity": sum(
                            peak(runs.on(name)) > options.capacity for name in whole
                        ),
                        "executions": sum(1 for _ in runs),
                    }
                finally:
                    await load.stop()
                    await fleet.close(w.supervisor)
        finally:
            await fleet.close_wires()


async def run(options: argparse.Namespace) -> dict[str, Any]:
    done, told = [], []
    for number in range(options.rounds):
        one, figures = await one_round(options, options.seed + number)
        done.append(one)
        told.append({**figures, "phases": one.phases})
    return {
        **{kind: failover_times([one.found[kind] for one in done])
           for kind in (KILLED, STOPPED, CUT, UNREACHABLE)},
        "slow": done[-1].phases[SLOW],
        "lost": sum(one["lost"] for one in told),
        **{
            name: sum(one[name] for one in told)
            for name in ("duplicates", "failed", "slots_left", "over_capacity")
        },
        "rounds": told,
        "settings": {
            **{name: getattr(options, name)
               for name in ("instances", "capacity", "fill", "dispatchers", "tenants", "seed")},
            "victims": VICTIMS,
            "turn_s": TURN_S,
            "limit_s": LIMIT_S,
        },
        "machine": machine(),
        "calibration": calibrate(),
    }  # fmt: skip


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else "")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument("--instances", type=int, default=20, help="at least 20")
    parser.add_argument("--capacity", type=int, default=4, help="turns at once on an instance")
    parser.add_argument("--fill", type=float, default=1.0, help="busy share of slots; 1: all")
    parser.add_argument("--dispatchers", type=int, default=2)
    parser.add_argument("--tenants", type=int, default=4)
    parser.add_argument("--rounds", type=int, default=1, help="each with the next seed")
    parser.add_argument(
        "--seed", type=int, default=1, help="who is struck, and how long turns take"
    )
    options = parser.parse_args()
    if options.instances < sum(VICTIMS.values()):
        parser.error(f"--instances: {sum(VICTIMS.values())} are struck, each once")
    emit(asyncio.run(run(options)), as_json=options.json)


if __name__ == "__main__":
    main()
