"""`godel scale`: how many instances a pool has, why, and what another policy would have done."""

from __future__ import annotations

import typer

from godel_tasks.cli.scale.history import history
from godel_tasks.cli.scale.policies import apply, policies, remove, set_policy, show
from godel_tasks.cli.scale.recommend import recommend
from godel_tasks.cli.scale.simulate import simulate

scale = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Set scaling policies, see what was decided and why, and try other ones on history.",
)

scale.command()(policies)
scale.command()(show)
scale.command("set")(set_policy)
scale.command()(apply)
scale.command()(remove)
scale.command()(recommend)
scale.command()(history)
scale.command()(simulate)

__all__ = ["scale"]
