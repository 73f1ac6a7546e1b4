"""One round: producers, dispatchers and instances, with the faults that a seed chooses."""

from __future__ import annotations

import asyncio
import contextlib
import random
from collections.abc import Callable
from functools import partial

import redis

from godel_tasks.dispatch.config import CellStore, DispatchConfig, Ports
from godel_tasks.dispatch.dispatcher import Dispatcher, Ending
from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.domain.session import session_name
from godel_tasks.domain.task import NewTask, OnUncertain
from godel_tasks.domain.tenant import TenantConfig
from godel_tasks.errors import StoreUnavailable
from godel_tasks.events import EventBus
from godel_tasks.instances.drivers.simulated import SimulatedDriver, SimulatedNetwork
from godel_tasks.policy.retry import RetryRules
from godel_tasks.store.executor import SyncExecutor
from godel_tasks.store.keys import InstanceKeys
from godel_tasks.store.queue import SubmitReply
from godel_tasks.store.registry import RegistryCommands
from godel_tasks.store.sessions import SessionCommands
from tests.keyleaks import leaks
from tests.simulation.loop import GATE, VirtualLoop
from tests.simulation.oracle import Oracle
from tests.simulation.process import SimClock, SimProcess
from tests.simulation.report import Round, Sink
from tests.simulation.server import START_MS, Faults, SimExecutor, SimServer, SimWaker
from tests.simulation.site import Site, Temper
from tests.simulation.tasks import SESSION_TTL_MS, random_task
from tests.simulation.trace import tell_commands
from tests.simulation.wires import BridgedDriver

TENANTS = ("acme", "bolt", "corp")
#: Virtual seconds with faults, and after them until everything must have ended.
TROUBLE_S = 6.0
PEACE_S = 120.0


class Scenario:
    """Everything of one round."""

    def __init__(self, seed: int, client: redis.Redis, executor: SyncExecutor) -> None:
        self.report = Round(seed)
        self.rng = random.Random(seed)
        rng = self.rng
        self.client = client
        self.executor = executor
        client.flushdb()
        self.loop = VirtualLoop(random.Random(rng.random()))
        #: How rough it gets: most rounds have some of everything, some have nothing at all.
        rough = rng.choice([0.0, 0.3, 1.0, 1.0, 2.0])
        self.stalls = rng.random() < 0.6
        self.faults = Faults(
            lost_request=0.01 * rough,
            lost_reply=0.01 * rough,
            late_request=0.003 * rough if rng.random() < 0.3 else 0.0,
            kill=0.004 * rough,
            stall=0.004 * rough if self.stalls else 0.0,
            slowest_s=rng.choice([0.001, 0.01, 0.05]),
        )
        self.rough = rough
        #: Share of tasks that belong to a session.
        self.sessions = rng.choice([0.0, 0.3, 0.9])
        self.server = SimServer(self.loop, executor, random.Random(rng.random()), self.faults)
        self.clock = SimClock(self.loop, START_MS)
        self.network = SimulatedNetwork()
        self.driver = SimulatedDriver(self.network, self.clock, random.Random(rng.random()))
        self.temper = Temper(
            fails=rng.choice([0.0, 0.1]) * rough,
            hangs=0.01 * rough,
            longest_s=rng.choice([0.01, 0.5, 3.0]),
        )
        self.cells = tuple(CellStore(cell) for cell in range(rng.choice([1, 1, 2])))
        self.oracle = Oracle(
            self.server, [cell.lookup for cell in self.cells], ordered=rough == 0.0
        )
        self.sites: list[Site] = []
        self.processes: list[SimProcess] = []
        self.dispatchers: list[tuple[SimProcess, Dispatcher]] = []
        self.producing = 0
        self._names = 0

    # ------------------------------------------------------------------------------- building

    def build(self) -> None:
        rng = self.rng
        for name in TENANTS:
            tenant = TenantConfig(
                name,
                rng.choice([1.0, 2.0, 4.0]),
                max_queue=rng.choice([20, 1000]),
                on_uncertain=rng.choice([None, OnUncertain.RETRY, OnUncertain.FAIL]),
            )
            self.server.ask(self.cell_of(name).tenants.put(tenant))
        for i in range(rng.randint(1, 3)):
            config = InstanceConfig(
                f"i{i}", f"site-{i}", driver="simulated", capacity=rng.randint(1, 4)
            )
            site = Site(
                self.server,
                self.network,
                self.clock,
                random.Random(rng.random()),
                config,
                self.temper,
                watchful=self.stalls,
            )
            self.sites.append(site)
            self.server.background(site.live())
        for _ in range(rng.randint(1, 3)):
            self.start_dispatcher()
        for i in range(rng.randint(1, 3)):
            self.start_producer(f"producer-{i}")
        self.server.background(self.trouble())

    def cell_of(self, tenant_id: str) -> CellStore:
        return self.cells[TENANTS.index(tenant_id) % len(self.cells)]

    def process(self, name: str) -> SimProcess:
        process = SimProcess(self.loop, name)
        self.processes.append(process)
        return process

    def start_dispatcher(self) -> None:
        self._names += 1
        name = f"d{self._names}"
        process = self.process(name)
        rng = random.Random(self.rng.random())
        bridge = BridgedDriver(
            self.driver, process, self.server.context, rng, 0.01 * self.rough * self.stalls
        )
        ports = Ports(
            store=SimExecutor(self.server, process),
            waker=SimWaker(self.server, process),
            sink=Sink(self.server, process, self.oracle, rng),
            clock=SimClock(self.loop, START_MS, skew_ms=rng.randint(-5000, 5000)),
            rng=rng,
            driver_named=lambda _: bridge,
            cells=self.cells,
            registry=RegistryCommands(),
            bus=EventBus(),
        )
        config = DispatchConfig(
            attempt_timeout_ms=6000,
            unroutable_after_ms=20_000,
            retry=RetryRules(max_attempts=4, backoff_base_s=0.2, backoff_max_s=2.0),
            drain_timeout_s=20.0,
            claim_batch=rng.choice([1, 4, 256]),
        )
        dispatcher = Dispatcher(ports, config, name)
        self.dispatchers.append((process, dispatcher))
        process.spawn(self.watch(process, dispatcher))

    async def watch(self, process: SimProcess, dispatcher: Dispatcher) -> None:
        """As a worker does: a stale dispatcher is followed by a new one."""
        try:
            ending = await dispatcher.run()
            self.dispatchers.remove((process, dispatcher))
        except asyncio.CancelledError:
            raise
        except Exception as error:
            self.oracle.complain(f"{dispatcher.name} raised {error!r}")
            self.dispatchers.remove((process, dispatcher))
            self.start_dispatcher()
            return
        if ending is Ending.STALE:
            self.start_dispatcher()

    # ------------------------------------------------------------------------------ producers

    def start_producer(self, name: str) -> None:
        self.producing += 1
        rng = random.Random(self.rng.random())
        self.server.background(self.produce(name, rng))

    async def produce(self, name: str, rng: random.Random) -> None:
        """Submits batches, each again until it has an answer; cancels some. It never dies: who
        dies before the answer has no promise."""
        executor = SimExecutor(self.server, SimProcess(self.loop, name))
        sent: list[tuple[str, str]] = []
        for batch in range(rng.randint(1, 6)):
            await asyncio.sleep(rng.random() * 1.5)
            tasks = [self.new_task(f"{name}-{batch}-{i}", rng) for i in range(rng.randint(1, 6))]
            tenant_id = rng.choice(TENANTS)
            reply = await self.submit(executor, tenant_id, tasks)
            self.oracle.note_admissions([t.task_id for t in tasks], reply)
            self.report.tasks += len(tasks)
            sent += [(tenant_id, t.task_id) for t in tasks]
            if rng.random() < 0.3 * min(self.rough, 1):
                owner, task_id = rng.choice(sent)
                with contextlib.suppress(StoreUnavailable):
                    queue = self.cell_of(owner).queue
                    await executor.run(queue.cancel(task_id=task_id, who="ops"))
            if rng.random() < 0.1 * min(self.rough, 1):
                owner, session = rng.choice(TENANTS), f"s{rng.randint(1, 4)}"
                with contextlib.suppress(StoreUnavailable):
                    sessions = self.cell_of(owner).sessions
                    name_of = session_name(owner, session)
                    await executor.run(sessions.end(name=name_of, who="ops", limit=1))
        self.producing -= 1

    async def submit(
        self, executor: SimExecutor, tenant_id: str, tasks: list[NewTask]
    ) -> SubmitReply:
        repeated = False
        while True:
            queue = self.cell_of(tenant_id).queue
            command = queue.submit(tenant_id=tenant_id, tasks=tasks, check_settled=repeated)
            try:
                return await executor.run(command)
            except StoreUnavailable:
                repeated = True

    def new_task(self, task_id: str, rng: random.Random) -> NewTask:
        return random_task(task_id, rng, self.sites, sessions=self.sessions)

    # -------------------------------------------------------------------------------- trouble

    async def trouble(self) -> None:
        """Bigger blows than a lost command, and new dispatchers for dead ones."""
        rng = random.Random(self.rng.random())
        while self.loop.time() < TROUBLE_S:
            await asyncio.sleep(rng.random() * 2)
            if rng.random() < 0.25 * self.rough:
                self.strike(rng)
            self.replace_dead()
        self.faults.lost_request = self.faults.lost_reply = self.faults.late_request = 0.0
        self.faults.kill = self.faults.stall = 0.0
        while True:
            await asyncio.sleep(1.0)
            self.replace_dead()

    def strike(self, rng: random.Random) -> None:
        site = rng.choice(self.sites)
        if not self.dispatchers:
            return
        process, dispatcher = rng.choice(self.dispatchers)
        down_s = rng.choice([0.2, 1.0, 4.0, 7.0])
        background = self.server.background
        dice = rng.randint(0, 9)
        if dice == 0:
            background(site.crash(down_s))
        elif dice == 1:
            background(site.partition(down_s))
        elif dice == 2:
            background(site.lose_touch(down_s))
        elif dice == 3:
            background(site.cut())
        elif dice == 4 and self.stalls:
            self.server.stall(down_s)
        elif dice == 5:
            self.client.script_flush()
        elif dice == 6 and process.running:
            process.kill()
        elif dice == 7 and process.running and self.stalls:
            process.stall()
            self.loop.call_later(down_s, process.resume, context=self.server.context)

        elif dice >= 8 and process.running:
            # A rolling restart, patient or not.
            stop = partial(dispatcher.stop, patience_s=None if rng.random() < 0.5 else 0.0)
            self.loop.call_soon(stop, context=process.context)

    def replace_dead(self) -> None:
        if not any(process.running for process, _ in self.dispatchers):
            self.start_dispatcher()

    # -------------------------------------------------------------------------------- running

    async def play(self) -> None:
        while (
            self.producing
            or self.loop.time() < TROUBLE_S
            or self.oracle.unfinished()
            or self.unsettled()
        ):
            await asyncio.sleep(0.5)
            if self.loop.time() > TROUBLE_S + PEACE_S or self.oracle.problems:
                break
        self.oracle.check_ends()
        if not self.oracle.problems:
            await self.close_down()

    def unsettled(self) -> bool:
        return bool(self.client.exists(*self.fixed("index")))

    def fixed(self, name: str) -> list[str]:
        return [cell.queue.keys.fixed(name) for cell in self.cells]

    async def close_down(self) -> None:
        """Stop every dispatcher in good order; nothing may be left of the tasks."""
        # What a dead dispatcher left must be reaped by one that lives; what slipped through even
        # so takes two looks of the slot audit.
        ends_at = self.loop.time() + 40
        while (self.dead_leases() or self.slots_in_use()) and self.loop.time() < ends_at:  # noqa: ASYNC110
            await asyncio.sleep(0.5)
        await asyncio.sleep(5.0)
        for process, dispatcher in list(self.dispatchers):
            if process.running:
                self.loop.call_soon(dispatcher.stop, context=process.context)
        ends_at = self.loop.time() + 60
        while self.client.exists(*self.fixed("leases")) and self.loop.time() < ends_at:  # noqa: ASYNC110
            await asyncio.sleep(0.5)
        for cell in self.cells:
            self.server.ask(cell.queue.sweep())
        self.forget_sessions()
        problems = leaks(self.client, quiet=True)
        for problem in problems:
            self.oracle.complain(problem)
        for name in TENANTS:
            status = self.server.ask(self.cell_of(name).tenants.status(name))
            if status is None or status.depth or status.in_flight:
                self.oracle.complain(f"counters of {name} are off: {status}")

    def forget_sessions(self) -> None:
        """Nothing uses them any more: once their time is up nothing is left of them."""
        later = self.loop.time() + 2 * SESSION_TTL_MS / 1000
        for cell in self.cells:
            commands = SessionCommands(cell.cell, lambda: START_MS + int(later * 1000))
            reply = self.executor.run(commands.idle(limit=1000))
            if reply.unfinished:
                self.oracle.complain(f"sessions have tasks: {reply.unfinished}")
            for word in ("session:*", "sessions", "pinned"):
                for key in self.client.keys(cell.queue.keys.fixed(word)):
                    self.oracle.complain(f"{key!r} is left of a session")

    def dead_leases(self) -> set[str]:
        alive = {dispatcher.name for process, dispatcher in self.dispatchers if process.running}
        leases = [self.server.ask(cell.lookup.dispatchers()) for cell in self.cells]
        return {name for of_cell in leases for name in of_cell} - alive

    def slots_in_use(self) -> bool:
        keys = [InstanceKeys.of(site.config.instance_id) for site in self.sites]
        names = [name for of_site in keys for name in (of_site.slots, of_site.orphans)]
        return bool(self.client.exists(*names))

    def check_capacity(self) -> None:
        for site in self.sites:
            if site.peak > site.config.capacity:
                self.oracle.complain(f"{site!r} ran {site.peak} of {site.config.capacity}")

    def run(self) -> Round:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self.start())
            self.check_capacity()
        finally:
            self.clear_away()
        report = self.report
        report.problems = self.oracle.problems
        report.commands = self.server.commands
        report.deaths = sum(process.killed for process in self.processes)
        report.virtual_s = self.loop.time()
        return report

    async def start(self) -> None:
        self.build()
        await self.loop.create_task(self.play(), context=self.server.context)

    def clear_away(self) -> None:
        async def ends() -> None:
            tasks = [task for process in self.processes for task in process.clear_away()]
            tasks += [t for t in asyncio.all_tasks() if t is not asyncio.current_task()]
            for task in tasks:
                task.cancel()
            await asyncio.gather(*tasks, return_exceptions=True)

        for _ in range(3):
            self.loop.run_until_complete(ends())
        self.loop.close()
        asyncio.set_event_loop(None)


def play_round(
    seed: int,
    client: redis.Redis,
    executor: SyncExecutor,
    trace: Callable[[str], None] | None = None,
) -> Round:
    """One round, made from its seed alone. `trace` is told of every command."""
    assert GATE.get() is None
    scenario = Scenario(seed, client, executor)
    if trace is not None:
        tell_commands(scenario.server, trace)
    return scenario.run()
