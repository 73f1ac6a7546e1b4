"""The demo from its first word to its last.

A story in order: bring everything up, let the tenants submit, kill while there is a backlog, wait
for the end, ask Flower, and let a checker that imports nothing of Godel judge the journals.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import sys
import time
from collections.abc import AsyncIterator, Coroutine
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from godel_tasks.demo import checker
from godel_tasks.demo.display import Snapshot
from godel_tasks.demo.flower import seen_by_flower
from godel_tasks.demo.freezing import Freezer
from godel_tasks.demo.house import House, opened
from godel_tasks.demo.kills import Killer
from godel_tasks.demo.news import News
from godel_tasks.demo.performing import Report, perform
from godel_tasks.demo.plan import DEFAULT_TASKS, KILLS, TENANTS, KillPlan
from godel_tasks.demo.processes import results_of
from godel_tasks.demo.producer import START
from godel_tasks.demo.site import Site
from godel_tasks.demo.telling import BEFORE, Telling
from godel_tasks.demo.watch import Watcher
from godel_tasks.errors import GodelError
from godel_tasks.instances.background import end_task

#: Seconds between two looks at the running demo.
LOOK_EVERY_S = 0.2
#: Seconds that the fleet may take to shrink once no task is left.
SHRINK_S = 30.0
#: Seconds that the last results may take to reach the subscriber.
LAST_RESULTS_S = 10.0
#: What the report begins with, in this order.
FIRST_KEYS = (
    "submitted", "succeeded", "failed", "lost", "duplicates", "reruns", "republished", "seconds",
    "throughput_per_s", "tenants", "instances", "killed", "recovery_s",
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class DemoOptions:
    """`tasks` are of all tenants together; `seconds_cap` is the most that the work may take; with
    `hold` all stays up at the end until somebody interrupts."""

    tasks: int = DEFAULT_TASKS
    seconds_cap: float = 120.0
    hold: bool = False


def run_demo(options: DemoOptions, telling: Telling) -> Report:
    """Run it. Raises as `perform`."""
    return perform(lambda site: _story(site, options, telling), telling)


async def _story(site: Site, options: DemoOptions, telling: Telling) -> Report:
    count = options.tasks // len(TENANTS)
    telling.say(BEFORE.format(each=count))
    telling.say(f"Folder: {site.root}", style="dim")
    (site.journals / "tenants.json").write_text(json.dumps(dict(TENANTS)), encoding="utf-8")
    started = time.monotonic()
    async with opened(site, count=count) as house:
        telling.say(f"All of it is up after {time.monotonic() - started:.1f} s.")
        watcher = Watcher(house)
        with telling.live():
            await _work(house, watcher, options, telling)
        await last_results(house)
        flower = await seen_by_flower(house.flower_url, expected=house.tasks)
        await house.supervisor.child("subscriber").stop()
        grown = house.growth.figures() if house.growth else {}
        report = await _judge(site.journals) | grown | {"flower": flower}
        telling.close(report)
        if options.hold:
            await _hold(house, telling)
    return report


async def _work(house: House, watcher: Watcher, options: DemoOptions, telling: Telling) -> None:
    """Until all is settled, killing on the way."""
    house.supervisor.signal("producer", START)
    watcher.phase = "all tenants have work waiting"
    news = News(house.runtime)
    freezer = Freezer(house)
    with contextlib.closing(Killer(house)) as killer:
        async with beside(news.run()):
            try:
                await _watch(house, watcher, options, telling, news, killer, freezer)
                await _shrink(house, watcher, telling, news, freezer)
            finally:
                freezer.thaw()


async def _watch(
    house: House,
    watcher: Watcher,
    options: DemoOptions,
    telling: Telling,
    news: News,
    killer: Killer,
    freezer: Freezer,
) -> None:
    kills, killed_at = list(KILLS), 0.0
    while True:
        house.check()
        snapshot = await watcher.look()
        for line in [*await watcher.grown(), *map(watcher.tell, news.take())]:
            telling.event(line)
        telling.show(snapshot)
        if kills and _is_due(kills[0], snapshot, house.tasks, killed_at):
            telling.event(watcher.tell(await _kill(killer, kills.pop(0), snapshot)))
            killed_at = snapshot["elapsed_s"]
        if not kills and (fault := freezer.step(snapshot, house.tasks)):
            telling.event(watcher.tell(fault))
        if snapshot["settled"] == house.tasks:
            return
        if not kills and not _backlog(snapshot):
            watcher.phase = "a tenant has none waiting: its share goes to the others"
        if watcher.elapsed_s > options.seconds_cap:
            raise GodelError(
                f"{snapshot['settled']:,} of {house.tasks:,} tasks were settled after "
                f"{options.seconds_cap:g} s",
                hint="use fewer --tasks, or a higher --seconds-cap",
            )
        await asyncio.sleep(LOOK_EVERY_S)


async def _shrink(
    house: House, watcher: Watcher, telling: Telling, news: News, freezer: Freezer
) -> None:
    """Until what the auto-scaler made is removed again, or long enough."""
    watcher.phase = "no task is left: what was added goes again"
    deadline = time.monotonic() + SHRINK_S
    while time.monotonic() < deadline:
        snapshot = await watcher.look()
        for line in [*await watcher.grown(), *map(watcher.tell, news.take())]:
            telling.event(line)
        if fault := freezer.step(snapshot, house.tasks):
            telling.event(watcher.tell(fault))
        telling.show(snapshot)
        if house.growth is None or not (house.growth.grown or freezer.frozen):
            return
        await asyncio.sleep(LOOK_EVERY_S)


@contextlib.asynccontextmanager
async def beside(work: Coroutine[Any, Any, None]) -> AsyncIterator[None]:
    """While this lasts, the work goes on."""
    task = asyncio.ensure_future(work)
    try:
        yield
    finally:
        await end_task(task)


def _backlog(snapshot: Snapshot) -> bool:
    """Whether every tenant has tasks waiting."""
    return all(row["waiting"] for row in snapshot["tenants"])


def _is_due(plan: KillPlan, snapshot: Snapshot, tasks: int, killed_at: float) -> bool:
    share = snapshot["settled"] / tasks
    in_time = snapshot["elapsed_s"] >= killed_at + plan.after_s
    ripe = share >= plan.after_share and (in_time or share >= plan.latest_share)
    return ripe and snapshot["submitted"] == tasks


async def _kill(killer: Killer, plan: KillPlan, snapshot: Snapshot) -> str:
    """Kill the busiest; what happened, in words."""
    if not _backlog(snapshot):
        raise GodelError(
            f"a tenant's queue was empty before the {plan.kind} could be killed",
            hint="use more --tasks",
        )
    if plan.kind == "instance":
        ours = [row for row in snapshot["instances"] if not row["made"]]
        busiest = max(ours, key=lambda row: row["running"] / row["capacity"])
        count = await killer.instance(busiest["id"])
        return f"kill -9 of instance {busiest['id']}, which runs {count} tasks"
    holder = max(snapshot["dispatchers"], key=lambda row: row["holds"])
    count = await killer.dispatcher(holder["name"])
    return f"kill -9 of {holder['name']}, which holds {count} tasks"


async def last_results(house: House) -> None:
    """Until the subscriber has written a result of each task, or long enough: a result that has not
    come by then is lost."""
    deadline = time.monotonic() + LAST_RESULTS_S
    while time.monotonic() < deadline:
        if await asyncio.to_thread(results_in, results_of(house.site)) >= house.tasks:
            return
        await asyncio.sleep(LOOK_EVERY_S)


def results_in(path: Path) -> int:
    lines = path.read_text(encoding="utf-8").split("\n")[:-1]
    return len({json.loads(line)["id"] for line in lines})


async def _judge(journals: Path) -> Report:
    """What the checker says, run as a process that cannot import Godel."""
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-I", checker.__file__, "--dir", str(journals), "--json"),
        stdin=asyncio.subprocess.DEVNULL,
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.PIPE,
    )
    out, errors = await process.communicate()
    try:
        report: Report = json.loads(out)
    except ValueError:
        raise GodelError("the checker failed", hint=errors.decode(errors="replace")) from None
    report["tenants"] = {name: report["tenants"][name] for name in TENANTS}
    return {key: report[key] for key in FIRST_KEYS} | report


async def _hold(house: House, telling: Telling) -> None:
    """Keep it up for looking, until somebody interrupts."""
    telling.say(
        f"\nIt stays up (GODEL_DEMO_HOLD=1) until Ctrl-C.\n"
        f"  Flower   {house.flower_url}/tasks\n"
        f"  Redis    {house.server.url}\n"
        f"  logs     {house.site.logs}\n"
        f"  command  GODEL_CONFIG={house.site.settings} godel tasks list\n"
        f"           GODEL_CONFIG={house.site.settings} godel tenants list"
    )
    with contextlib.suppress(asyncio.CancelledError):
        await asyncio.Event().wait()
