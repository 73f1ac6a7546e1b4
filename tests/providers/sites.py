"""Places where a provider makes instances, for the contract that all of them keep.

To add a provider: write a `ProviderSite` for it and put it into `SITES` (every_site.py).
"""

from __future__ import annotations

import contextlib
import sys
from abc import ABC, abstractmethod
from pathlib import Path

import psutil

from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.domain.pool import InstanceTemplate
from godel_tasks.instances.local.folder import LocalFolder
from godel_tasks.instances.provider import Provider
from godel_tasks.instances.providers.process import ProcessProvider
from godel_tasks.openclaw import processes
from godel_tasks.openclaw.folder import Folder
from godel_tasks.openclaw.running import Patience

ROOT = Path(__file__).parents[2]
FAKE = ROOT / "tests" / "openclaw" / "fake_gateway.py"


class ProviderSite(ABC):
    """One provider, with what its instances are made from. Opened and closed by the fixture."""

    driver = "grpc"
    #: What an error about `broken` instances says.
    words: str
    #: An option of its templates, misspelt, and the option itself.
    misspelt: tuple[str, str]
    #: Whether one that does not run may be there all the same, and be started again.
    stops = True

    def __init__(self, folder: Path) -> None:
        self.data_dir = folder / "data"

    @abstractmethod
    async def open(self) -> None:
        """Before the story."""

    @abstractmethod
    async def close(self) -> None:
        """End what a failed story leaves."""

    @abstractmethod
    def provider(self) -> Provider:
        """As a Godel that was started just now has it."""

    @abstractmethod
    def template(self, pool: str = "p") -> InstanceTemplate:
        """One whose instances come up."""

    @abstractmethod
    def broken(self) -> InstanceTemplate:
        """One whose instances end as they start, saying `words`."""

    @abstractmethod
    def stuck(self) -> InstanceTemplate:
        """One whose instances never get ready; it is given up soon."""

    @abstractmethod
    async def kill(self, instance_id: str) -> None:
        """End it from outside, as a crash does."""

    @abstractmethod
    def left(self) -> list[str]:
        """All that there is of any instance: processes, folders, containers."""

    def config(self, instance_id: str) -> InstanceConfig:
        """As the registry has it."""
        return InstanceConfig(
            instance_id, "", driver=self.driver, provider=self.provider().name, pool="p"
        )


class ProcessSite(ProviderSite):
    """What both kinds of processes have in common."""

    mark: str
    folders: str

    async def open(self) -> None:
        self.data_dir.mkdir()

    def left(self) -> list[str]:
        root = self.data_dir / self.folders
        folders = [path.name for path in root.glob("[!.]*")] if root.exists() else []
        return folders + [str(process.pid) for process in self.processes()]

    def processes(self) -> list[psutil.Process]:
        marked = processes.marked_processes(self.mark)
        return [p for path, ps in marked.items() if path.startswith(str(self.data_dir)) for p in ps]

    async def close(self) -> None:
        for process in self.processes():
            with contextlib.suppress(psutil.Error):
                process.kill()


class LocalSite(ProcessSite):
    """Provider `process`, driver `grpc`."""

    mark, folders = LocalFolder.MARK, "instances"
    words = "Did you mean 'work'"
    misspelt = ("handlr", "handler")

    def provider(self) -> Provider:
        return ProcessProvider(self.data_dir)

    def template(self, pool: str = "p") -> InstanceTemplate:
        return self._template("tests.providers.agents:work", pool)

    def broken(self) -> InstanceTemplate:
        return self._template("tests.providers.agents:wrok")

    def stuck(self) -> InstanceTemplate:
        return self._template("tests.providers.stuck:work", ready_s="0.5")

    async def kill(self, instance_id: str) -> None:
        main = processes.main_process(LocalFolder(self.data_dir / self.folders / instance_id))
        assert main is not None
        main.kill()
        await processes.gone([main], 5)

    def _template(self, handler: str, pool: str = "p", **more: str) -> InstanceTemplate:
        options = {"handler": handler, "cwd": str(ROOT), "drain_timeout_s": "1", "ready_s": "60"}
        return InstanceTemplate(pool, options={**options, **more})


class GatewaySite(ProcessSite):
    """Provider `process`, driver `openclaw`, with a program in the gateway's place."""

    driver = "openclaw"
    mark, folders = Folder.MARK, "openclaw"
    words = "gateway.port must be a number"
    misspelt = ("standn", "standin")

    def provider(self) -> Provider:
        return ProcessProvider(
            self.data_dir,
            # What it is to do stands in its model's name.
            command=lambda spec: [sys.executable, str(FAKE), *spec.model.name.split()],
            patience=Patience(ready_s=20, stop_s=5, helpers_s=0.1),
        )

    def template(self, pool: str = "p") -> InstanceTemplate:
        return self._template("--helper", pool)

    def broken(self) -> InstanceTemplate:
        return self._template("--exit 78")

    def stuck(self) -> InstanceTemplate:
        return self._template("--never-ready", ready_s="0.5")

    async def kill(self, instance_id: str) -> None:
        main = processes.main_process(Folder(self.data_dir / self.folders / instance_id))
        assert main is not None
        main.kill()
        await processes.gone([main], 5)

    def _template(self, flags: str, pool: str = "p", **more: str) -> InstanceTemplate:
        options = {"model_url": "http://127.0.0.1:1/v1", "model": flags, **more}
        return InstanceTemplate(pool, driver=self.driver, options=options)


class DockerSite(ProviderSite):
    """Provider `docker`, over the stub of an engine."""

    words = "no licence"
    misspelt = ("imag", "image")

    async def open(self) -> None:
        from tests.providers.stubs.docker import DockerStub, Image

        self._engine = DockerStub()
        await self._engine.__aenter__()
        self._engine.images["broken:1"] = Image(says=("no licence",), ends_after_s=0.0, exit_code=3)
        self._engine.images["stuck:1"] = Image(health="starting")

    async def close(self) -> None:
        await self._engine.__aexit__(None, None, None)

    def provider(self) -> Provider:
        from godel_tasks.instances.providers.docker import DockerProvider

        return DockerProvider(self._engine.url, settled_s=0.05)

    def template(self, pool: str = "p") -> InstanceTemplate:
        return InstanceTemplate(pool, "docker", options={"image": "agents:1"})

    def broken(self) -> InstanceTemplate:
        return InstanceTemplate("p", "docker", options={"image": "broken:1"})

    def stuck(self) -> InstanceTemplate:
        options = {"image": "stuck:1", "health": "true", "ready_s": "0.3"}
        return InstanceTemplate("p", "docker", options=options)

    async def kill(self, instance_id: str) -> None:
        self._engine.containers[f"godel-{instance_id}"].end(137)

    def left(self) -> list[str]:
        return list(self._engine.containers)
