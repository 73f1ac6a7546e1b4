"""The control job `tend`, as beat has it run: what died is replaced, and logs are cut."""

from __future__ import annotations

import asyncio

import pytest

from godel_tasks.domain.member import MemberState
from godel_tasks.instances.local.folder import LOG_BYTES
from godel_tasks.runtime import Runtime
from godel_tasks.settings import load_settings
from godel_tasks.worker import jobs
from tests.fleet.conftest import House
from tests.helpers import wait_until_async


async def test_beat_has_what_was_made_looked_after(
    house: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given a control worker on the machine, with nothing to look after
    monkeypatch.setenv("GODEL_DATA_DIR", str(house.data_dir))
    runtime = Runtime(load_settings())
    assert jobs.EVERY_S["tend"] <= 2.0
    assert await asyncio.to_thread(jobs.tend, runtime) == 0
    # And two instances: one has said much, the other one is killed
    await house.declare(replace=True, replace_after_s=0.0)
    talks, dies = [await house.manager.spawn("shared") for _ in range(2)]
    log = house.folder(talks).log
    said = log.read_text()
    with log.open("a") as file:
        file.write("x" * LOG_BYTES + "\n")
    house.process(dies).kill()

    async def is_dead() -> bool:
        states = {m.instance_id: m.state for m in await house.manager.instances("shared")}
        return states[dies] is MemberState.DEAD

    await wait_until_async(is_dead, description="the killed one is dead")
    # When the job runs
    assert await asyncio.to_thread(jobs.tend, runtime) == 1
    # Then the dead one was replaced, and the log was cut, with its past beside it
    members = await house.manager.instances("shared")
    assert [m.state for m in members] == [MemberState.UP, MemberState.UP]
    assert dies not in {m.instance_id for m in members}
    assert log.stat().st_size < LOG_BYTES
    assert house.folder(talks).old_log.read_text().startswith(said)
    # And the process goes on writing to it
    assert house.process(talks).is_running()
    assert await asyncio.to_thread(jobs.tend, runtime) == 0
