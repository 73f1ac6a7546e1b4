"""`python -m godel_tasks.testing.fake_gateway`: several gateways in a process of their own."""

from __future__ import annotations

import asyncio
import json
import sys

from tests.testing.gateway_client import client


async def test_it_says_where_they_listen_and_ends_when_told():
    # Given two gateways in a process of their own
    program = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "godel_tasks.testing.fake_gateway", "--count", "2", "--token", "t",
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert program.stdout is not None
    urls = json.loads(await program.stdout.readline())["urls"]
    # Then each has a port of its own, and takes turns
    assert len(set(urls)) == 2
    for url in urls:
        async with client(url) as one:
            one.agent("k:1", "hello")
            assert (await one.answer("k:1"))["status"] == "ok"
    # And when it is terminated it ends cleanly
    program.terminate()
    assert await program.wait() == 0
