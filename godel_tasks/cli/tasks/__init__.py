"""`godel tasks`: a file per command."""

from __future__ import annotations

import typer

from godel_tasks.cli.tasks.cancel import cancel
from godel_tasks.cli.tasks.explain import explain
from godel_tasks.cli.tasks.listing import listing
from godel_tasks.cli.tasks.purge_dead import purge_dead
from godel_tasks.cli.tasks.replay import replay
from godel_tasks.cli.tasks.resolve import resolve
from godel_tasks.cli.tasks.show import show
from godel_tasks.cli.tasks.submit import submit

tasks = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="List, show, explain, submit, cancel, resolve and replay tasks.",
)
tasks.command("list")(listing)
tasks.command("show")(show)
tasks.command("explain")(explain)
tasks.command("submit")(submit)
tasks.command("cancel")(cancel)
tasks.command("resolve")(resolve)
tasks.command("replay")(replay)
tasks.command("purge-dead")(purge_dead)
