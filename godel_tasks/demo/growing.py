"""The demo's fleet grows while tasks wait, and shrinks when none do: what is asked of Godel, and
what it says of it. The instances are made by Godel's own auto-scaler, not by the demo."""

from __future__ import annotations

import contextlib
import json
from dataclasses import dataclass, field
from pathlib import Path

from godel_tasks.demo.plan import POLICY, template_of
from godel_tasks.demo.site import Site
from godel_tasks.domain.pool import PoolConfig
from godel_tasks.embedded import Guard
from godel_tasks.errors import GodelError
from godel_tasks.instances.providers.process import ProcessProvider
from godel_tasks.runtime import Runtime
from godel_tasks.store.executor import AsyncExecutor
from godel_tasks.store.pools import PoolCommands
from godel_tasks.store.scaling import ScalingCommands, ScalingEntry

#: Entries of the history that a look reads.
READ = 50


def journal_of_grown(site: Site) -> Path:
    """Where the instances that Godel makes write down what they execute, all of them."""
    return site.journals / "instances-grown.jsonl"


def declare(runtime: Runtime, site: Site) -> None:
    """The pool, with what its instances are made from, and its policy."""
    pools = PoolCommands()
    config = PoolConfig(POLICY.pool, template=template_of(journal_of_grown(site)))
    if not runtime.store.run(pools.put_pool(config, before="")):
        raise GodelError(f"pool {POLICY.pool!r} is declared already")
    runtime.store.run(ScalingCommands().put_policies([POLICY]))


@dataclass
class Growth:
    """What has become of the fleet's size. `grown` are the ids of what was made and is not removed;
    `out` and `into` count what was added and taken away, `most` is the largest `grown`."""

    store: AsyncExecutor
    folder: Path
    guard: Guard
    out: int = 0
    into: int = 0
    most: int = 0
    grown: list[str] = field(default_factory=list)
    _last: ScalingEntry | None = None
    _guarded: set[str] = field(default_factory=set)

    async def look(self) -> list[str]:
        """What happened since the last look, in words."""
        self._watch()
        entries = await self.store.run(ScalingCommands().history(pool=POLICY.pool, count=READ))
        # By place, not by time: a millisecond may have several, and some of them come later.
        news = entries[entries.index(self._last) + 1 :] if self._last in entries else entries
        self._last = entries[-1] if entries else None
        return [words for entry in news if (words := self._count(entry))]

    def _count(self, entry: ScalingEntry) -> str:
        act, decision = entry.act, entry.decision
        if decision is not None and decision.delta:
            return f"scale {decision.inputs.size} to {decision.result}: {decision.why}"
        if act is None:
            return ""
        if act.what == "spawned":
            self.out += 1
            self.grown.append(act.instance_id)
            self.most = max(self.most, len(self.grown))
        elif act.what == "removed":
            self.into += 1
            with contextlib.suppress(ValueError):
                self.grown.remove(act.instance_id)
        else:
            return ""
        return f"{act.type.value}: {act.instance_id} {act.what}"

    def _watch(self) -> None:
        """Whatever was made ends with the demo, however that ends."""
        for process in self.folder.glob("*/process.json"):
            if process.parent.name not in self._guarded:
                with contextlib.suppress(OSError, ValueError, KeyError):
                    self.guard.watch(int(json.loads(process.read_bytes())["pid"]))
                    self._guarded.add(process.parent.name)

    def figures(self) -> dict[str, int]:
        """For the report."""
        return {"scaled_out": self.out, "scaled_in": self.into, "grown_at_once": self.most}


async def remove_all(data_dir: Path) -> None:
    """End what is still there of what Godel made: nobody is left who would."""
    provider = ProcessProvider(data_dir)
    for each in await provider.provided():
        await provider.remove(each.instance_id, grace_s=0.0)
