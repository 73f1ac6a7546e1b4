"""Two real gateways, and the stand-in for the model behind them, for a whole test session."""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
import urllib.request
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.embedded.guard import Guard
from godel_tasks.instances.providers.process import ProcessProvider
from godel_tasks.openclaw import gateways, install, processes
from godel_tasks.openclaw.folder import folder_of
from godel_tasks.openclaw.template import Model, Spec
from tests.helpers import wait_until

#: Dollars per million tokens that the stand-in costs.
PRICE_IN, PRICE_OUT = 1.0, 2.0


@dataclass
class StandIn:
    """The model, a process of its own."""

    port: int
    process: subprocess.Popen[bytes]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def prompts(self) -> dict[str, int]:
        """How often the model was called, by prompt."""
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/calls", timeout=10) as answer:
            found: dict[str, int] = json.load(answer)["prompts"]
            return found

    def calls_of(self, text: str) -> int:
        """Calls whose prompt holds this text."""
        return sum(count for prompt, count in self.prompts().items() if text in prompt)


@dataclass
class Pair:
    """Gateways `gw-1` and `gw-2`. A test that ends one has it started again."""

    data_dir: Path
    model: StandIn
    configs: dict[str, InstanceConfig]
    guard: Guard = field(repr=False)
    _watched: set[int] = field(default_factory=set)

    @property
    def provider(self) -> ProcessProvider:
        return ProcessProvider(self.data_dir)

    def config(self, name: str = "gw-1", **changes: Any) -> InstanceConfig:
        """As an operator would add it: read and write only."""
        return replace(self.configs[name], provider="static", **changes)

    def runs(self, name: str) -> bool:
        return processes.main_process(folder_of(self.data_dir, name)) is not None

    def pid(self, name: str = "gw-1") -> int:
        main = processes.main_process(folder_of(self.data_dir, name))
        assert main is not None, f"{name} does not run"
        return main.pid

    async def start(self, name: str) -> None:
        """Idempotent."""
        await self.provider.start(self.configs[name])
        self._watch(self.pid(name))

    async def kill(self, name: str) -> None:
        await self.provider.kill(self.configs[name])

    def _watch(self, pid: int) -> None:
        self.guard.watch(pid)
        self._watched.add(pid)

    def forget(self) -> None:
        """Nothing of it runs any more."""
        for pid in self._watched:
            self.guard.forget(pid)


def start_pair(data_dir: Path, guard: Guard) -> Pair:
    install.install(say=lambda line: print(line, file=sys.stderr))
    model = _start_model(data_dir, guard)
    spec = Model(model.url, "standin", price_in=PRICE_IN, price_out=PRICE_OUT, standin=True)
    specs = [gateways.create(data_dir, Spec(name, spec)) for name in ("gw-1", "gw-2")]
    configs = {s.instance_id: gateways.instance_config(data_dir, s) for s in specs}
    pair = Pair(data_dir, model, configs, guard)

    async def both() -> None:
        await asyncio.gather(*(pair.start(name) for name in configs))

    asyncio.run(both())
    return pair


def _start_model(data_dir: Path, guard: Guard) -> StandIn:
    data_dir.mkdir(parents=True, exist_ok=True)
    log = data_dir / "standin.log"
    with log.open("wb") as out:
        process = subprocess.Popen(
            [sys.executable, "-m", "godel_tasks.testing.standin", "--port", "0"],
            stdin=subprocess.DEVNULL, stdout=out, stderr=out,
        )  # fmt: skip
    guard.watch(process.pid)

    def port() -> int:
        assert process.poll() is None, log.read_text()
        _, _, rest = log.read_text().partition("listens on http://127.0.0.1:")
        digits = rest.split("/")[0].strip()
        return int(digits) if digits.isdecimal() and "/" in rest else 0

    return StandIn(wait_until(port, description="the stand-in listens", timeout=20), process)


def stop_pair(pair: Pair) -> None:
    async def both() -> None:
        for config in pair.configs.values():
            await pair.provider.kill(config)

    asyncio.run(both())
    for name in pair.configs:
        gateways.remove(pair.data_dir, name)
    pair.model.process.terminate()
    pair.model.process.wait(10)
    pair.guard.forget(pair.model.process.pid)
    pair.forget()
