"""The local instances of one data folder."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass
from pathlib import Path

from godel_tasks.domain.pool import InstanceTemplate, ProvidedInstance
from godel_tasks.instances.local import options
from godel_tasks.instances.local.folder import LocalFolder, all_folders, folder_of
from godel_tasks.instances.local.running import LocalInstance
from godel_tasks.openclaw import processes
from godel_tasks.openclaw.owner import is_of


@dataclass(frozen=True, slots=True)
class LocalInstances:
    """As `Provider` has it, by instance id."""

    data_dir: Path
    owner: str

    def check(self, template: InstanceTemplate) -> None:
        options.read(template)

    async def spawn(self, template: InstanceTemplate, instance_id: str) -> None:
        await self._one(instance_id).spawn(template)

    async def start(self, instance_id: str) -> None:
        await self._one(instance_id).start()

    async def stop(self, instance_id: str) -> None:
        await self._one(instance_id).stop()

    async def kill(self, instance_id: str) -> None:
        await self._one(instance_id).stop(grace_s=0)

    async def remove(self, instance_id: str, grace_s: float | None) -> None:
        await self._one(instance_id).remove(grace_s=grace_s)

    async def provided(self) -> list[ProvidedInstance]:
        folders = [each for each in all_folders(self.data_dir) if is_of(each.path, self.owner)]
        if not folders:
            return []
        marked = await asyncio.to_thread(processes.marked_processes, LocalFolder.MARK)
        return [_provided(folder, marked.get(folder.mark[1], [])) for folder in folders]

    def last_words(self, instance_id: str) -> str:
        return self._one(instance_id).last_words()

    async def tend(self) -> int:
        folders = all_folders(self.data_dir)
        return sum([await asyncio.to_thread(folder.cut_log) for folder in folders])

    def _one(self, instance_id: str) -> LocalInstance:
        return LocalInstance(folder_of(self.data_dir, instance_id), self.data_dir, self.owner)


def _provided(folder: LocalFolder, marked: list[processes.Process]) -> ProvidedInstance:
    template = folder.read_template()
    main = processes.main_process(folder)
    pids = sorted({process.pid for process in marked} | ({main.pid} if main else set()))
    # A main process that nobody has recorded yet runs, too.
    return ProvidedInstance(
        folder.instance_id,
        template.pool if template else "",
        running=bool(main) or bool(marked and not folder.process.exists()),
        detail=f"pid {main.pid if main else pids[0]}" if pids else "",
    )
