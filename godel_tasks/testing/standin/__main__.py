"""`python -m godel_tasks.testing.standin`: a stand-in model, until TERM or INT."""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import logging
import signal
import sys

from godel_tasks.errors import GodelError
from godel_tasks.telemetry.logs import configure_logs
from godel_tasks.testing.standin.model import StandInModel, serve

log = logging.getLogger("godel_tasks.testing.standin")


async def _serve_until_told(host: str, port: int, latency_s: float) -> None:
    serving = asyncio.create_task(serve(host, port, latency_s=latency_s, ready=_announce))
    for number in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(number, serving.cancel)
    with contextlib.suppress(asyncio.CancelledError):
        await serving


def _announce(model: StandInModel) -> None:
    log.info("a stand-in model listens on %s", model.url)


def _seconds(word: str) -> float:
    seconds = float(word)
    if not 0 <= seconds < float("inf"):
        raise ValueError(word)
    return seconds


def main() -> int:
    """The exit code."""
    parser = argparse.ArgumentParser(prog="python -m godel_tasks.testing.standin")
    parser.add_argument("--port", type=int, required=True, help="0 takes a free one")
    parser.add_argument("--host", default="127.0.0.1")
    parser.add_argument("--latency", type=_seconds, default=0.0, metavar="SECONDS")
    options = parser.parse_args()
    configure_logs()
    try:
        asyncio.run(_serve_until_told(options.host, options.port, options.latency))
    except GodelError as error:
        log.error("%s", error)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
