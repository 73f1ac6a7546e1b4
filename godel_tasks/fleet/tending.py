"""Tender: looks after all instances that were made, once, as one of many who might.

What it does about each instance says policy/lifecycle.py. One does it at a time (a lease), and each
act begins by swapping what is written down, so that also one who was stopped for long and comes
back changes nothing that somebody else has decided meanwhile.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import structlog

from godel_tasks.clock import Clock
from godel_tasks.domain.instance import InstanceStatus
from godel_tasks.domain.pool import MadeInstance, ProvidedInstance, Wanted
from godel_tasks.errors import GodelError, StoreUnavailable
from godel_tasks.fleet.busy import BUSY_MS
from godel_tasks.fleet.records import Look
from godel_tasks.instances.drivers import driver_named
from godel_tasks.policy.lifecycle import Act, Care, Known, care

if TYPE_CHECKING:
    from godel_tasks.fleet.manager import InstanceManager
    from godel_tasks.fleet.roster import Provided
    from godel_tasks.runtime import Runtime

log = structlog.get_logger("godel.lifecycle")

LEASE_MS = 30_000
RENEW_EVERY_S = 10.0
#: Acts at once: each may start a process.
AT_ONCE = 4


@dataclass(frozen=True, slots=True)
class Tended:
    """What was done about one instance, and why; `error` says why that failed."""

    instance_id: str
    act: Act
    reason: str
    #: The one that was made in its place.
    successor: str = ""
    error: str = ""


class Tender:
    """See the module."""

    def __init__(self, manager: InstanceManager, clock: Clock) -> None:
        self._manager = manager
        self._records = manager.records
        self._clock = clock
        self._holder = secrets.token_hex(8)
        self._turn = asyncio.Semaphore(AT_ONCE)

    async def once(self) -> list[Tended]:
        """Raises: StoreError."""
        async with self._lease() as held:
            if not held:
                return []
            look = await self._records.look(only_made=True)
            provided = await self._manager.provided(look)
            for name, error in provided.silent.items():
                log.warning("a provider does not answer", provider=name, error=error.message)
            names = sorted({*look.made, *provided.instances})
            done = await asyncio.gather(*(self._one(look, provided, name) for name in names))
            return [tended for tended in done if tended is not None]

    async def _one(self, look: Look, provided: Provided, name: str) -> Tended | None:
        async with self._turn:
            decision = await self._decide(look, provided, name)
            if decision.act is Act.NOTHING:
                return None
            try:
                successor = await self._do(look, provided, name, decision)
            except GodelError as error:
                log.warning("lifecycle", instance=name, act=decision.act.value, error=error.message)
                return Tended(name, decision.act, decision.reason, error=error.message)
        log.info("lifecycle", instance=name, act=decision.act.value, reason=decision.reason)
        return Tended(name, decision.act, decision.reason, successor)

    async def _decide(self, look: Look, provided: Provided, name: str) -> Care:
        stored = look.made.get(name)
        made = stored.value if stored else None
        seen = provided.instances.get(name)
        if made is not None:
            if made.provider in provided.silent:
                return Care(Act.NOTHING, "its provider does not answer")
            if made.place != self._manager.provider(made.provider).place:
                return Care(Act.NOTHING, "it was made at another place")
        view = look.views.get(name)
        if view is None and made is None:
            view = await self._records.view(name)
        status = view.status if view else None
        driver = made.driver if made else seen.config.driver if seen and seen.config else "grpc"
        answers = False
        if view is not None and seen is not None and seen.running and status is InstanceStatus.DEAD:
            answers = not await self._manager.gate.trouble(view.config)
        return care(
            Known(
                look.now_ms,
                look.pool(made.pool if made else seen.pool if seen else ""),
                made,
                seen,
                status,
                dead_ms=max(0, -view.lease_left_ms) if view else 0,
                self_registering=driver_named(driver).self_registering,
                successor=look.superseded.get(name),
                answers=answers,
            )
        )

    async def _do(self, look: Look, provided: Provided, name: str, decision: Care) -> str:
        """Do it; the successor's id, where there is one."""
        stored = look.made.get(name)
        seen = provided.instances.get(name)
        if decision.act is Act.REPLACE:
            return await self._manager.replace(name)
        if decision.act is Act.FORGET and stored is not None:
            await self._records.drop(stored)
        elif decision.act is Act.REMOVE and stored is not None:
            half_made = stored.value.wanted is not Wanted.LEAVING
            await self._manager.remove(name, grace_s=0 if half_made else None)
        elif decision.act is Act.REMOVE:
            await self._manager.provider(provided.makers[name]).remove(name, grace_s=0)
        elif decision.act is Act.WATCH and seen is not None:
            until_ms = look.now_ms + BUSY_MS
            made = self._unwritten(look, provided, seen)
            await self._records.write(replace(made, wanted=Wanted.MAKING, until_ms=until_ms))
        elif seen is not None:
            if decision.act is Act.REGISTER and seen.config is not None:
                await self._records.register(seen.config)
            if stored is not None:
                up = replace(stored.value, wanted=Wanted.UP, since_ms=look.now_ms, until_ms=0)
            else:
                up = self._unwritten(look, provided, seen)
            await self._records.write(up, before=stored.raw if stored else "")
        return ""

    def _unwritten(self, look: Look, provided: Provided, seen: ProvidedInstance) -> MadeInstance:
        """What would have been written down about it."""
        provider = self._manager.provider(provided.makers[seen.instance_id])
        return MadeInstance(
            seen.instance_id,
            seen.pool,
            provider.name,
            seen.config.driver if seen.config else "grpc",
            provider.place,
            Wanted.UP,
            since_ms=look.now_ms,
        )

    @asynccontextmanager
    async def _lease(self) -> AsyncIterator[bool]:
        held = await self._records.hold(self._holder, LEASE_MS)
        if not held:
            yield False
            return
        renewing = asyncio.get_running_loop().create_task(self._renew_forever())
        try:
            yield True
        finally:
            renewing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await renewing
            await self._records.hold(self._holder, 0)

    async def _renew_forever(self) -> None:
        while True:
            await self._clock.sleep(RENEW_EVERY_S)
            with contextlib.suppress(StoreUnavailable):
                await self._records.hold(self._holder, LEASE_MS)


async def tend_once(runtime: Runtime) -> list[Tended]:
    """What beat's job does: cut logs, and look after all that was made.

    Raises:
        StoreError.
    """
    from godel_tasks.fleet.manager import open_manager

    async with open_manager(runtime) as manager:
        look = await manager.records.look(only_made=True)
        names = look.providers
        if not names:
            return []
        for name in sorted(names):
            with contextlib.suppress(GodelError):
                await manager.provider(name).tend()
        return await manager.adopt()
