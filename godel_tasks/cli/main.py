"""The `godel` command: assembles what the modules beside it do."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, ClassVar

import typer

from godel_tasks.cli.lazy import LazyCommand, LazyGroup

_HERE = "godel_tasks.cli."


class Godel(LazyGroup):
    """`godel`."""

    lazy: ClassVar[Mapping[str, LazyCommand]] = {
        "up": LazyCommand(
            _HERE + "up:up", "Run Redis, dispatchers, control, beat and Flower on this machine."
        ),
        "demo": LazyCommand(
            _HERE + "demo:demo", "Show it all in a minute, with real work and real crashes."
        ),
        "instance": LazyCommand(_HERE + "instance:instance", "Serve a function as an instance."),
        "run": LazyCommand(
            _HERE + "run:run", "Run a file of tasks and write results as they come."
        ),
        "tasks": LazyCommand(
            _HERE + "tasks:tasks", "List, show, explain, submit, cancel, resolve and replay tasks."
        ),
        "tenants": LazyCommand(_HERE + "tenants:tenants", "List, show, add and change tenants."),
        "instances": LazyCommand(
            _HERE + "instances:instances",
            "List, show, make, start, stop, change and remove instances.",
        ),
        "breakers": LazyCommand(
            _HERE + "breakers:breakers",
            "List and show circuit breakers, and hold them open or closed.",
        ),
        "pools": LazyCommand(_HERE + "pools:pools", "Declare pools, and restart them one by one."),
        "sessions": LazyCommand(
            _HERE + "sessions:sessions", "List, show and end sessions of tenants."
        ),
        "openclaw": LazyCommand(
            _HERE + "openclaw:openclaw", "Install, start, list and stop OpenClaw gateways here."
        ),
        "scale": LazyCommand(
            _HERE + "scale:scale", "Set scaling policies, see what was decided, try other ones."
        ),
        "settings": LazyCommand(_HERE + "settings:settings", "Print the settings in force."),
    }


app = typer.Typer(
    cls=Godel,
    name="godel",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)


def _print_version(asked: bool) -> None:
    if asked:
        from importlib.metadata import version

        print(f"godel {version('godel-tasks')}")
        raise typer.Exit


@app.callback()
def godel(
    version: Annotated[
        bool,
        typer.Option(
            "--version", help="Print the version.", callback=_print_version, is_eager=True
        ),
    ] = False,
) -> None:
    """Godel: fair, multi-tenant task queues in front of a fleet of agent instances.

    Every command takes --json. Start with `godel up`, then `godel tenants add NAME`.
    """


def main() -> None:
    """The entry point."""
    app()
