"""A pool to scale, in the test's hand: a real store, a fleet that is played, and virtual time."""

from __future__ import annotations

import asyncio
import itertools
from collections.abc import Sequence
from dataclasses import replace
from typing import Any, TypeVar

from godel_tasks.dispatch.config import CellStore
from godel_tasks.domain.instance import InstanceConfig, InstanceRecord, InstanceStatus
from godel_tasks.domain.member import Member, MemberState
from godel_tasks.domain.pool import (
    InstanceTemplate,
    MadeInstance,
    PoolConfig,
    ProvidedInstance,
    Wanted,
)
from godel_tasks.domain.rollout import Rollout
from godel_tasks.domain.scaling import PoolState, ScalingDecision, ScalingPolicy
from godel_tasks.errors import InstanceUnavailable
from godel_tasks.fleet.autoscaler import AutoScaler
from godel_tasks.fleet.scaling_reader import ScalingReader
from godel_tasks.store.command import Command
from godel_tasks.store.executor import AsyncExecutor, connect_async
from godel_tasks.store.pools import PoolCommands
from godel_tasks.store.scaling import ScalingCommands, ScalingEntry
from tests.cell import Cell

T = TypeVar("T")

POOL = "shared"


class Killed(BaseException):
    """The process is no more; as SIGKILL, nothing in it may catch this."""


class Deadline:
    """Kills the process that counts on it at its n-th step."""

    def __init__(self, steps: int | None = None) -> None:
        self.left = steps

    def step(self) -> None:
        if self.left is not None:
            if self.left <= 0:
                raise Killed
            self.left -= 1


class PlayedFleet:
    """Instances that come and go as the test says. `capacity` is of each new one."""

    def __init__(self, capacity: int = 2) -> None:
        self.members: dict[str, Member] = {}
        self.capacity = capacity
        self.deadline = Deadline()
        self.spawns = 0
        self.failing = False
        #: Spawns wait for it, while it is there.
        self.gate: asyncio.Event | None = None
        #: Instances that their provider does not see from here.
        self.elsewhere: set[str] = set()
        self.removed: list[tuple[str, int]] = []
        self._ids = itertools.count(1)

    def add(self, count: int = 1, *, made: bool = True, **changes: Any) -> list[str]:
        """Instances that are up."""
        names = [f"i{next(self._ids)}" for _ in range(count)]
        for name in names:
            self.members[name] = replace(_member(name, self.capacity, made=made), **changes)
        return names

    def set(self, name: str, **changes: Any) -> None:
        self.members[name] = replace(self.members[name], **changes)

    def names(self, *states: MemberState) -> list[str]:
        return [n for n, m in self.members.items() if m.state in (states or (MemberState.UP,))]

    def tend(self) -> None:
        """What whoever looks after the fleet does after a kill: half-made ones go."""
        for name in self.names(MemberState.MAKING):
            del self.members[name]

    # -- as the autoscaler sees it

    async def instances(self, pool: str = "", *, ask_providers: bool = False) -> Sequence[Member]:
        found = [member for member in self.members.values() if pool in ("", member.pool)]
        if not ask_providers:
            return found
        return [
            replace(member, provided=self.provided(member)) if member.made else member
            for member in found
        ]

    def provided(self, member: Member) -> ProvidedInstance | None:
        """What its provider says when it is asked."""
        name = member.instance_id
        if name in self.elsewhere:
            return None
        return ProvidedInstance(name, member.pool, running=True)

    async def spawn(self, pool: str) -> str:
        self.deadline.step()
        if self.failing:
            raise InstanceUnavailable("no room on this machine")
        self.spawns += 1
        (name,) = self.add(state=MemberState.MAKING, pool=pool)
        if self.gate is not None:
            await self.gate.wait()
        self.deadline.step()
        self.set(name, state=MemberState.UP)
        return name

    async def drain(self, instance_id: str) -> bool:
        self.deadline.step()
        if instance_id in self.members:
            self.set(instance_id, state=MemberState.DRAINING)
        return instance_id in self.members

    async def remove(self, instance_id: str) -> None:
        self.deadline.step()
        if self.failing:
            raise InstanceUnavailable("it would not end")
        member = self.members.pop(instance_id, None)
        if member is not None:
            self.removed.append((instance_id, member.slots_used))


def _member(name: str, capacity: int, *, made: bool) -> Member:
    config = InstanceConfig(name, "127.0.0.1:1", capacity=capacity, pool=POOL, provider="process")
    return Member(
        name,
        POOL,
        MemberState.UP,
        "process",
        "grpc",
        record=InstanceRecord(config, 1, InstanceStatus.UP, 0),
        made=MadeInstance(name, POOL, "process", "grpc", "here", Wanted.UP, 0) if made else None,
    )


class MortalExecutor:
    """A store whose user may be killed between any two commands."""

    def __init__(self, executor: AsyncExecutor, deadline: Deadline) -> None:
        self._executor = executor
        self._deadline = deadline

    async def run(self, command: Command[T]) -> T:
        self._deadline.step()
        reply = await self._executor.run(command)
        self._deadline.step()
        return reply

    async def pipeline(self, commands: Sequence[Command[Any]]) -> list[Any]:
        self._deadline.step()
        return await self._executor.pipeline(commands)


class ScaledPool:
    """Everything of one story."""

    def __init__(self, cell: Cell, url: str) -> None:
        self.cell = cell
        self.fleet = PlayedFleet()
        self.commands = ScalingCommands(lambda: cell.now)
        self.executor = AsyncExecutor(connect_async(url))
        self.scaler = self.process("a")
        cell.tenant("acme")

    async def aclose(self) -> None:
        await self.scaler.aclose()
        await self.executor.close()

    def process(self, owner: str, deadline: Deadline | None = None) -> AutoScaler:
        """Another process that may decide."""
        store = MortalExecutor(self.executor, deadline or Deadline())
        cells = [CellStore(0, lambda: self.cell.now)]
        reader = ScalingReader(store, cells, self.fleet)
        return AutoScaler(store, self.fleet, reader, owner=owner, now_ms=lambda: self.cell.now)

    def policy(self, **values: Any) -> ScalingPolicy:
        """Set the pool's policy."""
        quick = {"max_instances": 20, "down_window_s": 0.0, "drain_deadline_s": 60.0}
        policy = ScalingPolicy(POOL, **{**quick, **values})
        self.cell.run(self.commands.put_policies([policy]))
        return policy

    def declare(self) -> None:
        """Say what the pool's instances are made from."""
        config = PoolConfig(POOL, InstanceTemplate(POOL, capacity=2))
        assert self.cell.run(PoolCommands().put_pool(config, before=""))

    def put_rollout(self, rollout: Rollout) -> None:
        assert self.cell.run(PoolCommands().put_rollout(rollout, before=""))

    def pin(self, instance_id: str, sessions: int) -> None:
        """So many sessions are bound to the instance."""
        self.cell.server("HSET", self.cell.key("pinned"), instance_id, sessions)

    def state(self) -> PoolState | None:
        return self.cell.run(self.commands.states()).get(POOL)

    def history(self) -> list[ScalingEntry]:
        entries = self.cell.run(self.commands.history(pool=POOL, count=1000))
        return list(entries)

    def acts(self) -> list[tuple[str, str]]:
        """What was done, and to whom."""
        return [(e.act.what, e.act.instance_id) for e in self.history() if e.act is not None]

    def decision(self) -> ScalingDecision:
        """The newest that was stored."""
        return [e.decision for e in self.history() if e.decision is not None][-1]

    async def looks(
        self, count: int, scaler: AutoScaler | None = None, every_ms: int = 2000
    ) -> None:
        """So many looks, each carried out before the next one."""
        for _ in range(count):
            self.cell.pass_time(every_ms)
            await (scaler or self.scaler).evaluate_scaling()
