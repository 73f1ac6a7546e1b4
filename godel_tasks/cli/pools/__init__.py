"""`godel pools`: what pools are, what their instances are made from, and their rolling restart."""

from __future__ import annotations

import typer

from godel_tasks.cli.pools.apply import apply
from godel_tasks.cli.pools.declare import add, remove, set_pool
from godel_tasks.cli.pools.look import list_pools, show
from godel_tasks.cli.pools.restart import restart

pools = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="List, show, declare, change, remove and restart pools.",
)
pools.command("list")(list_pools)
pools.command("show")(show)
pools.command("add")(add)
pools.command("set")(set_pool)
pools.command("apply")(apply)
pools.command("remove")(remove)
pools.command("restart")(restart)
