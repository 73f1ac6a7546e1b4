"""A local instance's folder, `<data dir>/instances/<instance id>/`, readable by its owner only.

| file | what | written by |
|---|---|---|
| `owner` | whose it is, where several Godels use one data folder | provider, first |
| `instance.json` | the template that it was made from | provider |
| `process.json` | pid and creation time of the running process | provider |
| `ready.json` | where it listens; there once it is registered | instance, at each start |
| `instance.log`, `instance.log.1` | what it prints, and printed before | instance; provider cuts |

The lock, `<data dir>/instances/.<instance id>.lock`, is held while it is started, stopped or
removed, and goes with the folder.
"""

from __future__ import annotations

import json
import shutil
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import ClassVar

from godel_tasks.domain.pool import InstanceTemplate
from godel_tasks.openclaw.folder import write_private
from godel_tasks.openclaw.owner import OWNER

#: A log above this is kept as `.1`, and begun anew.
LOG_BYTES = 5_000_000


@dataclass(frozen=True, slots=True)
class LocalFolder:
    """Where everything of one local instance is."""

    path: Path

    #: Its processes are known by this variable in their environment, helpers included.
    MARK: ClassVar[str] = "GODEL_INSTANCE_FOLDER"

    @property
    def instance_id(self) -> str:
        return self.path.name

    @property
    def mark(self) -> tuple[str, str]:
        return self.MARK, str(self.path)

    @property
    def owner(self) -> Path:
        return self.path / OWNER

    @property
    def template(self) -> Path:
        return self.path / "instance.json"

    @property
    def process(self) -> Path:
        return self.path / "process.json"

    @property
    def ready(self) -> Path:
        return self.path / "ready.json"

    @property
    def log(self) -> Path:
        return self.path / "instance.log"

    @property
    def old_log(self) -> Path:
        return self.path / "instance.log.1"

    @property
    def lock(self) -> Path:
        return self.path.with_name(f".{self.path.name}.lock")

    def make(self, template: InstanceTemplate, owner: str) -> None:
        """The folder with its owner and its template; idempotent."""
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        write_private(self.owner, owner + "\n")
        write_private(self.template, asdict(template))

    def read_template(self) -> InstanceTemplate | None:
        """What it was made from; None when there is no such folder, or it is only half made."""
        try:
            return InstanceTemplate(**json.loads(self.template.read_bytes()))
        except (OSError, ValueError, TypeError):
            return None

    def read_endpoint(self) -> str:
        """Where it listens; "" while it is not ready."""
        try:
            told = json.loads(self.ready.read_bytes())
            return str(told["endpoint"])
        except (OSError, ValueError, TypeError, KeyError):
            return ""

    def cut_log(self) -> bool:
        """Keep what the log holds beside it and empty it, if it is large. The process goes on
        writing to the same file; what it writes at that very moment may be lost."""
        if not self.log.exists() or self.log.stat().st_size <= LOG_BYTES:
            return False
        shutil.copyfile(self.log, self.old_log)
        self.old_log.chmod(0o600)
        with self.log.open("r+b") as file:
            file.truncate(0)
        return True

    def delete(self) -> None:
        """All of it; the lock last."""
        shutil.rmtree(self.path, ignore_errors=True)
        self.lock.unlink(missing_ok=True)


def root_of(data_dir: Path) -> Path:
    """Where the folders of all local instances are."""
    return data_dir / "instances"


def folder_of(data_dir: Path, instance_id: str) -> LocalFolder:
    """The folder of that instance, which may not exist."""
    return LocalFolder(root_of(data_dir) / instance_id)


def all_folders(data_dir: Path) -> list[LocalFolder]:
    """Every folder there is, by id; half made ones, too."""
    root = root_of(data_dir)
    paths = sorted(root.iterdir()) if root.is_dir() else []
    return [LocalFolder(path) for path in paths if path.is_dir()]
