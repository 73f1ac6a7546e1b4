"""The demo with gateways from its first word to its last.

A story in order: install the gateway, bring everything up, let the tenants submit, kill a
dispatcher and a gateway on the way, wait for the end, and judge from what the journals and the
model's own count say.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import time
from dataclasses import dataclass
from pathlib import Path

from godel_tasks.demo.journal import Journal
from godel_tasks.demo.openclaw import checker, telling
from godel_tasks.demo.openclaw.display import closing
from godel_tasks.demo.openclaw.drama import Drama
from godel_tasks.demo.openclaw.house import Stage, opened
from godel_tasks.demo.openclaw.plan import SECONDS_CAP, GatewaysPlan
from godel_tasks.demo.performing import Report, perform
from godel_tasks.demo.plan import TENANTS
from godel_tasks.demo.producer import START
from godel_tasks.demo.run import LOOK_EVERY_S, last_results
from godel_tasks.demo.site import Site
from godel_tasks.demo.telling import Telling
from godel_tasks.demo.watch import Watcher
from godel_tasks.errors import GodelError
from godel_tasks.openclaw.install import Installed, install, installed


@dataclass(frozen=True, slots=True)
class GatewaysOptions:
    """`seconds_cap` is the most that the work may take."""

    plan: GatewaysPlan
    seconds_cap: float = SECONDS_CAP


def run_gateways(options: GatewaysOptions, teller: Telling) -> Report:
    """Run it. Raises as `perform`, and `InstallFailed`."""
    teller.say(telling.STANDIN, style="bold yellow")
    found = _installed(teller)
    env = {"GODEL_OPENCLAW_DIR": str(found.folder)}
    return perform(lambda site: _story(site, options, teller), teller, env)


def _installed(teller: Telling) -> Installed:
    found = installed()
    if found is None:
        teller.say(telling.INSTALLING)
        found = install(say=teller.say)
        teller.say(f"Installed after {found.took_s:.0f} s: {found.version}")
    return found


async def _story(site: Site, options: GatewaysOptions, teller: Telling) -> Report:
    teller.say(telling.before(options.plan))
    teller.say(f"Folder: {site.root}", style="dim")
    (site.journals / "tenants.json").write_text(json.dumps(dict(TENANTS)), encoding="utf-8")
    async with opened(site, options.plan, teller.say) as stage:
        watcher = Watcher(stage.house, options.plan.instances())
        with teller.live():
            await _work(stage, watcher, options, teller)
        await last_results(stage.house)
        await stage.house.supervisor.child("subscriber").stop()
        await _write_down(stage, site.journals)
        report = await asyncio.to_thread(checker.report, site.journals)
        report["tenants"] = {name: report["tenants"][name] for name in TENANTS}
        teller.draw(closing(report))
        teller.say(telling.shown(report))
        teller.say(telling.READ_ON)
    return report


async def _work(stage: Stage, watcher: Watcher, options: GatewaysOptions, teller: Telling) -> None:
    """Until all is settled and the drama is over."""
    house = stage.house
    watcher.began = time.monotonic()
    watcher.phase = "turns run"
    house.supervisor.signal("producer", START)
    with contextlib.closing(Journal(house.site.journals / "drama.jsonl")) as journal:
        drama = Drama(stage, journal, lambda line: teller.event(watcher.tell(line)))
        playing = asyncio.create_task(drama.play())
        try:
            while True:
                house.check()
                snapshot = await watcher.look()
                teller.show(snapshot)
                if playing.done():
                    playing.result()
                    if snapshot["settled"] == house.tasks:
                        return
                if watcher.elapsed_s > options.seconds_cap:
                    raise GodelError(
                        f"{snapshot['settled']:,} of {house.tasks:,} turns were settled after "
                        f"{options.seconds_cap:g} s",
                        hint="use fewer --tasks, or a higher --seconds-cap",
                    )
                await asyncio.sleep(LOOK_EVERY_S)
        finally:
            playing.cancel()
            await asyncio.wait({playing})


async def _write_down(stage: Stage, journals: Path) -> None:
    """What the model and Redis have counted."""
    calls = await stage.model.calls()
    (journals / "calls.json").write_text(json.dumps(calls), encoding="utf-8")
    cell = stage.house.runtime.cells[0]  # as the watcher has it
    statuses = await stage.house.store.pipeline([cell.tenants.status(name) for name in TENANTS])
    records = {
        "tenants": {
            name: {"tokens": status.tokens, "cost_usd": status.cost_usd}
            for name, status in zip(TENANTS, statuses, strict=True)
        },
        "strays_aborted": await stage.fleet.strays_aborted(),
    }
    (journals / "records.json").write_text(json.dumps(records), encoding="utf-8")
