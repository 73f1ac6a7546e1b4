"""Tender: whatever died in the middle is finished, undone or replaced by the next look."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from godel_tasks.domain.member import MemberState
from godel_tasks.domain.pool import MadeInstance, Wanted
from godel_tasks.policy.lifecycle import Act
from godel_tasks.store.command import plain
from godel_tasks.store.keys import REGISTRY_MADE
from tests.fleet.conftest import House
from tests.helpers import wait_until, wait_until_async

#: A Godel of its own that makes an instance, until it is killed.
SPAWNING = """
import asyncio, sys
from pathlib import Path
from godel_tasks.fleet.manager import InstanceManager
from godel_tasks.instances.providers.process import ProcessProvider
from godel_tasks.store.executor import AsyncExecutor, connect_async

async def main(url, data_dir):
    store = AsyncExecutor(connect_async(url))
    manager = InstanceManager(store, providers=lambda _name: ProcessProvider(Path(data_dir)))
    print(await manager.spawn("shared"), flush=True)
    await asyncio.sleep(60)

asyncio.run(main(*sys.argv[1:]))
"""


def another_godel(house: House, url: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-c", SPAWNING, url, str(house.data_dir)],
        cwd=Path(__file__).parents[2],
        stdout=subprocess.PIPE,
        text=True,
    )


async def acts(house: House) -> list[Act]:
    return [tended.act for tended in await house.another_manager().adopt()]


async def overdue(house: House, instance_id: str, **changes: object) -> None:
    """As if whoever is at it had not been heard of for long."""
    stored = await house.manager.records.made(instance_id)
    assert stored is not None
    made: MadeInstance = replace(stored.value, until_ms=0, **changes)  # type: ignore[arg-type]
    await house.manager.records.write(made, before=stored.raw)


async def test_an_instance_outlives_the_godel_that_made_it_and_is_adopted(
    house: House, redis_url: str
) -> None:
    # Given an instance that a Godel has made, which was killed
    await house.declare()
    with another_godel(house, redis_url) as godel:
        assert godel.stdout is not None
        name = godel.stdout.readline().strip()
        godel.kill()
    # Then it runs on, and the next Godel knows it and has nothing to do
    assert house.process(name).is_running()
    assert await acts(house) == []
    # And when Redis has forgotten what was made, it is written down again from what runs
    await house.store.run(plain("DEL", REGISTRY_MADE, decode=int))
    assert await acts(house) == [Act.ADOPT]
    (member,) = await house.manager.instances("shared")
    assert member.made is not None
    assert (member.state, member.made.wanted) == (MemberState.UP, Wanted.UP)
    assert await acts(house) == []
    await house.manager.remove(name)


async def test_a_godel_killed_while_making_leaves_nothing_unknown(
    house: House, redis_url: str
) -> None:
    # Given a Godel that is killed as soon as the process is made, which never gets ready
    await house.declare(options={"handler": "tests.providers.stuck:work"})
    with another_godel(house, redis_url) as godel:
        wait_until(house.processes, description="the process was made", timeout=20)
        godel.kill()
    (member,) = await house.manager.instances("shared")
    # Then for a while it is left alone, as its maker may live
    assert member.state is MemberState.MAKING
    assert await acts(house) == []
    assert house.processes() != []
    # And then it is removed with all that it was
    await overdue(house, member.instance_id)
    assert await acts(house) == [Act.REMOVE]
    assert house.processes() == []
    assert list((house.data_dir / "instances").iterdir()) == []
    assert await house.manager.instances(ask_providers=True) == []


async def test_one_that_redis_has_forgotten_has_the_time_to_register_again(house: House) -> None:
    # Given an instance that runs, and a Redis without data
    await house.declare()
    name = await house.manager.spawn("shared")
    await house.store.run(plain("FLUSHALL", decode=str))
    await house.declare()
    # Then it is not ended, but looked at again later, and adopted then
    assert await acts(house) in ([Act.WATCH], [Act.ADOPT])
    assert house.process(name).is_running()

    async def is_back() -> bool:
        return await house.manager.records.view(name) is not None

    await wait_until_async(is_back, description="it has registered again")
    stored = await house.manager.records.made(name)
    if stored is not None and stored.value.wanted is Wanted.MAKING:
        await overdue(house, name)
        assert await acts(house) == [Act.ADOPT]
    (member,) = await house.manager.instances("shared")
    assert member.state is MemberState.UP
    await house.manager.remove(name)


async def test_an_intent_of_which_nothing_was_made_is_forgotten(house: House) -> None:
    await house.declare()
    made = MadeInstance(
        "shared-1", "shared", "process", "grpc", house.provider("process").place,
        Wanted.MAKING, since_ms=0,
    )  # fmt: skip
    await house.manager.records.write(made)
    assert await acts(house) == [Act.FORGET]
    assert await house.manager.instances() == []
    # And one of another machine is left to that
    await house.manager.records.write(replace(made, place="elsewhere:/data"))
    assert await acts(house) == []
    stored = await house.manager.records.made("shared-1")
    assert stored is not None
    await house.manager.records.drop(stored)


async def test_a_folder_that_is_garbage_is_removed(house: House) -> None:
    await house.declare()
    half = house.data_dir / "instances" / "shared-9"
    half.mkdir(parents=True)
    (half / "instance.json").write_text("{")
    assert await acts(house) == [Act.REMOVE]
    assert not half.exists()


async def test_what_another_godel_has_made_in_the_same_data_folder_is_left_alone(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given an instance, and another Godel with a Redis of its own and the same data folder
    await house.declare()
    name = await house.manager.spawn("shared")
    house.process(name).kill()
    await house.store.run(plain("DEL", REGISTRY_MADE, decode=int))
    url = os.environ["GODEL_REDIS_URL"]
    monkeypatch.setenv("GODEL_REDIS_URL", "redis://elsewhere:6379/0")
    # Then that one sees nothing of it
    assert await acts(house) == []
    assert house.folder(name).path.exists()
    # And this one, by whom it was made, does
    monkeypatch.setenv("GODEL_REDIS_URL", url)
    assert await acts(house) == [Act.REMOVE]


async def test_a_removal_that_was_broken_off_is_finished(house: House) -> None:
    await house.declare()
    name = await house.manager.spawn("shared")
    await overdue(house, name, wanted=Wanted.LEAVING)
    assert await acts(house) == [Act.REMOVE]
    assert house.processes() == []
    assert await house.manager.instances() == []


async def test_a_dead_one_is_replaced_where_the_pool_says_so(house: House) -> None:
    # Given a pool that does not replace, and an instance that is killed
    await house.declare()
    name = await house.manager.spawn("shared")
    house.process(name).kill()
    await dead(house, name)
    assert await acts(house) == []
    # When the pool replaces its dead
    config = await house.declare(replace=True, replace_after_s=0.0)
    before = await house.manager.instances("shared")
    assert [m.counts(replace=config.replace) for m in before] == [True]
    # Then of two who look at once one makes another one, and the count stays
    both = await asyncio.gather(house.manager.adopt(), house.another_manager().adopt())
    (tended,) = [tended for done in both for tended in done]
    assert (tended.instance_id, tended.act, tended.error) == (name, Act.REPLACE, "")
    (member,) = await house.manager.instances("shared")
    assert (member.instance_id, member.state) == (tended.successor, MemberState.UP)
    assert member.made is not None
    assert (member.made.deaths, member.made.instead_of) == (1, name)
    assert await acts(house) == []
    assert [path.name for path in (house.data_dir / "instances").glob("[!.]*")] == [
        member.instance_id
    ]


async def test_one_that_stands_still_is_ended_and_replaced(house: House) -> None:
    await house.declare(replace=True, replace_after_s=0.0)
    name = await house.manager.spawn("shared")
    stopped = house.process(name)
    stopped.send_signal(signal.SIGSTOP)
    await dead(house, name)
    assert await acts(house) == [Act.REPLACE]
    assert not stopped.is_running()
    (member,) = await house.manager.instances("shared")
    assert member.state is MemberState.UP


async def test_one_that_was_stopped_by_hand_is_not_replaced(house: House) -> None:
    await house.declare(replace=True, replace_after_s=0.0)
    name = await house.manager.spawn("shared")
    await house.manager.stop(name)
    assert await acts(house) == []
    await house.manager.remove(name)


async def test_a_replacement_that_fails_is_tried_again_later_and_costs_no_count(
    house: House,
) -> None:
    # Given a dead instance of a pool whose template is broken by now
    await house.declare(replace=True, replace_after_s=0.0)
    name = await house.manager.spawn("shared")
    house.process(name).kill()
    await dead(house, name)
    config = await house.declare(
        replace=True, replace_after_s=0.0, options={"handler": "tests.providers.agents:wrok"}
    )
    # When it is to be replaced
    (tended,) = await house.manager.adopt()
    assert "Did you mean 'work'" in tended.error
    # Then it still stands for one of the pool's number, and waits
    (member,) = await house.manager.instances("shared")
    assert (member.instance_id, member.state) == (name, MemberState.DEAD)
    assert member.counts(replace=config.replace)
    assert await acts(house) == []
    # And once the template is right and the time is over, it is replaced
    await house.declare(replace=True, replace_after_s=0.0)
    await overdue(house, name, since_ms=0)
    assert await acts(house) == [Act.REPLACE]
    (member,) = await house.manager.instances("shared")
    assert member.state is MemberState.UP


async def dead(house: House, name: str) -> None:
    async def is_dead() -> bool:
        (member,) = await house.manager.instances("shared")
        return member.instance_id == name and member.state is MemberState.DEAD

    await wait_until_async(is_dead, description=f"{name} is dead")
