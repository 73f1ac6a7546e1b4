"""`godel openclaw standin-model`."""

from __future__ import annotations

import asyncio
import contextlib
import json
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from godel_tasks.cli.output import AsJson

if TYPE_CHECKING:
    from collections.abc import Callable

    from godel_tasks.testing.standin import StandInModel

    Announce = Callable[[StandInModel], None]


def standin_model(
    port: Annotated[int, typer.Option(min=0, max=65535, help="0 takes a free one.")] = 18001,
    latency: Annotated[
        float, typer.Option(min=0, max=3600, metavar="SECONDS", help="Before each answer.")
    ] = 0.0,
    as_json: AsJson = False,
) -> None:
    """Serve a model that makes its answers up, on the loopback, until Ctrl-C.

    For trying gateways without a real model: `godel openclaw start --standin URL`.
    """

    def announce(model: StandInModel) -> None:
        if as_json:
            print(json.dumps({"url": model.url, "latency_s": latency}), flush=True)
        else:
            print(f"A stand-in model listens on {model.url}; its answers are made up.", flush=True)

    asyncio.run(_serve_until_told(port, latency, announce))


async def _serve_until_told(port: int, latency_s: float, announce: Announce) -> None:
    from godel_tasks.testing.standin import serve

    serving = asyncio.create_task(serve(port=port, latency_s=latency_s, ready=announce))
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving
