"""Whether a gateway is ready, by its own word."""

from __future__ import annotations

import asyncio
import contextlib

#: A gateway under load answers late; one that is not there does not answer at all.
PROBE_TIMEOUT_S = 3.0


async def is_ready(port: int) -> bool:
    """Whether `/readyz` says 200. Not `/healthz`, which does so seconds before it takes work."""
    try:
        async with asyncio.timeout(PROBE_TIMEOUT_S):
            return b" 200 " in await _status_line(port)
    except (OSError, TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError):
        return False


async def _status_line(port: int) -> bytes:
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    try:
        writer.write(b"GET /readyz HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n\r\n")
        return await reader.readuntil(b"\r\n")
    finally:
        writer.close()
        with contextlib.suppress(OSError):
            await writer.wait_closed()
