"""A fake gateway in a real one's place: it has its port and its token from its configuration."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

from godel_tasks.testing.fake_gateway import FakeGateway


async def serve(gateway: dict[str, Any]) -> None:
    over = asyncio.Event()
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, over.set)
    async with FakeGateway(gateway["port"], gateway["auth"]["token"]):
        await over.wait()


if __name__ == "__main__":
    configuration = json.loads(Path(os.environ["OPENCLAW_CONFIG_PATH"]).read_text())
    asyncio.run(serve(configuration["gateway"]))
