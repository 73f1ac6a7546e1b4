"""AutoScaler: keeps every pool that has a policy at the size that its demand asks for.

One decides at a time, by a lease with a token; what is to be done is written down before it is
begun, and under that token, so that a leader who was deposed changes nothing, and the next one
goes on where it was. Making an instance may take minutes: acts run beside the decisions.
"""

from __future__ import annotations

import asyncio
import contextlib
import secrets
import socket
from collections.abc import Callable, Coroutine
from dataclasses import replace
from typing import Any

import structlog

from godel_tasks.domain.scaling import (
    PoolState,
    ScalingAct,
    ScalingAction,
    ScalingDecision,
    ScalingKind,
    ScalingPolicy,
)
from godel_tasks.errors import StoreError
from godel_tasks.fleet.scaling_reader import Fleet, ScalingReader
from godel_tasks.policy.scaling import planning
from godel_tasks.policy.scaling.planning import Plan, plan
from godel_tasks.policy.scaling.seeing import PoolSeen
from godel_tasks.store.executor import Executor
from godel_tasks.store.registry import RegistryCommands
from godel_tasks.store.scaling import ScalingCommands, ScalingEntry

log = structlog.get_logger("godel.scaling")

#: Without a look for so long, somebody else decides.
LEASE_MS = 10_000
#: Looks that see and say the same are stored again after so long.
REPEATED_MS = 60_000

Act = asyncio.Task[ScalingAction | None]


class AutoScaler:
    """The roadmap's. `now_ms` as for `ScalingCommands`."""

    def __init__(
        self,
        store: Executor,
        fleet: Fleet,
        reader: ScalingReader,
        *,
        owner: str = "",
        now_ms: Callable[[], int] = lambda: 0,
    ) -> None:
        self._store = store
        self._fleet = fleet
        self._reader = reader
        self._commands = ScalingCommands(now_ms)
        self._registry = RegistryCommands(now_ms)
        self.owner = owner or f"{socket.gethostname()}-{secrets.token_hex(4)}"
        self._token = 0
        self._lock = asyncio.Lock()
        self._acts: dict[str, Act] = {}
        self._stored: dict[str, ScalingDecision] = {}

    async def evaluate_scaling(self) -> list[ScalingAction]:
        """Look at every pool once, do what that asks for, and come back when it is done: new
        instances are there, others are cordoned (they are removed by later looks)."""
        actions = await asyncio.gather(*await self.look())
        return [action for action in actions if action is not None]

    async def look(self) -> list[Act]:
        """Decide, and begin what was decided. Nothing while another one leads.

        Raises:
            StoreUnavailable: nothing may be assumed; the next look goes on.
        """
        async with self._lock:
            policies, states = await self._store.pipeline(
                [self._commands.policies(), self._commands.states()]
            )
            pools = sorted({*policies, *states})
            if not pools:
                return []
            leadership = await self._store.run(
                self._commands.lead(owner=self.owner, lease_ms=LEASE_MS)
            )
            self._token = leadership.token
            if not self._token:
                self._stored.clear()
                return []
            averages = [p.pool for p in policies.values() if p.wait_target_s > 0]
            seen = await self._reader.read(pools, leadership.now_ms, averages=averages)
            begun: list[Act] = []
            for pool in pools:
                state = states.get(pool, PoolState())
                begun += await self._pool(policies.get(pool), seen[pool], state)
            return begun

    async def preview(self) -> dict[str, ScalingDecision]:
        """What would be decided now, by pool; nothing is stored or done."""
        policies, states = await self._store.pipeline(
            [self._commands.policies(), self._commands.states()]
        )
        now_ms = (await self._store.run(self._registry.fleet())).now_ms
        averages = [p.pool for p in policies.values() if p.wait_target_s > 0]
        seen = await self._reader.read(policies, now_ms, averages=averages)
        found = {}
        for pool, policy in policies.items():
            planned = plan(policy, seen[pool], states.get(pool, PoolState()), token=0)
            assert planned.decision is not None  # noqa: S101  (it has a policy)
            found[pool] = planned.decision
        return found

    async def aclose(self) -> None:
        """Give up what is under way, and the lead; whoever leads next finishes it."""
        acts = list(self._acts.values())
        for act in acts:
            act.cancel()
        await asyncio.gather(*acts, return_exceptions=True)
        if self._token:
            # A lease that is over at once. One that cannot be given back ends by itself.
            with contextlib.suppress(StoreError):
                await self._store.run(self._commands.lead(owner=self.owner, lease_ms=0))

    # ------------------------------------------------------------------------------ one pool

    async def _pool(
        self, policy: ScalingPolicy | None, seen: PoolSeen, state: PoolState
    ) -> list[Act]:
        planned = plan(policy, seen, state, token=self._token, underway=self._acts)
        if planned.removals or (planned.decision is not None and planned.decision.take):
            members = await self._fleet.instances(seen.pool, ask_providers=True)
            seen = replace(seen, members=members, asked=True)
            planned = plan(policy, seen, state, token=self._token, underway=self._acts)
        entries = [ScalingEntry(self._token, act=note) for note in planned.notes]
        news = planned.decision if self._is_news(planned.decision) else None
        if news is not None:
            entries.append(ScalingEntry(self._token, _kept(news)))
        if entries or planned.state != state:
            record = self._commands.record(
                token=self._token, pool=seen.pool, state=planned.state, entries=entries
            )
            if not await self._store.run(record):
                return []
        if news is not None:
            self._stored[seen.pool] = _blank(news)
        return self._begin(policy.reason if policy else seen.pool, seen, planned)

    def _is_news(self, decision: ScalingDecision | None) -> bool:
        if decision is None:
            return False
        before = self._stored.get(decision.inputs.pool)
        if before is None or decision.inputs.at_ms - before.inputs.at_ms >= REPEATED_MS:
            return True
        blank = _blank(decision)
        return blank != replace(before, inputs=replace(before.inputs, at_ms=blank.inputs.at_ms))

    def _begin(self, reason: str, seen: PoolSeen, planned: Plan) -> list[Act]:
        pool = seen.pool
        requests = {} if planned.state is None else {s.key: s for s in planned.state.spawning}
        work: dict[str, Coroutine[Any, Any, ScalingAction | None]] = {}
        for key in planned.spawns:
            patience_s = (requests[key].until_ms - requests[key].at_ms) / 1000
            work[key] = self._spawn(pool, key, reason, patience_s)
        for name in planned.cordons:
            work[name] = self._cordon(pool, name, reason)
        for name, why in planned.removals.items():
            work[name] = self._remove(pool, name, why)
        return [self._start(key, act) for key, act in work.items()]

    def _start(self, key: str, work: Coroutine[Any, Any, ScalingAction | None]) -> Act:
        act = asyncio.ensure_future(work)
        self._acts[key] = act
        act.add_done_callback(lambda done: self._ended(key, done))
        return act

    def _ended(self, key: str, act: Act) -> None:
        del self._acts[key]
        if not act.cancelled() and act.exception() is not None:
            # It was done, or not, and that was not stored: the next look sees for itself.
            log.warning("scaling.act_not_stored", act=key, error=repr(act.exception()))

    # ---------------------------------------------------------------------------------- acts

    async def _spawn(
        self, pool: str, key: str, reason: str, patience_s: float
    ) -> ScalingAction | None:
        try:
            async with asyncio.timeout(patience_s):
                name = await self._fleet.spawn(pool)
        except Exception as error:  # whatever a provider raises, the next spawn waits
            what = str(error) or f"it did not come up within {patience_s:g} s"
            log.warning("scaling.spawn_failed", pool=pool, error=what)
            await self._note(
                pool, ScalingKind.OUT, "", "failed", what,
                lambda state, now_ms: planning.not_spawned(state, key, now_ms),
            )  # fmt: skip
            return None
        log.info("scaling.spawned", pool=pool, instance=name, policy=reason)
        await self._note(
            pool, ScalingKind.OUT, name, "spawned", "",
            lambda state, _: planning.spawned(state, key, name),
        )  # fmt: skip
        return ScalingAction(ScalingKind.OUT, name, reason)

    async def _cordon(self, pool: str, name: str, reason: str) -> ScalingAction | None:
        try:
            await self._fleet.drain(name)
        except Exception as error:  # as above; it is tried again with the next look
            log.warning("scaling.cordon_failed", pool=pool, instance=name, error=str(error))
            return None
        log.info("scaling.cordoned", pool=pool, instance=name, policy=reason)
        await self._note(
            pool, ScalingKind.IN, name, "cordoned", "",
            lambda state, _: planning.cordoned(state, name),
        )  # fmt: skip
        return ScalingAction(ScalingKind.IN, name, reason)

    async def _remove(self, pool: str, name: str, why: str) -> None:
        try:
            await self._fleet.remove(name)
        except Exception as error:  # as above
            log.warning("scaling.remove_failed", pool=pool, instance=name, error=str(error))
            await self._note(
                pool, ScalingKind.IN, name, "failed", str(error),
                lambda state, now_ms: planning.not_removed(state, name, now_ms),
            )  # fmt: skip
            return
        log.info("scaling.removed", pool=pool, instance=name, why=why)
        await self._note(
            pool, ScalingKind.IN, name, "removed", why,
            lambda state, _: planning.removed(state, name),
        )  # fmt: skip

    async def _note(
        self,
        pool: str,
        kind: ScalingKind,
        name: str,
        what: str,
        detail: str,
        change: Callable[[PoolState, int], PoolState],
    ) -> None:
        """Store what became of an act. One who does not lead any more stores nothing: the leader in
        force sees for itself."""
        async with self._lock:
            leads = await self._store.run(self._commands.lead(owner=self.owner, lease_ms=LEASE_MS))
            if not leads.token:
                return
            states = await self._store.run(self._commands.states())
            act = ScalingAct(leads.now_ms, kind, name, what, detail)
            await self._store.run(
                self._commands.record(
                    token=leads.token,
                    pool=pool,
                    state=change(states.get(pool, PoolState()), leads.now_ms),
                    entries=[ScalingEntry(leads.token, act=act)],
                )
            )


def _kept(decision: ScalingDecision) -> ScalingDecision:
    """As it is stored: the candidates only where some were taken."""
    return decision if decision.take else _blank(decision)


def _blank(decision: ScalingDecision) -> ScalingDecision:
    return replace(decision, inputs=replace(decision.inputs, instances=()))
