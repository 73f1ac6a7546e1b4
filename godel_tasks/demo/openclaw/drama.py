"""What is done to the demo while it works: a dispatcher is killed, then a gateway, which is started
again. A story in order; each step waits for the one before it."""

from __future__ import annotations

import asyncio
import signal
import time
from collections.abc import Awaitable, Callable, Iterable

from godel_tasks.demo.journal import Journal
from godel_tasks.demo.openclaw.held import Turn, held_turns, process_of, unsettled
from godel_tasks.demo.openclaw.house import Stage
from godel_tasks.demo.openclaw.plan import is_long
from godel_tasks.demo.openclaw.together import together
from godel_tasks.errors import GodelError

LOOK_EVERY_S = 0.2
#: Turns that a victim runs when it is killed, at least.
LEAST_RUNNING = 2
#: Seconds for which a gateway has run a long turn when it is killed: then it has written down that
#: it runs it, and takes it up again after its next start.
BEGUN_S = 2.0

Tell = Callable[[str], object]


class Drama:
    """Plays once. `journal` is told who was killed and what that hit, and when each turn had a live
    owner again."""

    def __init__(self, stage: Stage, journal: Journal, tell: Tell) -> None:
        self._stage = stage
        self._journal = journal
        self._tell = tell
        #: When a long turn was first seen to run, by (task, attempt).
        self._begun: dict[tuple[str, int], float] = {}

    async def play(self) -> None:
        """Raises `GodelError` when the work was over before it could be played."""
        await self._dispatcher_dies()
        await self._gateway_dies_and_comes_back()

    async def _dispatcher_dies(self) -> None:
        turns = await self._found(self._kill_dispatcher)
        name = process_of(turns[0].owner)
        running = [turn for turn in turns if turn.running]
        self._tell(
            f"kill -9 of {name}, which holds {len(turns)} turns; "
            f"gateways run {len(running)} of them, and go on"
        )
        seconds = await self._until_back(turns, lambda turn, old: turn.owner != old.owner)
        self._tell(f"another dispatcher has adopted all that {name} held, {seconds:.1f} s later")
        # Or the next kill would hit what is to be shown here: that they end where they began.
        await self._settled(turn.task_id for turn in running)
        self._tell(f"the {len(running)} turns that ran on ended where they began")

    async def _gateway_dies_and_comes_back(self) -> None:
        turns = await self._found(self._kill_gateway)
        victim = turns[0].instance_id
        before = await self._stage.fleet.generation(victim)
        running = sum(turn.running for turn in turns)
        self._tell(f"kill -9 of {victim}, which runs {running} turns; it is started again at once")
        killed_s = time.monotonic()
        free = [turn for turn in turns if not self._pinned(turn)]
        rest = [turn for turn in turns if self._pinned(turn)]
        await together(self._restart(victim, before, killed_s), self._run_elsewhere(free, rest))
        await self._until_back(rest, _again)

    async def _run_elsewhere(self, free: list[Turn], rest: list[Turn]) -> None:
        seconds = await self._until_back(free, _again)
        if free:
            waiting = f"; {len(rest)} belong to its sessions and wait for it" if rest else ""
            self._tell(
                f"{len(free)} of its turns run again, the last {seconds:.1f} s later{waiting}"
            )

    async def _restart(self, victim: str, generation: int, killed_s: float) -> None:
        fleet = self._stage.fleet
        await fleet.start(victim)
        self._tell(f"{victim} is ready again and resumes its turns; a dispatcher aborts them first")
        record = await fleet.until_serving(victim, after=generation)
        self._tell(
            f"{victim} serves again as generation {record.generation}, "
            f"{time.monotonic() - killed_s:.1f} s after its end; "
            f"{record.strays_aborted} resumed turns were aborted"
        )

    async def _found(self, kill: Callable[[list[Turn]], Awaitable[list[Turn]]]) -> list[Turn]:
        """Try until somebody could be killed at work; what that one held."""
        items = set(self._stage.items)
        while True:
            turns = await held_turns(self._stage)
            self._note_long(turns)
            if hit := await kill(turns):
                return hit
            producer = self._stage.house.supervisor.child("producer")
            if producer.state == "ended" and not await unsettled(self._stage.house, items):
                raise GodelError(
                    "all turns had ended before everybody could be killed at work",
                    hint="use more --tasks",
                )
            await asyncio.sleep(LOOK_EVERY_S)

    async def _kill_dispatcher(self, turns: list[Turn]) -> list[Turn]:
        """The one that holds the most, if gateways run enough of it and a long one is among it. It
        is stopped for as long as it takes to see what it holds, so that it is seen for sure."""
        supervisor = self._stage.house.supervisor
        for owner in _by_size(turn.owner for turn in turns):
            if not self._worth([turn for turn in turns if turn.owner == owner]):
                continue
            name = process_of(owner)
            supervisor.signal(name, signal.SIGSTOP)
            try:
                held = [turn for turn in await held_turns(self._stage) if turn.owner == owner]
                if self._worth(held):
                    self._note_kill("dispatcher", name, held)
                    supervisor.signal(name, signal.SIGKILL)
                    return held
            finally:
                supervisor.signal(name, signal.SIGCONT)
        return []

    async def _kill_gateway(self, turns: list[Turn]) -> list[Turn]:
        """The one that runs the most, if a long turn among it began a while ago."""
        for instance_id in _by_size(turn.instance_id for turn in turns if turn.running):
            held = [turn for turn in turns if turn.instance_id == instance_id]
            if self._worth(held, begun_s=BEGUN_S):
                self._note_kill("instance", instance_id, held)
                await self._stage.fleet.kill(instance_id)
                return held
        return []

    def _worth(self, turns: list[Turn], begun_s: float = 0.0) -> bool:
        """Whether killing who holds these shows something."""
        now_s = time.monotonic()
        long = any(
            turn.running
            and is_long(self._stage.items[turn.task_id])
            and now_s - self._begun.get((turn.task_id, turn.attempt), now_s) >= begun_s
            for turn in turns
        )
        return long and sum(turn.running for turn in turns) >= LEAST_RUNNING

    def _note_long(self, turns: list[Turn]) -> None:
        for turn in turns:
            if turn.running and is_long(self._stage.items[turn.task_id]):
                self._begun.setdefault((turn.task_id, turn.attempt), time.monotonic())

    def _note_kill(self, kind: str, target: str, turns: list[Turn]) -> None:
        self._stage.house.killed.add(target)
        self._journal.append(
            {
                "event": "kill",
                "kind": kind,
                "target": target,
                "at": _now_ms(),
                "affected": [turn.task_id for turn in turns],
                "running": [turn.task_id for turn in turns if turn.running],
                "pinned": [turn.task_id for turn in turns if self._pinned(turn)],
            }
        )
        self._journal.commit()

    async def _until_back(
        self, hit: Iterable[Turn], is_back: Callable[[Turn, Turn], bool]
    ) -> float:
        """Wait until each has a live owner again, or has ended; the seconds that it took."""
        began_s = time.monotonic()
        left = {turn.task_id: turn for turn in hit}
        while left:
            for turn in await held_turns(self._stage):
                old = left.get(turn.task_id)
                if old is not None and is_back(turn, old):
                    self._journal.append({"event": "back", "id": turn.task_id, "at": _now_ms()})
                    del left[turn.task_id]
            still = await unsettled(self._stage.house, set(left))
            left = {task_id: turn for task_id, turn in left.items() if task_id in still}
            if left:
                await asyncio.sleep(LOOK_EVERY_S)
        return time.monotonic() - began_s

    async def _settled(self, task_ids: Iterable[str]) -> None:
        left = set(task_ids)
        while True:
            left = await unsettled(self._stage.house, left)
            if not left:
                return
            await asyncio.sleep(LOOK_EVERY_S)

    def _pinned(self, turn: Turn) -> bool:
        return "instance" in self._stage.items[turn.task_id]


def _again(turn: Turn, old: Turn) -> bool:
    return turn.attempt > old.attempt


def _by_size(names: Iterable[str]) -> list[str]:
    """Each name once, the most frequent first."""
    every = list(names)
    return sorted(set(every), key=every.count, reverse=True)


def _now_ms() -> int:
    return time.time_ns() // 1_000_000
