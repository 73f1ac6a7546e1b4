"""`godel openclaw`: a file per command."""

from __future__ import annotations

import typer

from godel_tasks.cli.openclaw.install import install
from godel_tasks.cli.openclaw.logs import logs
from godel_tasks.cli.openclaw.ls import ls
from godel_tasks.cli.openclaw.standin_model import standin_model
from godel_tasks.cli.openclaw.start import start
from godel_tasks.cli.openclaw.stop import stop

openclaw = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="Install OpenClaw, and start, list, read and stop gateways on this machine.",
)
openclaw.command("install")(install)
openclaw.command("start")(start)
openclaw.command("ls")(ls)
openclaw.command("logs")(logs)
openclaw.command("stop")(stop)
openclaw.command("standin-model")(standin_model)
