"""The comparison from its first word to its last: one side, then the other, then the picture."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import time
from collections.abc import AsyncIterator, Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from godel_tasks.demo.interrupting import until_interrupted
from godel_tasks.demo.journal import Journal
from godel_tasks.demo.logbook import LogBook
from godel_tasks.demo.site import DRAIN_S, Site, own_environment
from godel_tasks.demo.telling import Telling
from godel_tasks.demo.versus import checker, picture
from godel_tasks.demo.versus import telling as words
from godel_tasks.demo.versus.celery_side import SIDE as CELERY
from godel_tasks.demo.versus.godel_side import SIDE as GODEL
from godel_tasks.demo.versus.machine import machine
from godel_tasks.demo.versus.plan import DUMPER, SENDER, VersusPlan
from godel_tasks.demo.versus.png import draw_png
from godel_tasks.demo.versus.producer import START
from godel_tasks.demo.versus.progress import Progress, accepted
from godel_tasks.demo.versus.side import Side, Stage, producer_of
from godel_tasks.embedded import EmbeddedServer, Guard
from godel_tasks.errors import GodelError
from godel_tasks.supervisor import Supervisor

Report = dict[str, Any]

#: Seconds that the processes of a side have to come up.
READY_TIMEOUT_S = 60.0
#: Seconds between two looks at a running side, and between two words about it.
LOOK_EVERY_S = 0.25
SAY_EVERY_S = 10.0
#: When no task has come to its end for so many seconds, it is asked what is still there.
STILL_S = 2.0


@dataclass(frozen=True, slots=True)
class VersusOptions:
    """`svg` is where the picture goes, the PNG beside it; `cap_s` the most seconds that one side
    may take (None: as long as the plan says)."""

    plan: VersusPlan
    svg: Path
    cap_s: float | None = None


def run_versus(options: VersusOptions, telling: Telling) -> Report:
    """Run both sides and draw. The report is what `--json` prints.

    Raises:
        GodelError: something did not come up or ended, a submit was refused, or the SVG cannot be
            written.
        KeyboardInterrupt: somebody wanted it to end; nothing of it runs any more.
    """
    plan = options.plan
    telling.say(words.before(plan))
    _make_room(options.svg)
    sides = {side.name: _one_side(side, options, telling) for side in (CELERY, GODEL)}
    report: Report = {**words.ratio(sides), **sides, **words.planned(plan), "machine": machine()}
    options.svg.write_text(picture.draw(report), encoding="utf-8")
    png, why_not = draw_png(options.svg)
    report["pictures"] = [str(options.svg), *([] if png is None else [str(png)])]
    telling.say(words.after(report))
    if why_not:
        telling.say(why_not, style="bold")
    return report


def _make_room(svg: Path) -> None:
    """Before minutes are spent: raises `GodelError` if the picture could not be written."""
    problem = ""
    try:
        svg.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        problem = str(error)
    if problem or not os.access(svg if svg.exists() else svg.parent, os.W_OK):
        raise GodelError(
            f"{svg} cannot be written" + (f": {problem}" if problem else ""),
            hint="say where with --picture FILE.svg",
        )


def _one_side(side: Side, options: VersusOptions, telling: Telling) -> Report:
    """Its figures. The folder is removed, unless something went wrong: then it is named."""
    site = Site.fresh()
    keep = True
    try:
        with own_environment(site):
            story = _story(side, site, options, telling)
            interrupted = asyncio.run(until_interrupted(story, telling.say)) is None
        keep = False
        if interrupted:
            raise KeyboardInterrupt
        figures = checker.report(site.journals)
        keep = bool(figures["lost"])
        return figures | {"settings": list(side.settings())}
    finally:
        if keep:
            telling.say(f"Journals and logs are kept in {site.root}", style="bold")
        else:
            site.remove()


async def _story(side: Side, site: Site, options: VersusOptions, telling: Telling) -> bool:
    async with _opened(side, site, options.plan) as (stage, supervisor):
        for tenant in (DUMPER, SENDER):
            supervisor.signal(producer_of(tenant), START)
        began = time.time_ns()
        telling.say(f"{side.name}: up; tenant A dumps, tenant B sends")
        await _work(side, stage, supervisor, options, telling)
        ended = time.time_ns()
        held = await _held(side, stage, Progress(site.journals))
    run = {
        "began": began // 1_000_000,
        "ended": ended // 1_000_000,
        "sender": SENDER,
        "held": sorted(held),
    }
    (site.journals / "run.json").write_text(json.dumps(run), encoding="utf-8")
    return True


@contextlib.asynccontextmanager
async def _opened(
    side: Side, site: Site, plan: VersusPlan
) -> AsyncIterator[tuple[Stage, Supervisor]]:
    """The side with all its processes ready. Nothing of it runs afterwards."""
    book = LogBook(site.logs)
    guard = Guard(grace_s=DRAIN_S)
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(guard.close)
        server = EmbeddedServer(site.server, guard=guard)
        stack.callback(server.stop)
        await asyncio.to_thread(server.start)
        stage = Stage(site, book, server.urls, plan)
        await side.prepare(stage)
        supervisor = Supervisor(side.processes(stage), sink=book, guard=guard)
        await stack.enter_async_context(supervisor)
        if late := await supervisor.wait_ready(READY_TIMEOUT_S):
            last = "\n".join(map(book.last, late))
            raise GodelError(
                f"{', '.join(late)} did not come up in {READY_TIMEOUT_S:g} s",
                hint=f"the last words were:\n{last}",
            )
        yield stage, supervisor


async def _work(
    side: Side, stage: Stage, supervisor: Supervisor, options: VersusOptions, telling: Telling
) -> None:
    """Until every task has come to its end or is nowhere any more, or the time is up; kills on the
    way."""
    plan, progress = stage.plan, Progress(stage.site.journals)
    cap_s = options.cap_s or plan.cap_s
    began = said = moved = time.monotonic()
    killed, before = False, 0
    while (elapsed := time.monotonic() - began) < cap_s:
        ended = await asyncio.to_thread(progress.look)
        if ended == plan.tasks + plan.sends:
            return
        if ended != before:
            before, moved = ended, time.monotonic()
        elif killed and time.monotonic() - moved > STILL_S:
            moved = time.monotonic()
            if _all_submitted(supervisor) and not await _held(side, stage, progress):
                return
        _check(stage, supervisor)
        if not killed and elapsed >= plan.kill_at_s:
            killed = True
            telling.say(f"{side.name}: {elapsed:5.1f} s  {_kill(side, stage, supervisor)}")
        if time.monotonic() - said >= SAY_EVERY_S:
            said = time.monotonic()
            telling.say(f"{side.name}: {elapsed:5.1f} s  {ended:,} tasks done", style="dim")
        await asyncio.sleep(LOOK_EVERY_S)


async def _held(side: Side, stage: Stage, progress: Progress) -> Collection[str]:
    """Tasks that have not come to their end, and that the side still has."""
    tasks = accepted(stage.site.journals)
    progress.look()
    left = {task_id: key for task_id, key in tasks.items() if key not in progress.ended}
    return await side.held(stage, left) if left else ()


def _all_submitted(supervisor: Supervisor) -> bool:
    return all(
        supervisor.child(producer_of(tenant)).state == "ended" for tenant in (DUMPER, SENDER)
    )


def _kill(side: Side, stage: Stage, supervisor: Supervisor) -> str:
    """kill -9 of all victims, at once. The supervisor starts them again."""
    at = time.time_ns() // 1_000_000
    for _, name in side.victims:
        supervisor.signal(name, signal.SIGKILL)
    with Journal(stage.site.journals / "kills.jsonl") as journal:
        journal.extend({"kind": kind, "target": name, "at": at} for kind, name in side.victims)
    return "kill -9 of " + " and ".join(name for _, name in side.victims)


def _check(stage: Stage, supervisor: Supervisor) -> None:
    """Raises `GodelError` when a producer has ended without having submitted all."""
    for tenant in (DUMPER, SENDER):
        child = supervisor.child(producer_of(tenant))
        if child.state == "ended" and child.last_exit != 0:
            raise GodelError(
                f"{child.spec.name} ended with exit code {child.last_exit}",
                hint=f"its last words were:\n{stage.book.last(child.spec.name)}",
            )
