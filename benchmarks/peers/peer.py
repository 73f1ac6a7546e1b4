"""What a peer is to the benchmark."""

from __future__ import annotations

import json
import sys
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

import redis

from benchmarks.peers import install
from godel_tasks.embedded import EmbeddedServer
from godel_tasks.supervisor.spec import ProcessSpec

Settings = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Look:
    """The server of a drain of `tasks`, as the benchmark looks at it: `queue` is database 0, where
    every peer has its queue, and `results` database 1, where those that can have their results."""

    queue: redis.Redis
    results: redis.Redis
    tasks: int


class Peer(ABC):
    """A task queue that drains no-ops: how to install it, start it, and count its results."""

    name: ClassVar[str]
    #: Tasks of a drain in relation to the others', so that a drain takes seconds and not minutes.
    share: ClassVar[float] = 1.0
    #: The settings that it runs with, and then others that were tried and were not clearly faster.
    variants: ClassVar[tuple[Settings, ...]]
    #: What is the same in all variants, for people.
    fixed: ClassVar[str]
    #: What it does for a task beyond running it, and what it does not.
    note: ClassVar[str]

    @property
    def ready(self) -> bool:
        """Whether `prepare` has nothing left to do."""
        return True

    def prepare(self) -> None:  # noqa: B027 - nothing to do for most
        """Install it, if it is not there yet. Raises `NotMeasured`."""

    @property
    @abstractmethod
    def client(self) -> tuple[str, ...]:
        """The command of its client: takes `enqueue COUNT FILE` and `verify FILE`."""

    def fleet(self, server: EmbeddedServer, settings: Settings) -> list[ProcessSpec]:  # noqa: ARG002
        """What has to be ready before workers start."""
        return []

    @abstractmethod
    def workers(self, server: EmbeddedServer, settings: Settings) -> list[ProcessSpec]:
        """What drains the queue."""

    @abstractmethod
    def begun(self, look: Look) -> bool:
        """Whether a worker has taken a task."""

    def stored(self, look: Look) -> int:
        """Results stored by now, at the cost of one command."""
        return int(look.results.dbsize())

    @abstractmethod
    def left(self, look: Look) -> int:
        """Tasks that wait or are not acknowledged."""

    def environment(self, server: EmbeddedServer, settings: Settings) -> dict[str, str]:
        """What its processes find in their environment; see `apps/client.py`."""
        return {
            "PYTHONPATH": str(install.ROOT),
            "PEER_QUEUE": server.url,
            "PEER_RESULTS": results_url(server.url),
            "PEER_SETTINGS": json.dumps(dict(settings)),
        }

    def process(
        self, number: int, command: tuple[str, ...], server: EmbeddedServer, settings: Settings
    ) -> ProcessSpec:
        """A worker process of it; once ended, it stays so."""
        return ProcessSpec(
            name=f"{self.name}{number}",
            role=self.name,
            command=command,
            env=self.environment(server, settings),
            stop_timeout_s=15.0,
            restart=False,
        )


class PythonPeer(Peer):
    """A peer with an environment of its own, made from `requirements/peers/<name>.lock`."""

    @property
    def ready(self) -> bool:
        return install.is_installed(self.name)

    def prepare(self) -> None:
        install.python(self.name)

    @property
    def client(self) -> tuple[str, ...]:
        python = install.command(self.name, "python")
        return (python, "-m", f"benchmarks.peers.apps.{self.name}_app")


class GodelsPythonPeer(Peer):
    """A peer that Godel's own environment has."""

    @property
    def client(self) -> tuple[str, ...]:
        return (sys.executable, "-m", f"benchmarks.peers.apps.{self.name}_app")


def results_url(url: str) -> str:
    """Database 1 of the server whose database 0 is at `url`."""
    if url.startswith("unix:"):
        return url.removesuffix("?db=0") + "?db=1"
    return url.removesuffix("/0") + "/1"


def read_ids(file: Path) -> list[str]:
    ids: list[str] = json.loads(file.read_text())
    return ids
