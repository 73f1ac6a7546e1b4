"""StreamPeer: the way back to one dispatcher. Completions leave in batches."""

from __future__ import annotations

import asyncio
from typing import Any

from godel_tasks.domain.attempt import Completion
from godel_tasks.instances.drivers.grpc_codec import responses_of

#: Shortest time between two batches: the first end after a quiet time leaves at once, those that
#: follow within this time leave together.
FLUSH_EVERY_S = 0.001


class StreamPeer:
    """Queues completions and writes them to a gRPC stream."""

    def __init__(self, context: Any) -> None:
        self._context = context
        self._out: list[Completion] = []
        self._filled = asyncio.Event()
        self._writing = False

    def send(self, completion: Completion) -> None:
        self._out.append(completion)
        self._filled.set()

    @property
    def flushed(self) -> bool:
        """Everything that was sent has been written."""
        return not self._out and not self._writing

    async def write_forever(self) -> None:
        """Write until the stream breaks (then this raises)."""
        loop = asyncio.get_running_loop()
        next_flush = loop.time()
        while True:
            await self._filled.wait()
            early = next_flush - loop.time()
            if early > 0:
                await asyncio.sleep(early)
            self._filled.clear()
            self._writing = True
            batch, self._out = self._out, []
            for response in responses_of(batch):
                await self._context.write(response)
            self._writing = False
            next_flush = loop.time() + FLUSH_EVERY_S
