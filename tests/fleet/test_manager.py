"""InstanceManager: instances of a pool are made, found, stopped, started and removed."""

from __future__ import annotations

import asyncio

import pytest

from godel_tasks.domain.member import MemberState
from godel_tasks.domain.pool import PoolConfig, Wanted
from godel_tasks.errors import InvalidPool, SpawnFailed, UnknownInstance, UnknownPool
from godel_tasks.store.command import plain
from godel_tasks.store.keys import REGISTRY_MADE
from godel_tasks.store.pools import PoolCommands
from tests.fleet.conftest import House
from tests.helpers import wait_until_async


async def test_an_instance_is_made_and_removed_with_all_that_it_was(house: House) -> None:
    # Given a pool with a template
    await house.declare()
    # When an instance of it is made
    name = await house.manager.spawn("shared")
    # Then it is registered, healthy, and named after its pool
    assert name.startswith("shared-")
    (member,) = await house.manager.instances("shared", ask_providers=True)
    assert (member.instance_id, member.state) == (name, MemberState.UP)
    assert member.record is not None
    assert member.record.config.provider == "process"
    assert member.made is not None
    assert (member.made.wanted, member.idle) == (Wanted.UP, True)
    assert member.provided is not None
    assert member.provided.running
    # And when it is removed, nothing of it is left: no process, no folder, no record
    await house.manager.remove(name)
    await house.manager.remove(name)
    assert house.processes() == []
    assert list((house.data_dir / "instances").iterdir()) == []
    assert await house.manager.instances() == []
    assert await house.store.run(plain("EXISTS", REGISTRY_MADE, decode=int)) == 0


async def test_it_is_stopped_started_and_restarted(house: House) -> None:
    await house.declare()
    name = await house.manager.spawn("shared")
    first = house.process(name).pid
    # When it is stopped
    await house.manager.stop(name)
    # Then it does not run, and is no one of the pool's number
    (member,) = await house.manager.instances("shared")
    assert member.state is MemberState.STOPPED
    assert not member.counts(replace=True)
    assert house.processes() == []
    # And started it is given work again
    await house.manager.start(name)
    (member,) = await house.manager.instances("shared")
    assert member.state is MemberState.UP
    # And restarted it is another process, under a newer generation; a drain stays
    assert member.record is not None
    generation = member.record.generation
    await house.manager.drain(name)
    await house.manager.restart(name)
    (member,) = await house.manager.instances("shared")
    assert member.record is not None
    assert member.record.generation > generation
    assert member.state is MemberState.DRAINING
    assert house.process(name).pid != first


async def test_one_that_does_not_come_up_is_told_with_its_last_words(house: House) -> None:
    await house.declare(options={"handler": "tests.providers.agents:wrok"})
    with pytest.raises(SpawnFailed, match="Did you mean 'work'"):
        await house.manager.spawn("shared")
    assert house.processes() == []
    assert await house.manager.instances() == []


async def test_a_spawn_that_is_given_up_leaves_nothing(house: House) -> None:
    await house.declare()
    spawning = asyncio.create_task(house.manager.spawn("shared"))
    await wait_until_async(house.processes, description="its process was made")
    spawning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await spawning
    assert house.processes() == []
    assert await house.manager.instances(ask_providers=True) == []


async def test_what_it_cannot_do_is_told(house: House) -> None:
    with pytest.raises(UnknownPool, match="did you mean 'shared'"):
        await house.manager.spawn("shred")
    with pytest.raises(InvalidPool, match="nothing of what its instances are made from"):
        await house.manager.spawn("shared")
    with pytest.raises(UnknownInstance, match="'gw-1'"):
        await house.manager.start("gw-1")
    await house.declare("small", options={"handlr": "x:y"})
    with pytest.raises(InvalidPool, match="did you mean 'handler'"):
        await house.manager.spawn("small")


async def test_of_two_who_change_a_pool_at_once_one_is_told(house: House) -> None:
    commands = PoolCommands()
    await house.declare()
    known = await house.store.run(commands.pool("shared"))
    assert known is not None
    changed = PoolConfig("shared", known.value.template, min_available=1)
    assert await house.store.run(commands.put_pool(changed, before=known.raw))
    assert not await house.store.run(commands.put_pool(changed, before=known.raw))
    assert not await house.store.run(commands.drop_pool("shared", before=known.raw))
