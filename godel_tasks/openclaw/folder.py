"""A gateway's folder, `<data dir>/openclaw/<instance id>/`, readable by its owner only.

| file | what | written by |
|---|---|---|
| `gateway.json` | the `Spec`: port, model, capacity | `godel openclaw start` |
| `openclaw.json` | the gateway's configuration, made anew at each start | provider |
| `token` | the gateway's token; `credentials=file:<path>` refers to it | `godel openclaw start` |
| `process.json` | pid and creation time of the running process | provider |
| `lock` | held while it is started or stopped | provider |
| `gateway.log` | its log, JSON lines, rotated by itself | gateway |
| `console.log` | what it prints: warnings, and why it would not start | gateway |
| `state/`, `home/`, `workspace/`, `tmp/` | its own | gateway |
"""

from __future__ import annotations

import json
import os
import secrets
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar


@dataclass(frozen=True, slots=True)
class Folder:
    """Where everything of one gateway is."""

    path: Path

    #: Its processes are known by this variable in their environment, helpers included.
    MARK: ClassVar[str] = "OPENCLAW_STATE_DIR"

    @property
    def instance_id(self) -> str:
        return self.path.name

    @property
    def mark(self) -> tuple[str, str]:
        return self.MARK, str(self.state)

    @property
    def spec(self) -> Path:
        return self.path / "gateway.json"

    @property
    def config(self) -> Path:
        return self.path / "openclaw.json"

    @property
    def token(self) -> Path:
        return self.path / "token"

    @property
    def process(self) -> Path:
        return self.path / "process.json"

    @property
    def lock(self) -> Path:
        return self.path / "lock"

    @property
    def log(self) -> Path:
        return self.path / "gateway.log"

    @property
    def console(self) -> Path:
        return self.path / "console.log"

    @property
    def state(self) -> Path:
        return self.path / "state"

    @property
    def home(self) -> Path:
        return self.path / "home"

    @property
    def workspace(self) -> Path:
        return self.path / "workspace"

    @property
    def tmp(self) -> Path:
        return self.path / "tmp"

    def make(self) -> None:
        """The folder with its subfolders; idempotent."""
        for path in (self.path, self.state, self.home, self.workspace, self.tmp):
            path.mkdir(mode=0o700, parents=True, exist_ok=True)

    def read_token(self) -> str:
        """The token, made at the first call."""
        try:
            return self.token.read_text().strip()
        except FileNotFoundError:
            token = secrets.token_urlsafe(32)
            write_private(self.token, token + "\n")
            return token


def folder_of(data_dir: Path, instance_id: str) -> Folder:
    """The folder of that gateway, which may not exist."""
    return Folder(root_of(data_dir) / instance_id)


def root_of(data_dir: Path) -> Path:
    """Where the folders of all gateways are."""
    return data_dir / "openclaw"


def write_private(path: Path, content: str | dict[str, Any]) -> None:
    """Write a file of ours (0600) so that nobody ever reads half of it."""
    text = content if isinstance(content, str) else json.dumps(content, indent=2) + "\n"
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(fd, "w") as file:
        file.write(text)
    temporary.replace(path)
