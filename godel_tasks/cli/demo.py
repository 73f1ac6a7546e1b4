"""`godel demo`: show it all in a minute, with real work and real crashes; or beside Celery."""

from __future__ import annotations

import json
import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console

from godel_tasks.demo.openclaw import plan as gateways_plan
from godel_tasks.demo.plan import DEFAULT_TASKS, LEAST_TASKS
from godel_tasks.demo.versus import plan as versus_plan

#: Keep everything up at the end, for looking.
HOLD = "GODEL_DEMO_HOLD"
#: Columns where there is no terminal to ask.
WIDTH_WITHOUT_TERMINAL = 120
DEFAULT_SECONDS_CAP = 120.0
DEFAULT_PICTURE = Path("docs/img/versus-celery.svg")


class Rival(StrEnum):
    """Whom Godel is compared with."""

    CELERY = "celery"


def demo(
    tasks: Annotated[
        int | None,
        typer.Option(
            help=f"Tasks of all three tenants together ({DEFAULT_TASKS:,}); with --versus, tasks "
            f"that tenant A dumps ({versus_plan.DEFAULT_TASKS:,}); with --openclaw, turns "
            f"({gateways_plan.DEFAULT_TASKS})."
        ),
    ] = None,
    seconds_cap: Annotated[
        float | None,
        typer.Option(
            min=1,
            help=f"Most seconds that the work may take ({DEFAULT_SECONDS_CAP:g}); with --versus, "
            f"on each side; with --openclaw {gateways_plan.SECONDS_CAP:g}.",
        ),
    ] = None,
    versus: Annotated[
        Rival | None,
        typer.Option(help="Instead: the same work and kills on plain Celery, and on Godel."),
    ] = None,
    picture: Annotated[
        Path | None,
        typer.Option(help=f"With --versus: the SVG to draw, a PNG beside it ({DEFAULT_PICTURE})."),
    ] = None,
    openclaw: Annotated[
        int | None,
        typer.Option(
            min=1,
            max=gateways_plan.MOST_GATEWAYS,
            metavar="N",
            help="Instead: so many real OpenClaw gateways, a stand-in in place of their model.",
        ),
    ] = None,
    as_json: Annotated[
        bool, typer.Option("--json", help="End with one JSON object on stdout; the rest to stderr.")
    ] = False,
) -> None:
    """Show it all in a minute: fair shares, a killed instance, a killed dispatcher, nothing lost.

    Everything runs in a folder of its own that is removed at the end. GODEL_DEMO_HOLD=1 keeps it up
    for looking, until Ctrl-C (not with --versus or --openclaw). Ends with 1 if Godel lost a task or
    a task has two results.

    With --versus celery it takes about four minutes: a tenant dumps 20,000 tasks, another sends one
    a second, workers are killed, first on plain Celery, then on Godel; and draws what came of it.

    With --openclaw 2 it takes about two minutes: turns on real gateways, of which one is killed and
    comes back. No key is needed: a stand-in makes the answers up. Installs OpenClaw at first.
    """
    console = Console(stderr=as_json)
    if not console.is_terminal:
        console = Console(stderr=as_json, width=WIDTH_WITHOUT_TERMINAL)
    if picture is not None and versus is None:
        raise typer.BadParameter("is for --versus celery", param_hint="--picture")
    if openclaw is not None:
        if versus is not None:
            raise typer.BadParameter("goes without --versus", param_hint="--openclaw")
        count = _at_least(gateways_plan.LEAST_TASKS, tasks, gateways_plan.DEFAULT_TASKS)
        report, good = _gateways(gateways_plan.GatewaysPlan(openclaw, count), seconds_cap, console)
    elif versus is None:
        report, good = _alone(_at_least(LEAST_TASKS, tasks, DEFAULT_TASKS), seconds_cap, console)
    else:
        count = _at_least(versus_plan.LEAST_TASKS, tasks, versus_plan.DEFAULT_TASKS)
        report, good = _versus(count, seconds_cap, picture or DEFAULT_PICTURE, console)
    if as_json:
        print(json.dumps(report), flush=True)
    if not good:
        raise typer.Exit(1)


def _at_least(least: int, given: int | None, default: int) -> int:
    if given is not None and given < least:
        raise typer.BadParameter(f"{given} is less than {least}", param_hint="--tasks")
    return default if given is None else given


def _alone(tasks: int, cap_s: float | None, console: Console) -> tuple[dict[str, object], bool]:
    """The report, and whether all went well."""
    from godel_tasks.demo.run import DemoOptions, run_demo
    from godel_tasks.demo.telling import Telling

    hold = os.environ.get(HOLD, "") not in {"", "0"}
    options = DemoOptions(tasks, DEFAULT_SECONDS_CAP if cap_s is None else cap_s, hold)
    report = run_demo(options, Telling(console))
    return report, not (report["lost"] or report["duplicates"])


def _gateways(
    plan: gateways_plan.GatewaysPlan, cap_s: float | None, console: Console
) -> tuple[dict[str, object], bool]:
    from godel_tasks.demo.openclaw.run import GatewaysOptions, run_gateways
    from godel_tasks.demo.telling import Telling

    options = GatewaysOptions(plan, gateways_plan.SECONDS_CAP if cap_s is None else cap_s)
    report = run_gateways(options, Telling(console))
    return report, not (report["lost"] or report["duplicates"])


def _versus(
    tasks: int, cap_s: float | None, picture: Path, console: Console
) -> tuple[dict[str, object], bool]:
    from godel_tasks.demo.telling import Telling
    from godel_tasks.demo.versus.run import VersusOptions, run_versus

    options = VersusOptions(versus_plan.VersusPlan(tasks), picture.absolute(), cap_s)
    report = run_versus(options, Telling(console))
    return report, not report["godel"]["lost"]
