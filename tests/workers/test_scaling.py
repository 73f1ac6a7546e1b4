"""A pool follows its load: real instances come and go, and no task is lost on the way."""

from __future__ import annotations

import contextlib
import sys
from collections.abc import Iterator
from pathlib import Path

import psutil
import pytest

from godel_tasks.domain.pool import InstanceTemplate, PoolConfig
from godel_tasks.domain.scaling import ScalingPolicy, StepLimit
from godel_tasks.instances.local.folder import LocalFolder
from godel_tasks.openclaw import processes
from godel_tasks.store.pools import PoolCommands
from godel_tasks.store.scaling import ScalingCommands
from godel_tasks.views.instances import all_instances
from tests.helpers import wait_until
from tests.world import REPOSITORY, World

PEAK = 4
TASKS = 40


@pytest.fixture
def world(tmp_path: Path) -> Iterator[World]:
    """With a dispatcher, a control worker and beat; what they make ends with it."""
    with World(tmp_path / "world", heartbeat_every_ms=300) as world:
        try:
            world.dispatcher("d1")
            flags = ("--without-gossip", "--without-mingle")
            control = [sys.executable, "-m", "celery", "-A", "workers.control", "worker"]
            world.spawn("c1", [*control, "-n", "c1@%h", *flags]).wait_for("ready")
            world.spawn("beat", [sys.executable, "-m", "celery", "-A", "godel_tasks", "beat"])
            yield world
        finally:
            for name in ("beat", "c1"):
                if name in world.processes:
                    world.processes[name].kill()
            _end_instances(world.server.data_dir)


def _end_instances(data_dir: Path) -> None:
    for path, found in processes.marked_processes(LocalFolder.MARK).items():
        if path.startswith(str(data_dir)):
            for process in found:
                with contextlib.suppress(psutil.NoSuchProcess):
                    process.kill()


def declare(world: World) -> None:
    options = {
        "handler": "tests.providers.agents:work",
        "cwd": str(REPOSITORY),
        "drain_timeout_s": "5",
        "ready_s": "60",
    }
    config = PoolConfig("shared", InstanceTemplate("shared", capacity=2, options=options))
    assert world.runtime.store.run(PoolCommands().put_pool(config, before=""))


def scale(world: World, least: int, most: int) -> None:
    policy = ScalingPolicy(
        "shared",
        "load curve",
        min_instances=least,
        max_instances=most,
        down_window_s=4.0,
        step_up=StepLimit(),
        step_down=StepLimit(),
        drain_deadline_s=30.0,
    )
    world.runtime.store.run(ScalingCommands().put_policies([policy]))


def up(world: World) -> list[str]:
    views = all_instances(world.runtime)
    return [view.record.instance_id for view in views if view.status.value == "up"]


def acts(world: World, what: str) -> list[str]:
    """What the history tells of acts of one kind."""
    history = world.runtime.store.run(ScalingCommands().history(pool="shared", count=1000))
    return [e.act.detail for e in history if e.act is not None and e.act.what == what]


def test_it_grows_under_load_and_shrinks_after_it(world: World) -> None:
    # Given a pool whose policy wants two, and nothing that runs yet
    declare(world)
    scale(world, 2, PEAK)
    wait_until(lambda: len(up(world)) == 2, description="the minimum is there", timeout=40)
    # When much more comes in than two can do
    world.tenant("acme")
    items = [{"tenant_id": "acme", "payload": 0.4} for _ in range(TASKS)]
    ids = [submission.task_id for submission in world.submit_many(items)]
    # Then the pool grows to its maximum, and everything is done
    wait_until(lambda: len(up(world)) == PEAK, description="it has grown", timeout=60)
    results = [world.app.AsyncResult(task_id).get(timeout=60) for task_id in ids]
    assert results == [0.4] * TASKS
    # And it shrinks to two again, with nothing that ran on those that went
    wait_until(
        lambda: len(acts(world, "removed")) == PEAK - 2, description="it has shrunk", timeout=40
    )
    assert len(up(world)) == 2
    assert set(acts(world, "removed")) == {"it is idle"}
    assert len(acts(world, "spawned")) == PEAK
    assert acts(world, "failed") == []
    assert world.tenant_status("acme").succeeded == TASKS
