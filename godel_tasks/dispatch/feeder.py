"""Feeder: the tick. Route, reserve, claim, deliver, over and over while there is work and room."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from godel_tasks.dispatch.config import CellStore, DispatchConfig, Ports
from godel_tasks.dispatch.control import FlightControl
from godel_tasks.dispatch.decisions import DecisionKeeper
from godel_tasks.dispatch.fleet import FleetView
from godel_tasks.dispatch.flights import Flights
from godel_tasks.dispatch.insist import insist
from godel_tasks.dispatch.lease import LeaseKeeper
from godel_tasks.dispatch.slotbank import SlotBank
from godel_tasks.domain.requirement import RequirementClass
from godel_tasks.domain.routing import Routed
from godel_tasks.errors import StaleWriter
from godel_tasks.instances.background import end_task
from godel_tasks.policy.balancer import Demand, LoadBalancer, Plan
from godel_tasks.store.queue import ClaimReply, SlotRange

#: Seconds from tick to tick while there is something to do: work and freed slots are collected, so
#: that a tick's fixed cost is shared by many tasks. The first tick after a pause does not wait.
TICK_S = 0.005
#: Seconds between looks for room that other dispatchers may have freed.
ROOM_RECHECK_S = 0.05
#: Seconds between looks for work when nobody woke us (a lost wake-up costs this much).
IDLE_RECHECK_S = 1.0


@dataclass
class CellView:
    """What is known of a cell's waiting work."""

    store: CellStore
    waiting: dict[str, int] = field(default_factory=dict)
    classes: dict[str, RequirementClass] = field(default_factory=dict)
    next_due_ms: int | None = None
    batch: int = 0
    #: Slots of the claim that is under way: about so many of `waiting` are as good as taken.
    claiming: int = 0

    def told(self, token: str) -> None:
        """A token came: what was known is old now. The work that it names is enough to begin with;
        otherwise the cell is asked."""
        name, _, tasks = token.partition(" ")
        self.waiting = {name: int(tasks)} if tasks else {}


@dataclass(frozen=True, slots=True)
class Planned:
    """A cell's part of a tick: what was planned, and the rankings behind it that are kept."""

    view: CellView
    plan: Plan
    ranked: dict[str, Routed]


class Feeder:
    """One dispatcher's hunger. `pulse` is set by whatever may make a tick worth while.

    Two ticks overlap: while one claims, the next one routes and reserves. Claims follow each other.
    """

    def __init__(
        self,
        ports: Ports,
        config: DispatchConfig,
        dispatcher: str,
        flights: Flights,
        fleet: FleetView,
        lease: LeaseKeeper,
        bank: SlotBank,
        control: FlightControl,
    ) -> None:
        self._ports = ports
        self._config = config
        self._dispatcher = dispatcher
        self._flights = flights
        self._fleet = fleet
        self._lease = lease
        self._bank = bank
        self._control = control
        self._balancer = LoadBalancer(ports.rng, config.strategy, config.region_order)
        self.decisions = DecisionKeeper(ports, dispatcher, fleet, self._balancer)
        self.cells = [CellView(store) for store in ports.cells]
        self.pulse = asyncio.Event()
        self.draining = False
        #: As draining, but it may be taken back.
        self.paused = False
        self._reserving = False
        self._claims: asyncio.Task[None] | None = None
        self._turn = 0
        self._ticked_at = float("-inf")
        self._last_was_full = False

    @property
    def ticking(self) -> bool:
        """Between reserve and launch: slots are taken that nothing names yet."""
        return self._reserving or self._claims is not None

    async def run(self) -> None:
        """Tick until draining; then only give slots back.

        Raises:
            StaleWriter: the lease is over.
        """
        try:
            await self._run()
        finally:
            if self._claims is not None:
                await end_task(self._claims)

    async def _run(self) -> None:
        while True:
            await self._pace()
            self.pulse.clear()
            if self.draining or self.paused:
                await self._claimed()
                if self._bank.has_returns:
                    await self._bank.exchange({})
                await self._nap(IDLE_RECHECK_S)
                continue
            if not self._routable_work():
                await self._claimed()
            if not self._routable_work():
                await self._look_for_work()
            if self._routable_work() and self._lease.fresh():
                self._reserving = True
                moved = await self._tick()
                self._reserving = False
                if not moved and not self.pulse.is_set():
                    await self._nap(ROOM_RECHECK_S)
                    await self._claimed()
                    await self._look_for_work()
            else:
                if self._bank.has_returns:
                    await self._bank.exchange({})
                await self._nap(IDLE_RECHECK_S)

    async def _pace(self) -> None:
        """Leave a moment between ticks, except after a full one."""
        early = self._ticked_at + TICK_S - self._ports.clock.monotonic()
        if early > 0 and not self._last_was_full:
            await self._ports.clock.sleep(early)
        self._last_was_full = False
        self._ticked_at = self._ports.clock.monotonic()

    async def _nap(self, seconds: float) -> None:
        """Wait for a pulse, but no longer than about that."""
        pause = asyncio.ensure_future(
            self._ports.clock.sleep(seconds * (0.75 + 0.5 * self._ports.rng.random()))
        )
        pulse = asyncio.ensure_future(self.pulse.wait())
        await asyncio.wait({pause, pulse}, return_when=asyncio.FIRST_COMPLETED)
        pause.cancel()
        pulse.cancel()

    # -- what waits --------------------------------------------------------------------------

    async def _look_for_work(self) -> None:
        """Ask every cell what waits; where nothing does that we could run, be woken by the next
        submit."""
        for view in self.cells:
            blocked = [name for name, count in view.waiting.items() if count > 0]
            leases = view.store.leases
            view.waiting, view.next_due_ms = await insist(
                self._ports,
                lambda leases=leases, blocked=blocked: leases.sleep(  # type: ignore[misc]
                    dispatcher=self._dispatcher, ignoring=blocked
                ),
            )
            await self._learn_classes(view)

    async def _learn_classes(self, view: CellView) -> None:
        if all(name in view.classes for name in view.waiting):
            return
        stored = await insist(self._ports, view.store.leases.classes)
        view.classes = {
            name: view.classes.get(name)
            or RequirementClass.parse(name, text, self._config.strategy)
            for name, text in stored.items()
        }

    def _demands(self, view: CellView) -> list[Demand]:
        demands = []
        spoken_for = view.claiming
        for name, waiting in view.waiting.items():
            count = max(0, waiting - spoken_for)
            spoken_for -= waiting - count
            wanted = view.classes.get(name)
            if count > 0 and wanted is not None:
                suitable = self._fleet.suitable(wanted)
                if suitable:
                    demands.append(Demand(wanted, count, suitable))
        return demands

    def _routable_work(self) -> bool:
        return any(self._demands(view) for view in self.cells)

    # -- one tick ----------------------------------------------------------------------------

    async def _tick(self) -> bool:
        """Whether a claim was begun."""
        if self.draining or self.paused:
            return False
        room = self._config.max_in_flight - len(self._flights)
        wanted = min(self._config.claim_batch, room)
        if wanted <= 0:
            return False
        self._turn += 1
        views = (
            self.cells[self._turn % len(self.cells) :] + self.cells[: self._turn % len(self.cells)]
        )
        free = self._fleet.candidates(self._bank.returning())
        plans: list[Planned] = []
        for view in views:
            demands = self._demands(view)
            ranked = self.decisions.rank(demands, free)
            plan = self._balancer.plan(demands, free, wanted)
            if plan.slots:
                plans.append(Planned(view, plan, ranked))
                wanted -= sum(plan.slots.values())
        slots: dict[str, int] = {}
        for plan in (planned.plan for planned in plans):
            for instance_id, count in plan.slots.items():
                slots[instance_id] = slots.get(instance_id, 0) + count
        if not slots and not self._bank.has_returns:
            return False
        ranges = {r.instance_id: r for r in await self._bank.exchange(slots)}
        await self._claimed()
        shares = [(planned, self._share(ranges, planned.plan)) for planned in plans]
        if not any(mine for _, mine in shares):
            return False
        for planned, mine in shares:
            planned.view.claiming = sum(slot.count for slot in mine)
        self._claims = asyncio.ensure_future(self._claim_all(shares))
        self._last_was_full = sum(slots.values()) >= self._config.claim_batch
        return True

    async def _claim_all(self, shares: list[tuple[Planned, list[SlotRange]]]) -> None:
        for planned, mine in shares:
            if mine:
                await self._claim(planned, mine)

    async def _claimed(self) -> None:
        """Wait for the claims that are under way, if any."""
        if self._claims is not None:
            claims = self._claims
            await asyncio.wait({claims})
            self._claims = None
            claims.result()

    @staticmethod
    def _share(ranges: dict[str, SlotRange], plan: Plan) -> list[SlotRange]:
        """This plan's part of what was granted, cut off the ranges."""
        mine = []
        for instance_id, count in plan.slots.items():
            have = ranges.get(instance_id)
            if have is None or have.count == 0:
                continue
            take = min(count, have.count)
            mine.append(SlotRange(instance_id, have.generation, have.first, take))
            ranges[instance_id] = SlotRange(
                instance_id, have.generation, have.first + take, have.count - take
            )
        return mine

    async def _claim(self, planned: Planned, slots: list[SlotRange]) -> None:
        view, plan = planned.view, planned.plan
        place = {r.instance_id: i for i, r in enumerate(slots)}
        preferences = {
            name: [place[i] for i in order if i in place]
            for name, order in plan.preferences.items()
        }
        view.batch += 1
        batch = view.batch
        self.decisions.claimed(view.store.cell, batch, planned.ranked, plan)
        reply: ClaimReply = await insist(
            self._ports,
            lambda: view.store.queue.claim(
                dispatcher=self._dispatcher,
                batch=batch,
                max_take=self._config.claim_batch,
                ageing_ms=self._config.ageing_step_ms,
                max_lag=self._config.max_lag,
                slots=slots,
                preferences=preferences,
            ),
        )
        if reply.stale:
            raise StaleWriter(f"{self._dispatcher} has no lease any more")
        view.waiting, view.next_due_ms, view.claiming = reply.waiting or {}, reply.next_due_ms, 0
        used: dict[str, int] = {}
        for held in reply.tasks:
            used[held.instance_id] = used.get(held.instance_id, 0) + 1
        for left in slots:
            self._bank.give_back_rest(left, used.get(left.instance_id, 0))
        await self._learn_classes(view)
        await self._control.sender.launch(view.store.cell, reply.tasks)
