"""RollingRestart: a pool is restarted while enough of it takes work, and a broken one stops it."""

from __future__ import annotations

import asyncio

import pytest

from godel_tasks.domain.member import MemberState
from godel_tasks.errors import RolloutStopped, Unsupported
from godel_tasks.fleet.rollout import RollingRestart
from godel_tasks.store.command import plain
from godel_tasks.store.keys import REGISTRY_ROLLOUTS
from godel_tasks.store.registry import RegistryCommands
from tests.fleet.conftest import House
from tests.helpers import wait_until_async


def rolling(house: House, said: list[str] | None = None) -> RollingRestart:
    lines = said if said is not None else []
    return RollingRestart(house.another_manager(), house.store, say=lines.append)


async def spawned(house: House, count: int) -> dict[str, int]:
    """So many instances: id and pid."""
    names = await asyncio.gather(*(house.manager.spawn("shared") for _ in range(count)))
    return {name: house.process(name).pid for name in sorted(names)}


async def states(house: House) -> dict[str, MemberState]:
    return {m.instance_id: m.state for m in await house.manager.instances("shared")}


async def test_a_pool_is_restarted_one_by_one_and_never_below_its_floor(house: House) -> None:
    # Given a pool of three of which two have to take work, one of them drained by an operator
    await house.declare(min_available=1)
    before = await spawned(house, 3)
    aside = next(iter(before))
    await house.manager.drain(aside)
    seen: list[int] = []

    async def look_on() -> None:
        while True:
            seen.append(sum(s is MemberState.UP for s in (await states(house)).values()))
            await asyncio.sleep(0.02)

    looking = asyncio.create_task(look_on())
    # When it is restarted
    said: list[str] = []
    done = await rolling(house, said).begin("shared")
    looking.cancel()
    # Then each is another process, the drained one drains still, and there was always one up
    assert sorted(done.done) == sorted(before)
    assert all(house.process(name).pid != pid for name, pid in before.items())
    after = await states(house)
    assert after.pop(aside) is MemberState.DRAINING
    assert set(after.values()) == {MemberState.UP}
    assert min(seen) >= 1
    assert len(said) == 3 * len(before)
    # And nothing is left of it
    assert await house.store.run(plain("EXISTS", REGISTRY_ROLLOUTS, decode=int)) == 0


async def test_it_stops_at_the_first_that_does_not_come_back_and_goes_on_later(
    house: House,
) -> None:
    # Given a pool of two, one of which does not come up any more
    await house.declare(options={"ready_s": "20"})
    before = await spawned(house, 2)
    first, second = before
    template = house.folder(first).template
    was = template.read_text()
    template.write_text(was.replace("agents:work", "agents:wrok"))
    # When the pool is restarted
    with pytest.raises(RolloutStopped, match=rf"1 to go|2 to go: {first} did not come back"):
        await rolling(house).begin("shared")
    # Then the other one was not touched, and a new one is refused
    assert house.process(second).pid == before[second]
    with pytest.raises(RolloutStopped, match="was broken off"):
        await rolling(house).begin("shared")
    # And once it was put right, it goes on from there
    template.write_text(was)
    done = await rolling(house).resume("shared")
    assert sorted(done.done) == sorted(before)
    assert set((await states(house)).values()) == {MemberState.UP}
    with pytest.raises(RolloutStopped, match="no rolling restart"):
        await rolling(house).resume("shared")


async def test_one_that_is_broken_off_in_the_middle_is_resumed(house: House) -> None:
    # Given a restart that waits for an instance on which something runs
    await house.declare()
    (name,) = await spawned(house, 1)
    registry = RegistryCommands()
    slots = registry.slots(instance_id=name, generation=1, dispatcher="d1", first=0, count=1)
    assert (await house.store.run(slots)).granted == 1
    said: list[str] = []
    going = asyncio.create_task(rolling(house, said).begin("shared", drain_deadline_s=60))
    await wait_until_async(lambda: said, description="it drains")
    assert await states(house) == {name: MemberState.DRAINING}
    # When it is broken off, and what ran has ended
    going.cancel()
    with pytest.raises(asyncio.CancelledError):
        await going
    free = registry.slots(instance_id=name, generation=1, dispatcher="d1", free=["d1/0"])
    await house.store.run(free)
    # Then the next one finishes it
    done = await rolling(house).resume("shared")
    assert done.done == (name,)
    assert await states(house) == {name: MemberState.UP}


async def test_a_floor_that_leaves_no_room_is_told(house: House) -> None:
    await house.declare(min_available=1)
    before = await spawned(house, 1)
    with pytest.raises(RolloutStopped, match="only 1 take work, and 1 have to"):
        await rolling(house).begin("shared")
    assert {name: house.process(name).pid for name in before} == before
    await rolling(house).forget("shared")


async def test_a_pool_that_nobody_can_restart_is_told(house: House) -> None:
    with pytest.raises(Unsupported, match="no instance that its provider can restart"):
        await rolling(house).begin("shared")
