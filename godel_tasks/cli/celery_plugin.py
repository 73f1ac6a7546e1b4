"""`celery -A godel_tasks godel ...`: the `godel` command as a sub-command of `celery`.

Celery imports this each time that it starts, so it imports nothing of the command itself.
"""

from __future__ import annotations

from typing import Any

from celery.bin.base import CeleryCommand


class HandOver(CeleryCommand):
    """Hands all words that follow it over, and ends with the exit code of `godel`."""

    def invoke(self, ctx: Any) -> Any:
        from godel_tasks.cli.main import app

        app(args=ctx.args, prog_name=ctx.command_path)


godel = HandOver(
    "godel",
    short_help="Godel's own commands: tasks, tenants, instances ...",
    # `--help` is handed over too.
    add_help_option=False,
    context_settings={
        "allow_extra_args": True,
        "allow_interspersed_args": False,
        "ignore_unknown_options": True,
    },
)
