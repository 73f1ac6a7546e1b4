"""Where one demo lives: a fresh folder, and an environment that no other Godel shines into."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import socket
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType

#: Names of the environment that would tell the demo's processes of another Godel.
FOREIGN = ("GODEL_", "CELERY_", "FLOWER_")
#: Seconds in which the demo's processes have to finish what they do when they are stopped.
DRAIN_S = 2
NOTHING: Mapping[str, str] = MappingProxyType({})


@dataclass(frozen=True, slots=True)
class Site:
    """The folder of one demo, and what is where in it."""

    root: Path

    @classmethod
    def fresh(cls) -> Site:
        """A new one, for this user only."""
        site = cls(Path(tempfile.mkdtemp(prefix="godel-demo-")))
        for folder in (site.server, site.journals, site.logs):
            folder.mkdir(mode=0o700)
        settings = {
            "data_dir": str(site.server),
            "drain_timeout_s": DRAIN_S,
            # Instances end dozens of tasks a second here: a fault of seconds is to count against
            # seconds of good ones.
            "breaker_window_s": 2,
            "breaker_min_calls": 3,
            "breaker_quorum": 1,
        }
        lines = [f"{key} = {json.dumps(value)}" for key, value in settings.items()]
        site.settings.write_text("\n".join(lines) + "\n", encoding="utf-8")
        return site

    @property
    def settings(self) -> Path:
        """The settings of every process of this demo, as `GODEL_CONFIG` names them."""
        return self.root / "godel.toml"

    @property
    def server(self) -> Path:
        return self.root / "server"

    @property
    def journals(self) -> Path:
        return self.root / "journals"

    @property
    def logs(self) -> Path:
        return self.root / "logs"

    def remove(self) -> None:
        shutil.rmtree(self.root, ignore_errors=True)


@contextlib.contextmanager
def own_environment(site: Site, more: Mapping[str, str] = NOTHING) -> Iterator[None]:
    """While this lasts, this process and its children know this demo's settings and no other's.
    `more` are variables that they get beside them."""
    kept = {name: value for name, value in os.environ.items() if name.startswith(FOREIGN)}
    for name in kept:
        del os.environ[name]
    own = {"GODEL_CONFIG": str(site.settings), **more}
    os.environ.update(own)
    try:
        yield
    finally:
        for name in own:
            del os.environ[name]
        os.environ.update(kept)


def free_port() -> int:
    """A port of the loopback that was free a moment ago."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port
