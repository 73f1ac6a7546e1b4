"""What the simulated driver offers beyond the contract: scripts, faults, virtual time, a record."""

from __future__ import annotations

import asyncio
import selectors
from collections.abc import Awaitable, Callable
from random import Random
from typing import Any

from godel_tasks.domain.attempt import End
from godel_tasks.domain.instance import Health, InstanceConfig
from godel_tasks.instances.drivers.simulated import SimulatedDriver, SimulatedNetwork
from godel_tasks.instances.drivers.simulated_endpoint import Act, Link, Plan, SimulatedEndpoint
from godel_tasks.instances.handlers import TaskContext
from godel_tasks.instances.instance import Connection
from tests.instances.sites import Listener, delivery


class _JumpingSelector(selectors.DefaultSelector):
    """Never waits: the time that the loop would have waited is over at once."""

    now = 0.0

    def select(self, timeout: float | None = None) -> Any:
        ready = super().select(0)
        if not ready:
            if timeout is None:
                raise AssertionError("nothing will ever happen again")
            self.now += timeout
        return ready


class VirtualLoop(asyncio.SelectorEventLoop):
    """An event loop whose time is made up; also a `Clock`."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)

    def time(self) -> float:
        return self._jumping.now

    def monotonic(self) -> float:
        return self._jumping.now

    def wall_ms(self) -> int:
        return int(self._jumping.now * 1000)

    async def sleep(self, seconds: float) -> None:
        await asyncio.sleep(seconds)


class World:
    """One simulated endpoint in virtual time."""

    def __init__(
        self, loop: VirtualLoop, plan: Plan, link: Link | None = None, capacity: int = 2
    ) -> None:
        configs = [InstanceConfig(name, "", capacity=capacity) for name in ("a-1", "a-2")]
        generations = {"a-1": 7, "a-2": 7}
        self.process = SimulatedEndpoint(
            "sim://a", configs, plan, loop, generations=generations, link=link
        )
        self.driver = SimulatedDriver(SimulatedNetwork([self.process]), loop, Random(1))

    async def connect(self) -> tuple[Connection, Listener]:
        listener = Listener()
        connection = self.driver.open_connection(InstanceConfig("a-1", "sim://a"), listener)
        await connection.start()
        await asyncio.sleep(3)
        assert connection.connected
        return connection, listener


def in_virtual_time(story: Callable[[VirtualLoop], Awaitable[None]]) -> float:
    """Run a story; how long it took of its own time, in seconds."""
    loop = VirtualLoop()

    async def tell() -> None:
        await story(loop)

    with asyncio.Runner(loop_factory=lambda: loop) as runner:
        runner.run(tell())
        return loop.time()


def after(seconds: float, **act: Any) -> Plan:
    def plan(payload: Any, context: TaskContext) -> Act:
        return Act(latency_s=seconds, **act)

    return plan


def test_an_hour_of_work_takes_no_time() -> None:
    async def story(loop: VirtualLoop) -> None:
        world = World(loop, after(3600, returns="done"))
        connection, listener = await world.connect()
        connection.deliver([delivery("t")])
        await asyncio.sleep(3599)
        assert listener.completions == []
        await asyncio.sleep(2)
        assert listener.completions[0].result == b'"done"'
        assert listener.completions[0].run_ms == 3_600_000
        await connection.stop()

    assert in_virtual_time(story) > 3600


def test_scripted_attempts_fail_hang_and_time_out() -> None:
    plans = {
        "fails": Act(raises=ValueError("no")),
        "hangs": Act(hangs=True),
    }

    async def story(loop: VirtualLoop) -> None:
        world = World(loop, lambda payload, context: plans[context.task_id])
        connection, listener = await world.connect()
        connection.deliver([delivery("fails"), delivery("hangs", timeout_ms=5000)])
        await asyncio.sleep(10)
        assert [(c.task_id, c.end) for c in listener.completions] == [
            ("fails", End.FAILED),
            ("hangs", End.TIMED_OUT),
        ]
        await connection.stop()

    in_virtual_time(story)


def test_a_crash_forgets_and_a_restart_runs_again() -> None:
    async def story(loop: VirtualLoop) -> None:
        # Given an endpoint that dies in the middle of its first attempt
        def plan(payload: Any, context: TaskContext) -> Act:
            return Act(latency_s=1, crashes=len(world.process.executions) == 1, returns=1)

        world = World(loop, plan)
        connection, listener = await world.connect()
        connection.deliver([delivery("t")])
        await asyncio.sleep(5)
        # Then nobody is told of an end, and the connection is broken
        assert listener.completions == []
        assert listener.events == ["connected", "disconnected"]
        # When it comes back and the attempt is delivered again
        world.process.boot_up()
        await asyncio.sleep(5)
        connection.deliver([delivery("t")])
        await asyncio.sleep(5)
        # Then it runs again, and both runs are on record
        assert listener.completions[0].end is End.OK
        starts = [(x.key, x.instance_id, x.boot) for x in world.process.executions]
        assert starts == [("t:1", "a-1", 1), ("t:1", "a-1", 2)]
        await connection.stop()

    in_virtual_time(story)


def test_a_broken_wire_loses_what_is_on_it_and_not_what_runs() -> None:
    async def story(loop: VirtualLoop) -> None:
        # Given wires that take a while, and one attempt delivered and another on its way
        world = World(loop, after(10, returns=1), Link(latency_s=0.5, random=Random(1)))
        connection, listener = await world.connect()
        connection.deliver([delivery("arrived")])
        await asyncio.sleep(1)
        connection.deliver([delivery("on_its_way")])
        # When the wire breaks for a while
        world.process.partition()
        assert (await world.driver.instance(_config()).health_check()).status is Health.UNHEALTHY
        await asyncio.sleep(20)
        assert not connection.connected
        world.process.heal()
        await asyncio.sleep(5)
        # Then the first ran to its end, the second never began, and asking again tells the end
        assert [x.key for x in world.process.executions] == ["arrived:1"]
        assert listener.completions == []
        connection.deliver([delivery("arrived")])
        await asyncio.sleep(2)
        assert [c.key for c in listener.completions] == ["arrived:1"]
        await connection.stop()

    in_virtual_time(story)


def test_wires_keep_the_order_whatever_their_jitter() -> None:
    async def story(loop: VirtualLoop) -> None:
        world = World(loop, after(0), Link(jitter_s=1.0, random=Random(3)), capacity=50)
        connection, _ = await world.connect()
        for number in range(50):
            connection.deliver([delivery(f"t{number}", instance_id=f"a-{1 + number % 2}")])
            await asyncio.sleep(0.1)
        await asyncio.sleep(5)
        assert [x.key for x in world.process.executions] == [f"t{n}:1" for n in range(50)]
        await connection.stop()

    in_virtual_time(story)


def test_the_record_tells_the_most_that_ran_at_once() -> None:
    async def story(loop: VirtualLoop) -> None:
        world = World(loop, after(1))
        connection, _ = await world.connect()
        connection.deliver([delivery(f"t{n}") for n in range(5)])
        await asyncio.sleep(5)
        assert world.process.peak("a-1") == 2
        assert world.process.peak("a-2") == 0
        # Also after a crash
        world.process.crash()
        assert world.process.peak("a-1") == 2
        world.process.boot_up()
        assert world.process.peak("a-1") == 2
        await connection.stop()

    in_virtual_time(story)


def test_a_registration_moves_the_generation_on() -> None:
    async def story(loop: VirtualLoop) -> None:
        world = World(loop, after(0, returns=1))
        connection, listener = await world.connect()
        world.process.register({"a-1": 8})
        assert world.process.generation("a-1") == 8
        connection.deliver([delivery("old"), delivery("new", generation=8)])
        await asyncio.sleep(1)
        ends = {c.task_id: c.error_type for c in listener.completions}
        assert ends == {"old": "OtherGeneration", "new": ""}
        await connection.stop()

    in_virtual_time(story)


def _config() -> InstanceConfig:
    return InstanceConfig("a-1", "sim://a", driver="simulated")
