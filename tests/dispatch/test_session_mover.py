"""Which sessions a dispatcher takes off their instances, and what it says."""

from __future__ import annotations

from dataclasses import replace

import pytest

from godel_tasks.dispatch.config import DispatchConfig, Ports
from godel_tasks.dispatch.feeder import CellView
from godel_tasks.dispatch.fleet import FleetView
from godel_tasks.dispatch.seen import SeenInstance
from godel_tasks.dispatch.sessions import STRANGER_S, SessionMover
from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.domain.requirement import RequirementClass
from godel_tasks.domain.task import NewTask, TaskBody, encode_body
from godel_tasks.domain.tenant import TenantConfig
from godel_tasks.events import EventBus, SessionsMoved
from godel_tasks.store.queue import Settlement, SlotRange, Verb


class Time:
    """A clock that the story moves."""

    def __init__(self) -> None:
        self.now = 1000.0

    def monotonic(self) -> float:
        return self.now

    def wall_ms(self) -> int:
        return int(self.now * 1000)

    async def sleep(self, seconds: float) -> None:
        self.now += seconds


class House:
    """Instances gw-1 and gw-2, and a session on gw-1 that has something to do."""

    def __init__(self, ports: Ports) -> None:
        self.time = Time()
        self.events: list[SessionsMoved] = []
        bus = EventBus()
        bus.subscribe(self._note, SessionsMoved)
        self.ports = replace(ports, bus=bus, clock=self.time)
        self.fleet = FleetView(self.ports, DispatchConfig(), lambda name, reason: None)
        self.view = CellView(ports.cells[0])
        self.mover = SessionMover(self.ports, self.fleet, [self.view], lambda: None)

    def _note(self, event: object) -> None:
        assert isinstance(event, SessionsMoved)
        self.events.append(event)

    async def register(self, *ids: str, capabilities: dict[str, str] | None = None) -> None:
        run, registry = self.ports.store.run, self.ports.registry
        for name in ids:
            config = InstanceConfig(name, f"{name}:1", capacity=4, capabilities=capabilities or {})
            await run(registry.register(config))
        await run(registry.attend(instance_ids=ids, lease_ms=60_000, event="instance.registered"))
        await self.fleet.look()

    async def stand(self, affinity: str = "soft") -> None:
        """The session's head ran on gw-1, and is to run again."""
        run, cell = self.ports.store.run, self.ports.cells[0]
        await run(cell.tenants.put(TenantConfig("acme")))
        await run(cell.leases.renew(dispatcher="d1", lease_ms=60_000))
        body = encode_body(TaskBody(b"1", session_id="s"))
        task = NewTask("t", 2, "0", "", body, session=f"s {affinity} 60000")
        await run(cell.queue.submit(tenant_id="acme", tasks=[task], check_settled=False))
        claim = cell.queue.claim(
            dispatcher="d1", batch=1, max_take=1, ageing_ms=60_000, max_lag=1e9,
            slots=[SlotRange("gw-1", 1, 1, 1)], preferences={"shared.0~": [0]},
        )  # fmt: skip
        (held,) = (await run(claim)).tasks
        again = Settlement("t", held.epoch, Verb.RETRY, 1.0)
        await run(cell.queue.settle(dispatcher="d1", sequence=1, settlements=[again]))
        self.view.waiting, _ = await run(cell.leases.sleep(dispatcher="d1"))
        stored = await run(cell.leases.classes())
        self.view.classes = {n: RequirementClass.parse(n, text) for n, text in stored.items()}

    async def moved(self) -> list[str]:
        """Why anything was moved, by a look of now."""
        await self.mover.look(self.view)
        reasons = [event.reason for event in self.events]
        assert all(event.instance_id == "gw-1" for event in self.events)
        return reasons

    async def drain(self, instance_id: str) -> None:
        registry, run = self.ports.registry, self.ports.store.run
        await run(registry.change(instance_id=instance_id, draining=True))
        await run(registry.tell(instance_id=instance_id, event="instance.changed"))
        await self.fleet.look()


@pytest.fixture
async def house(ports: Ports) -> House:
    made = House(ports)
    await made.register("gw-1", "gw-2")
    return made


async def test_a_session_stays_where_it_is_served(house: House) -> None:
    await house.stand()
    assert await house.moved() == []
    assert list(house.view.waiting) == ["shared.0~gw-1"]


async def test_it_leaves_an_instance_that_drains(house: House) -> None:
    # Given a session whose instance is drained
    await house.stand()
    await house.drain("gw-1")
    # Then it is moved, once
    assert await house.moved() == ["it is draining"]
    assert await house.moved() == ["it is draining"]
    waiting = await house.ports.store.run(house.ports.cells[0].lookup.waiting())
    assert waiting == {"shared.0~": 1}


async def test_a_hard_session_does_not(house: House) -> None:
    await house.stand("hard")
    await house.drain("gw-1")
    assert await house.moved() == []


async def test_nothing_leaves_when_there_is_nowhere_to_go(house: House) -> None:
    # Given that no other instance serves either
    await house.stand()
    await house.drain("gw-1")
    await house.drain("gw-2")
    # Then the session waits for its own, which may know it still
    assert await house.moved() == []


async def test_an_instance_that_is_not_known_yet_is_given_time(house: House) -> None:
    # Given a dispatcher whose snapshot does not know the session's instance
    await house.stand()
    del house.fleet.members["gw-1"]
    assert await house.moved() == []
    # When it still does not after a while
    await house.time.sleep(STRANGER_S)
    # Then the session leaves it
    assert await house.moved() == ["it left the registry"]


async def test_it_leaves_an_instance_that_stays_out_of_reach(house: House) -> None:
    # Given an instance whose line broke
    await house.stand()
    house.fleet.reach.broke("gw-1:1")
    assert await house.moved() == []
    # When it is not back in the time after which what runs there is lost
    await house.time.sleep(house.fleet.unreachable_after_ms("gw-1") / 1000)
    assert await house.moved() == ["it is out of reach"]


@pytest.mark.parametrize(
    ("behind", "moves"), [({"gw-1"}, True), ({"gw-1", "gw-2"}, False)], ids=["its own", "a common"]
)
async def test_it_leaves_a_breaker_behind_only_for_an_instance_that_has_none_before_it(
    house: House, monkeypatch: pytest.MonkeyPatch, behind: set[str], moves: bool
) -> None:
    # Given an open breaker before the session's instance, and before the other one or not
    await house.stand()

    def refusal(member: SeenInstance) -> str:
        return "breaker gw is open" if member.record.instance_id in behind else ""

    monkeypatch.setattr(house.fleet, "breaker_refusal", refusal)
    # Then the session moves where that helps
    assert await house.moved() == (["breaker gw is open"] if moves else [])


async def test_it_leaves_an_instance_that_cannot_run_the_task_any_more(house: House) -> None:
    await house.stand()
    wanted = house.view.classes["shared.0~gw-1"]
    house.view.classes["shared.0~gw-1"] = replace_pool(wanted, "gold")
    house.fleet.members["gw-2"].record = replace(
        house.fleet.members["gw-2"].record,
        config=replace(house.fleet.members["gw-2"].record.config, pool="gold"),
    )
    assert await house.moved() == ["it cannot run the task (pool is shared, not gold)"]


def replace_pool(wanted: RequirementClass, pool: str) -> RequirementClass:
    return RequirementClass(wanted.class_id, pool, wanted.requirement, pinned=wanted.pinned)
