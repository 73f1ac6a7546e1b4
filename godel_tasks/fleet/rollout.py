"""RollingRestart: carries out what policy/rollout.py plans, and writes down where it stands.

For each: give it nothing new, wait until nothing runs on it (or its time is over), restart it, wait
until it is healthy, give it work again. A kill at any moment leaves a record with which the next
one goes on: those in hand are begun again, those that are done are not.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from dataclasses import replace
from functools import partial

from godel_tasks.clock import Clock, SystemClock
from godel_tasks.domain.member import Member, MemberState
from godel_tasks.domain.pool import PoolConfig
from godel_tasks.domain.rollout import Rollout
from godel_tasks.errors import (
    GodelError,
    RolloutStopped,
    StaleWriter,
    StoreUnavailable,
    Unsupported,
)
from godel_tasks.fleet.manager import InstanceManager
from godel_tasks.instances.providers.static import StaticProvider
from godel_tasks.policy.rollout import Plan, RolloutMember, Step, plan
from godel_tasks.store.executor import Executor
from godel_tasks.store.pools import PoolCommands, Stored

LEASE_MS = 30_000
RENEW_EVERY_S = 5.0
#: How often slots are looked at while an instance drains.
LOOK_EVERY_S = 0.2
DRAIN_DEADLINE_S = 600.0

Say = Callable[[str], None]


class RollingRestart:
    """One rolling restart of one pool."""

    def __init__(
        self,
        manager: InstanceManager,
        store: Executor,
        *,
        clock: Clock | None = None,
        say: Say = lambda _line: None,
    ) -> None:
        self._manager = manager
        self._store = store
        self._commands = PoolCommands()
        self._clock = clock or SystemClock()
        self._say = say
        self._writing = asyncio.Lock()
        self._stored: Stored[Rollout]

    async def begin(
        self, pool: str, *, max_unavailable: int = 1, drain_deadline_s: float = DRAIN_DEADLINE_S
    ) -> Rollout:
        """Restart all that the pool has now; how it ended.

        Raises:
            UnknownPool: no such pool.
            Unsupported: none of its instances can be restarted by its provider.
            RolloutStopped: another one is under way or was broken off; or this one does not go on.
        """
        config = await self._manager.records.pool(pool)
        known = await self._store.run(self._commands.rollout(pool))
        now_ms = await self._manager.records.now_ms()
        if known is not None:
            raise _taken(known.value, now_ms)
        members = await self._manager.instances(pool)
        can, cannot = _sorted_out(members)
        if not can:
            raise Unsupported(
                f"pool {pool!r} has no instance that its provider can restart",
                hint="restart them where they were started",
            )
        record = Rollout(
            pool,
            now_ms,
            max_unavailable,
            drain_deadline_s,
            todo=tuple(member.instance_id for member in can),
            set_aside=tuple(m.instance_id for m in can if m.state is MemberState.DRAINING),
            skipped=tuple(member.instance_id for member in cannot),
            until_ms=now_ms + LEASE_MS,
        )
        self._stored = await self._write(record, before="")
        return await self._carry_out(config)

    async def resume(self, pool: str) -> Rollout:
        """Go on with one that was broken off, or stopped.

        Raises:
            RolloutStopped: there is none, or somebody is at it; or it does not go on.
        """
        config = await self._manager.records.pool(pool)
        known = await self._store.run(self._commands.rollout(pool))
        now_ms = await self._manager.records.now_ms()
        if known is None:
            raise RolloutStopped(
                f"no rolling restart of pool {pool!r} was broken off",
                hint=f"begin one: `godel pools restart {pool}`",
            )
        if known.value.until_ms > now_ms and not known.value.stopped:
            raise _taken(known.value, now_ms)
        going_on = replace(known.value, stopped="", until_ms=now_ms + LEASE_MS)
        self._stored = await self._write(going_on, before=known.raw)
        return await self._carry_out(config)

    async def forget(self, pool: str) -> None:
        """Drop what was broken off; those that it drained go on draining. Idempotent."""
        known = await self._store.run(self._commands.rollout(pool))
        if known is not None:
            await self._store.run(self._commands.drop_rollout(pool, before=known.raw))

    async def _carry_out(self, config: PoolConfig) -> Rollout:
        renewing = asyncio.get_running_loop().create_task(self._renew_forever())
        running: dict[str, asyncio.Task[None]] = {}
        try:
            for name in self._stored.value.in_hand:
                running[name] = asyncio.create_task(self._one(name))
            while True:
                found = await self._plan(config)
                if found.step is Step.DONE:
                    break
                if found.step is Step.STOP:
                    await self._stop(found.reason)
                if found.step is Step.RESTART:
                    await self._change(partial(_taken_up, names=found.instance_ids))
                    for name in found.instance_ids:
                        running[name] = asyncio.create_task(self._one(name))
                await self._first_of(running)
        except asyncio.CancelledError:  # Ctrl-C: whoever goes on need not wait
            await self._change(partial(replace, until_ms=0))
            raise
        finally:
            renewing.cancel()
            for task in running.values():
                task.cancel()
            await asyncio.gather(renewing, *running.values(), return_exceptions=True)
        done = self._stored.value
        await self._store.run(self._commands.drop_rollout(done.pool, before=self._stored.raw))
        return done

    async def _plan(self, config: PoolConfig) -> Plan:
        record = self._stored.value
        left = record.left
        members = [
            RolloutMember(
                member.instance_id,
                available=member.state is MemberState.UP
                and member.instance_id not in record.in_hand,
                left=member.instance_id in left,
                in_hand=member.instance_id in record.in_hand,
                done=member.instance_id in record.done,
                set_aside=member.instance_id in record.set_aside,
            )
            for member in await self._manager.instances(record.pool)
            if member.state is not MemberState.STOPPED or member.instance_id in record.in_hand
        ]
        return plan(
            members,
            max_unavailable=record.max_unavailable,
            min_available=config.min_available,
        )

    async def _first_of(self, running: dict[str, asyncio.Task[None]]) -> None:
        """Until one has come back; the first that does not stops it all."""
        await asyncio.wait(running.values(), return_when=asyncio.FIRST_COMPLETED)
        for name in [name for name, task in running.items() if task.done()]:
            try:
                await running.pop(name)
            except GodelError as error:
                # The others are let finish: each is drained, and would stay so.
                await asyncio.gather(*running.values(), return_exceptions=True)
                await self._stop(f"{name} did not come back: {error.message}")

    async def _one(self, name: str) -> None:
        aside = name in self._stored.value.set_aside
        self._say(f"{name}: drains")
        await self._manager.drain(name)
        await self._until_idle(name)
        self._say(f"{name}: restarts")
        await self._manager.restart(name)
        await self._manager.gate.attended(name)
        if not aside:
            await self._manager.undrain(name)
        await self._change(partial(_came_back, name=name))
        self._say(f"{name}: is back")

    async def _until_idle(self, name: str) -> None:
        """Until nothing runs on it, or its time is over: then its provider's own limit ends it."""
        deadline = self._clock.monotonic() + self._stored.value.drain_deadline_s
        while self._clock.monotonic() < deadline:
            view = await self._manager.records.view(name)
            if view is None or view.slots_used == 0:
                return
            await self._clock.sleep(LOOK_EVERY_S)

    async def _stop(self, why: str) -> None:
        await self._change(partial(replace, stopped=why, until_ms=0))
        pool = self._stored.value.pool
        left = len(self._stored.value.left) + len(self._stored.value.in_hand)
        raise RolloutStopped(
            f"the rolling restart of pool {pool!r} has stopped, with {left} to go: {why}",
            hint=f"put it right, then `godel pools restart {pool} --resume`",
        )

    async def _change(self, changed: Callable[[Rollout], Rollout]) -> None:
        async with self._writing:
            self._stored = await self._write(changed(self._stored.value), before=self._stored.raw)

    async def _write(self, rollout: Rollout, *, before: str) -> Stored[Rollout]:
        if not await self._store.run(self._commands.put_rollout(rollout, before=before)):
            raise StaleWriter(
                f"somebody else has taken the rolling restart of pool {rollout.pool!r} over",
                hint="look with `godel pools show`",
            )
        return Stored.of(rollout)

    async def _renew_forever(self) -> None:
        while True:
            await self._clock.sleep(RENEW_EVERY_S)
            with contextlib.suppress(StoreUnavailable):
                until_ms = await self._manager.records.now_ms() + LEASE_MS
                await self._change(partial(replace, until_ms=until_ms))


def _taken_up(rollout: Rollout, names: tuple[str, ...]) -> Rollout:
    return replace(rollout, in_hand=(*rollout.in_hand, *names))


def _came_back(rollout: Rollout, name: str) -> Rollout:
    in_hand = tuple(each for each in rollout.in_hand if each != name)
    return replace(rollout, in_hand=in_hand, done=(*rollout.done, name))


def _sorted_out(members: list[Member]) -> tuple[list[Member], list[Member]]:
    """Who can be restarted, and who cannot. What is made, removed or was stopped is neither."""
    states = (MemberState.UP, MemberState.DRAINING, MemberState.DEAD)
    there = [member for member in members if member.state in states]
    can = [member for member in there if member.provider != StaticProvider.name]
    return can, [member for member in there if member.provider == StaticProvider.name]


def _taken(known: Rollout, now_ms: int) -> RolloutStopped:
    if known.until_ms > now_ms and not known.stopped:
        return RolloutStopped(
            f"a rolling restart of pool {known.pool!r} is under way",
            hint=f"look with `godel pools show {known.pool}`",
        )
    why = f": {known.stopped}" if known.stopped else ""
    return RolloutStopped(
        f"a rolling restart of pool {known.pool!r} was broken off{why}",
        hint=f"go on with `godel pools restart {known.pool} --resume`, or begin anew with --anew",
    )
