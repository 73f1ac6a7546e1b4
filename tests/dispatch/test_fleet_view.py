"""FleetView: a snapshot that the registry's events feed."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from godel_tasks.dispatch.config import DispatchConfig, Ports
from godel_tasks.dispatch.fleet import LOOKS_OF_A_ROUND, FleetView
from godel_tasks.domain.instance import InstanceConfig, InstanceStatus
from godel_tasks.store.command import Command
from godel_tasks.store.executor import Executor

FLEET = 40


class Counting:
    """An executor that counts the hashes of instances that are read."""

    def __init__(self, inner: Executor) -> None:
        self.inner = inner
        self.read: list[str] = []

    async def run(self, command: Command[Any]) -> Any:
        return await self.inner.run(command)

    async def pipeline(self, commands: Sequence[Command[Any]]) -> list[Any]:
        self.read += [str(c.parts[1]) for c in commands if c.name == "HGETALL"]
        return await self.inner.pipeline(commands)

    def taken(self) -> list[str]:
        """Ids of what was read since the last call."""
        found, self.read = self.read, []
        return [key.partition("{i:")[2].partition("}")[0] for key in found]


class House:
    """A fleet and a view of it."""

    def __init__(self, ports: Ports) -> None:
        self.counting = Counting(ports.store)
        self.ports = replace(ports, store=self.counting)
        self.lost: list[tuple[str, str]] = []
        self.view = FleetView(self.ports, DispatchConfig(), lambda *what: self.lost.append(what))

    async def register(self, *ids: str) -> None:
        run, registry = self.ports.store.run, self.ports.registry
        for name in ids:
            await run(registry.register(InstanceConfig(name, "h:1", capacity=4)))
        await run(registry.attend(instance_ids=ids, lease_ms=60_000, event="instance.registered"))


@pytest.fixture
async def house(ports: Ports) -> House:
    made = House(ports)
    await made.register(*(f"i{n}" for n in range(FLEET)))
    assert await made.view.look()
    assert len(made.counting.taken()) == FLEET
    return made


async def test_an_event_has_its_instance_read_and_not_the_fleet(house: House) -> None:
    # Given an instance that an operator drains
    registry = house.ports.registry
    await house.ports.store.run(registry.change(instance_id="i7", draining=True))
    await house.ports.store.run(registry.tell(instance_id="i7", event="instance.changed"))
    # When the view looks
    await house.view.look()
    # Then it knows, and has read that one and the few that had their turn
    assert house.view.members["i7"].record.status is InstanceStatus.DRAINING
    read = house.counting.taken()
    assert "i7" in read
    assert len(read) <= FLEET // LOOKS_OF_A_ROUND + 1


async def test_every_instance_has_its_turn(house: House) -> None:
    # Given changes that nobody tells of
    for n in range(FLEET):
        registry = house.ports.registry
        await house.ports.store.run(registry.change(instance_id=f"i{n}", capacity=9))
    # When a round of looks is over
    for _ in range(LOOKS_OF_A_ROUND):
        await house.view.look()
    # Then all were read once
    assert sorted(house.counting.taken()) == sorted(f"i{n}" for n in range(FLEET))
    assert {m.record.config.capacity for m in house.view.members.values()} == {9}


async def test_all_is_read_when_events_were_cut_from_the_stream(house: House) -> None:
    # Given that the event which the view knew last is gone
    run, registry = house.ports.store.run, house.ports.registry
    await run(registry.change(instance_id="i3", capacity=7))
    for _ in range(1500):
        await run(registry.tell(instance_id="i0", event="instance.changed"))
    # When it looks
    await house.view.look()
    # Then it trusts nothing that it knew
    assert len(house.counting.taken()) == FLEET
    assert house.view.members["i3"].record.config.capacity == 7


async def test_a_new_generation_loses_what_ran_and_a_new_instance_is_seen(house: House) -> None:
    await house.register("i5", "late")
    await house.view.look()
    assert house.lost == [("i5", "it was started anew")]
    assert "late" in house.view.members
