"""The embedded server among the supervised: started first, stopped last, brought back."""

from __future__ import annotations

import asyncio
import contextlib
import time

from godel_tasks.embedded import EmbeddedServer, ServerInfo
from godel_tasks.errors import StoreError
from godel_tasks.supervisor.spec import RestartDelays, Sink, discard

#: Seconds between two looks whether the server lives.
LOOK_EVERY_S = 0.2
NAME = "redis"


class ServerKeeper:
    """Keeps an `EmbeddedServer` running. Its data survive its death, and so do its URLs."""

    def __init__(self, server: EmbeddedServer, *, sink: Sink = discard) -> None:
        self.server = server
        self._sink = sink
        self._delays = RestartDelays()
        self._keeper: asyncio.Task[None] | None = None

    async def start(self) -> ServerInfo:
        """Start the server; raises what `EmbeddedServer.start` raises."""
        info = await asyncio.to_thread(self.server.start)
        if self._keeper is None:
            self._keeper = asyncio.create_task(self._keep(), name=NAME)
        return info

    async def stop(self) -> None:
        """Stop the server; what it has is on disk when this comes back."""
        keeper, self._keeper = self._keeper, None
        if keeper is not None:
            keeper.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await keeper
        await asyncio.to_thread(self.server.stop)

    async def _keep(self) -> None:
        began = time.monotonic()
        while True:
            await asyncio.sleep(LOOK_EVERY_S)
            if self.server.alive():
                continue
            delay_s = self._delays.after(time.monotonic() - began)
            self._sink(NAME, f"the server ended, starts again in {delay_s:.1f} s")
            await asyncio.sleep(delay_s)
            began = time.monotonic()
            try:
                await asyncio.to_thread(self.server.start)
            except StoreError as error:
                self._sink(NAME, str(error))
