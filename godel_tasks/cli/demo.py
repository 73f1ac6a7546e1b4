"""`godel demo`: show it all in a minute, with real work and real crashes."""

from __future__ import annotations

import json
import os
from typing import Annotated

import typer
from rich.console import Console

from godel_tasks.demo.plan import DEFAULT_TASKS, LEAST_TASKS

#: Keep everything up at the end, for looking.
HOLD = "GODEL_DEMO_HOLD"
#: Columns where there is no terminal to ask.
WIDTH_WITHOUT_TERMINAL = 120


def demo(
    tasks: Annotated[
        int, typer.Option(min=LEAST_TASKS, help="Tasks of all three tenants together.")
    ] = DEFAULT_TASKS,
    seconds_cap: Annotated[
        float, typer.Option(min=1, help="Most seconds that the work may take.")
    ] = 120.0,
    as_json: Annotated[
        bool, typer.Option("--json", help="End with one JSON object on stdout; the rest to stderr.")
    ] = False,
) -> None:
    """Show it all in a minute: fair shares, a killed instance, a killed dispatcher, nothing lost.

    Everything runs in a folder of its own that is removed at the end. GODEL_DEMO_HOLD=1 keeps it up
    for looking, until Ctrl-C. Ends with 1 if a task was lost or has two results.
    """
    from godel_tasks.demo.run import DemoOptions, run_demo
    from godel_tasks.demo.telling import Telling

    console = Console(stderr=as_json)
    if not console.is_terminal:
        console = Console(stderr=as_json, width=WIDTH_WITHOUT_TERMINAL)
    hold = os.environ.get(HOLD, "") not in {"", "0"}
    report = run_demo(DemoOptions(tasks, seconds_cap, hold), Telling(console))
    if as_json:
        print(json.dumps(report), flush=True)
    if report["lost"] or report["duplicates"]:
        raise typer.Exit(1)
