"""`godel openclaw logs`."""

from __future__ import annotations

import itertools
from typing import Annotated

import typer

from godel_tasks.cli.output import AsJson, answer
from godel_tasks.settings import load_settings


def logs(
    instance_id: Annotated[str, typer.Argument(metavar="ID")],
    follow: Annotated[
        bool, typer.Option("--follow", "-f", help="Go on with new lines until Ctrl-C.")
    ] = False,
    lines: Annotated[
        int, typer.Option("--lines", "-n", min=0, help="How many of the last lines.")
    ] = 50,
    raw: Annotated[bool, typer.Option("--raw", help="The gateway's own JSON lines.")] = False,
    console: Annotated[
        bool, typer.Option("--console", help="What it printed instead: why it would not start.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Show the end of a gateway's log. It may hold what tenants' tasks say."""
    from godel_tasks.openclaw import gateways
    from godel_tasks.openclaw import logs as reading
    from godel_tasks.openclaw.folder import folder_of

    if as_json and follow:
        raise typer.BadParameter("One JSON object has an end: give --json or --follow.")
    data_dir = load_settings().data_dir
    gateways.find(data_dir, instance_id)
    folder = folder_of(data_dir, instance_id)
    path = folder.console if console else folder.log
    shown = (lambda line: line) if raw or console or as_json else reading.readable
    new = reading.follow(path, go_on=lambda: True) if follow else iter(())
    last = reading.tail(path, lines)
    if as_json:
        answer(True, {"instance": instance_id, "file": str(path), "lines": last})
        return
    for line in itertools.chain(last, new):
        print(shown(line), flush=True)
