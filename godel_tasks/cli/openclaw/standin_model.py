"""`godel openclaw standin-model`."""

from __future__ import annotations

from typing import Annotated

import typer

from godel_tasks.cli.output import AsJson


def standin_model(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 18001,
    latency: Annotated[
        float, typer.Option(min=0, metavar="MS", help="Milliseconds before each answer.")
    ] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Serve a model that makes its answers up, on the loopback, until Ctrl-C."""
