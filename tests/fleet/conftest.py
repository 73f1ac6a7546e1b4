"""A manager of the session's server, emptied, with a data folder of its own; nothing stays."""

from __future__ import annotations

import contextlib
import os
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from godel_tasks.domain.pool import InstanceTemplate, PoolConfig
from godel_tasks.fleet.manager import InstanceManager
from godel_tasks.instances.local.folder import LocalFolder, all_folders
from godel_tasks.instances.provider import Provider
from godel_tasks.instances.providers.process import ProcessProvider
from godel_tasks.openclaw import processes
from godel_tasks.store.executor import AsyncExecutor, connect_async
from godel_tasks.store.pools import PoolCommands
from tests.keyleaks import leaks


@dataclass(slots=True)
class House:
    """One Godel, as far as instances are concerned."""

    store: AsyncExecutor
    data_dir: Path
    manager: InstanceManager

    def another_manager(self) -> InstanceManager:
        """As a process that was started later has it."""
        return InstanceManager(self.store, providers=self.provider)

    def provider(self, name: str) -> Provider:
        assert name == "process"
        return ProcessProvider(self.data_dir)

    def folder(self, instance_id: str) -> LocalFolder:
        return LocalFolder(self.data_dir / "instances" / instance_id)

    def process(self, instance_id: str) -> psutil.Process:
        """The main process, which runs."""
        found = processes.main_process(self.folder(instance_id))
        assert found is not None
        return found

    def processes(self) -> list[psutil.Process]:
        """All that runs of any instance of this data folder."""
        marked = processes.marked_processes(LocalFolder.MARK)
        return [p for path, ps in marked.items() if path.startswith(str(self.data_dir)) for p in ps]

    async def declare(self, pool: str = "shared", **changes: object) -> PoolConfig:
        options = {
            "handler": "tests.providers.agents:work",
            "cwd": str(Path(__file__).parents[2]),
            "drain_timeout_s": "2",
            "ready_s": "30",
        }
        options |= changes.pop("options", {})  # type: ignore[call-overload]
        template = InstanceTemplate(pool, options=options)
        config = PoolConfig(pool, template, **changes)  # type: ignore[arg-type]
        commands = PoolCommands()
        known = await self.store.run(commands.pool(pool))
        before = known.raw if known else ""
        assert await self.store.run(commands.put_pool(config, before=before))
        return config


@pytest.fixture
async def house(
    redis_url: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> AsyncIterator[House]:
    for name in list(os.environ):
        if name.startswith(("GODEL_", "CELERY_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("GODEL_REDIS_URL", redis_url)
    monkeypatch.setenv("GODEL_HEARTBEAT_EVERY_MS", "200")
    monkeypatch.setenv("GODEL_INSTANCE_LEASE_MS", "1000")
    store = AsyncExecutor(connect_async(redis_url))
    made = House(store, tmp_path / "data", InstanceManager(store))
    made.manager = made.another_manager()
    try:
        yield made
        for folder in all_folders(made.data_dir):
            await made.provider("process").remove(folder.instance_id, grace_s=0)
    finally:
        await store.close()
        for process in made.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()
    import redis

    with redis.Redis.from_url(redis_url) as client:
        assert leaks(client) == []
