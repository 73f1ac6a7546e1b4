"""Twenty instance processes, some of them behind wires that can be cut, and five ways to harm them.

Every victim is struck on its own: killed, stopped, cut off from dispatchers and from Redis, made
slow, or made unreachable for dispatchers alone while its heartbeats go on.
"""

from __future__ import annotations

import asyncio
import random
import signal
import socket
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from benchmarks.blackhole import Blackhole
from benchmarks.world import ROOT
from godel_tasks.embedded import EmbeddedServer
from godel_tasks.supervisor.spec import ProcessSpec
from godel_tasks.supervisor.supervisor import Supervisor

KILLED, STOPPED, CUT, UNREACHABLE, SLOW = "killed", "stopped", "cut", "unreachable", "slow"
#: How many victims there are of each. Nobody is struck twice in a round.
VICTIMS = {KILLED: 5, STOPPED: 5, CUT: 5, UNREACHABLE: 3, SLOW: 2}
#: Where an instance listens, and where dispatchers find one that is behind a wire.
HERE, BEHIND = "127.0.0.1", "127.0.0.2"
PORTS = range(20_000, 32_000)


@dataclass
class Wires:
    """The two of one instance."""

    from_dispatchers: Blackhole
    to_redis: Blackhole


@dataclass
class Fleet:
    """The processes' names, who is a victim of what, and the wires."""

    folder: Path
    names: list[str]
    victims: dict[str, list[str]]
    capacity: int
    wires: dict[str, Wires] = field(default_factory=dict)

    @property
    def slow_folder(self) -> Path:
        return self.folder / "slow"

    @property
    def journals(self) -> Path:
        return self.folder / "journals"

    def specs(self, server: EmbeddedServer) -> list[ProcessSpec]:
        """Needs a running loop: the wires are laid here."""
        for path in (self.slow_folder, self.journals):
            path.mkdir()
        behind = {*self.victims[CUT], *self.victims[UNREACHABLE]}
        return [self._spec(name, server, name in behind) for name in self.names]

    def _spec(self, name: str, server: EmbeddedServer, behind: bool) -> ProcessSpec:
        flags = ["--id", name, "--capacity", str(self.capacity)]
        flags += ["--journal", str(self.journals / f"{name}.jsonl")]
        env = {}
        if behind:
            port = free_port()
            path = str(self.folder / f"{name}.sock")
            wires = self.wires[name] = Wires(
                Blackhole((BEHIND, port), (HERE, port)), Blackhole(path, socket_of(server.url))
            )
            wires.from_dispatchers.heal()
            wires.to_redis.heal()
            flags += ["--port", str(port), "--advertise", BEHIND]
            env["GODEL_REDIS_URL"] = f"unix://{path}?db=0"
        godel = str(Path(sys.executable).with_name("godel"))
        return ProcessSpec(
            name=name,
            command=(godel, "instance", "--handler", "benchmarks.handlers:turn", *flags),
            env=env,
            cwd=ROOT,
            stop_timeout_s=10.0,
            restart=False,
        )

    def strike(self, kind: str, supervisor: Supervisor) -> dict[str, int]:
        """Harm the victims of this kind; when each was struck, wall time in ms."""
        acts: dict[str, Callable[[str], None]] = {
            KILLED: lambda name: supervisor.signal(name, signal.SIGKILL),
            STOPPED: lambda name: supervisor.signal(name, signal.SIGSTOP),
            CUT: self._cut,
            UNREACHABLE: lambda name: self.wires[name].from_dispatchers.cut(),
            SLOW: lambda name: (self.slow_folder / name).touch(),
        }
        struck = {}
        for name in self.victims[kind]:
            acts[kind](name)
            struck[name] = time.time_ns() // 1_000_000
        return struck

    def _cut(self, name: str) -> None:
        self.wires[name].from_dispatchers.cut()
        self.wires[name].to_redis.cut()

    async def heal(self, kind: str, supervisor: Supervisor) -> None:
        """Undo it: what was killed is started again, and what was stopped goes on."""
        for name in self.victims[kind]:
            if kind == KILLED:
                child = supervisor.child(name)
                while child.state != "ended":
                    await asyncio.sleep(0.01)
                await child.start()
            elif kind == STOPPED:
                supervisor.signal(name, signal.SIGCONT)
            elif kind == SLOW:
                (self.slow_folder / name).unlink(missing_ok=True)
            else:
                self.wires[name].from_dispatchers.heal()
                self.wires[name].to_redis.heal()

    async def close(self, supervisor: Supervisor) -> None:
        """So that everything can end."""
        for name in self.victims[STOPPED]:
            supervisor.signal(name, signal.SIGCONT)
        for name in (*self.victims[CUT], *self.victims[UNREACHABLE]):
            self.wires[name].from_dispatchers.heal()
            self.wires[name].to_redis.heal()

    async def close_wires(self) -> None:
        for wires in self.wires.values():
            await wires.from_dispatchers.close()
            await wires.to_redis.close()


def plan(names: Sequence[str], rng: random.Random) -> dict[str, list[str]]:
    """Who is struck by what: `VICTIMS`, of different instances each."""
    drawn = rng.sample(list(names), sum(VICTIMS.values()))
    found = {}
    for kind, count in VICTIMS.items():
        found[kind], drawn = sorted(drawn[:count]), drawn[count:]
    return found


def free_port() -> int:
    """A port that is free at both addresses, below those that connections are given: it must still
    be free when the instance has started."""
    while True:
        port = random.choice(PORTS)
        with socket.socket() as one, socket.socket() as other:
            try:
                one.bind((HERE, port))
                other.bind((BEHIND, port))
            except OSError:
                continue
            return port


def socket_of(url: str) -> str:
    """The path of the unix socket that a server's URL names."""
    from urllib.parse import unquote, urlsplit

    return unquote(urlsplit(url).path)
