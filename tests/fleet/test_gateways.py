"""InstanceManager over gateways, which do not register by themselves: it does that for them."""

from __future__ import annotations

import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator
from pathlib import Path

import psutil
import pytest

from godel_tasks.domain.instance import InstanceStatus
from godel_tasks.domain.pool import InstanceTemplate, PoolConfig
from godel_tasks.fleet.rollout import RollingRestart
from godel_tasks.instances.providers.process import ProcessProvider
from godel_tasks.openclaw import processes
from godel_tasks.openclaw.folder import Folder
from godel_tasks.openclaw.running import Patience
from godel_tasks.policy.lifecycle import Act
from godel_tasks.store.command import plain
from godel_tasks.store.keys import REGISTRY_INSTANCES, REGISTRY_MADE, InstanceKeys
from godel_tasks.store.pools import PoolCommands
from godel_tasks.store.registry import RegistryCommands
from tests.fleet.conftest import House
from tests.helpers import wait_until_async

PLAYED = Path(__file__).with_name("played_gateway.py")
ROOT = Path(__file__).parents[2]


class GatewayHouse(House):
    """A house whose gateways are played."""

    def provider(self, name: str) -> ProcessProvider:
        assert name == "process"
        program = f"import sys, runpy; sys.path.insert(0, {str(ROOT)!r}); "
        run = f"runpy.run_path({str(PLAYED)!r}, run_name='__main__')"
        return ProcessProvider(
            self.data_dir,
            command=lambda _spec: [sys.executable, "-c", program + run],
            patience=Patience(ready_s=30, stop_s=5, helpers_s=0.1),
        )

    def processes(self) -> list[psutil.Process]:
        marked = processes.marked_processes(Folder.MARK)
        return [p for path, ps in marked.items() if path.startswith(str(self.data_dir)) for p in ps]


@pytest.fixture
async def gateways(house: House) -> AsyncIterator[GatewayHouse]:
    made = GatewayHouse(house.store, house.data_dir, house.manager)
    made.manager = made.another_manager()
    template = InstanceTemplate(
        "shared",
        driver="openclaw",
        capacity=2,
        capabilities={"gpu": "yes"},
        options={"standin": "http://127.0.0.1:1/v1"},
    )
    config = PoolConfig("shared", template, replace=True, replace_after_s=0.0)
    assert await house.store.run(PoolCommands().put_pool(config, before=""))
    try:
        yield made
    finally:
        for process in made.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()


async def acts(house: House) -> list[Act]:
    return [tended.act for tended in await house.another_manager().adopt()]


async def test_a_gateway_is_registered_by_who_made_it_and_adopted_by_the_next(
    gateways: GatewayHouse,
) -> None:
    # When a gateway is made for a pool
    name = await gateways.manager.spawn("shared")
    # Then it is registered, and waits for the first dispatcher that attends it
    view = await gateways.manager.records.view(name)
    assert view is not None
    assert (view.config.driver, view.config.provider) == ("openclaw", "process")
    assert (view.config.capacity, view.config.capabilities) == (2, {"gpu": "yes"})
    assert view.status is InstanceStatus.DEAD
    # And though no dispatcher runs it is not replaced: it answers
    assert await acts(gateways) == []
    # When Redis has forgotten it, it is registered again from what runs
    for key in (REGISTRY_MADE, REGISTRY_INSTANCES, InstanceKeys.of(name).info):
        await gateways.store.run(plain("DEL", key, decode=int))
    assert await acts(gateways) == [Act.REGISTER]
    assert await gateways.manager.records.view(name) is not None
    # And it is removed with all that it was
    await gateways.manager.remove(name)
    assert gateways.processes() == []
    assert list((gateways.data_dir / "openclaw").glob("[!.]*")) == []
    assert await gateways.manager.instances() == []


async def test_a_gateway_that_died_is_replaced(gateways: GatewayHouse) -> None:
    name = await gateways.manager.spawn("shared")
    restarted = await gateways.manager.records.view(name)
    assert restarted is not None
    await gateways.manager.restart(name)
    view = await gateways.manager.records.view(name)
    assert view is not None
    assert view.record.generation > restarted.record.generation
    main = processes.main_process(Folder(gateways.data_dir / "openclaw" / name))
    assert main is not None
    main.kill()
    await processes.gone([main], 5)
    (tended,) = await gateways.another_manager().adopt()
    assert (tended.act, tended.error) == (Act.REPLACE, "")
    (member,) = await gateways.manager.instances("shared")
    assert member.instance_id == tended.successor
    await gateways.manager.remove(member.instance_id)
    assert gateways.processes() == []


async def test_a_rolling_restart_waits_until_a_dispatcher_attends_the_gateway(
    gateways: GatewayHouse,
) -> None:
    # Given a gateway that a dispatcher, played here, attends
    name = await gateways.manager.spawn("shared")
    await attend(gateways, name)
    rolling = RollingRestart(gateways.another_manager(), gateways.store)
    going = asyncio.create_task(rolling.begin("shared"))

    async def restarted() -> bool:
        view = await gateways.manager.records.view(name)
        return view is not None and view.record.generation > 1

    await wait_until_async(restarted, description="it was registered anew")
    # Then the restart is over only once a dispatcher has reached it again
    assert not going.done()
    await attend(gateways, name)
    assert (await going).done == (name,)
    await gateways.manager.remove(name)


async def attend(house: House, name: str) -> None:
    registry = RegistryCommands()
    await house.store.run(registry.set_status(instance_id=name, status=InstanceStatus.UP))
    await house.store.run(registry.attend(instance_ids=[name], lease_ms=60_000))
