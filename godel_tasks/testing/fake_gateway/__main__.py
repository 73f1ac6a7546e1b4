"""Serve fake gateways: `python -m godel_tasks.testing.fake_gateway --count 5 --token T`.

One line of JSON on stdout, {"urls": [...]}, when they listen; ends on SIGTERM and SIGINT with
another one, {"starts": runs begun, "again": of those, runs of a key that had begun before}.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from contextlib import AsyncExitStack

from godel_tasks.testing.fake_gateway.server import FakeGateway
from godel_tasks.testing.standin.script import Turn


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m godel_tasks.testing.fake_gateway")
    parser.add_argument("--count", type=int, default=1, help="gateways, each on a port of its own")
    parser.add_argument("--token", default="", help="none: everybody may connect")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before the first word")
    parser.add_argument("--lanes", type=int, default=8, help="turns at once")
    parser.add_argument("--host", default="127.0.0.1")
    asyncio.run(_serve(parser.parse_args()))


async def _serve(asked: argparse.Namespace) -> None:
    over = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, over.set)
    async with AsyncExitStack() as stack:
        gateways = [
            await stack.enter_async_context(
                FakeGateway(
                    token=asked.token,
                    host=asked.host,
                    lanes=asked.lanes,
                    defaults=Turn(latency_s=asked.latency),
                )
            )
            for _ in range(asked.count)
        ]
        _say({"urls": [gateway.url for gateway in gateways]})
        await over.wait()
        starts = [run_id for gateway in gateways for run_id in gateway.starts]
        _say({"starts": len(starts), "again": len(starts) - len(set(starts))})


def _say(what: dict[str, object]) -> None:
    sys.stdout.write(json.dumps(what) + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main()
