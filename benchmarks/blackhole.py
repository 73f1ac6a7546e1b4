"""A wire that can be cut: forwards bytes between two addresses, or nothing at all.

Cut, it behaves as a network that loses every packet: nothing is accepted (the kernel completes the
handshake, and nobody answers), nothing is forwarded, and no connection is reset. Healed, what was
under way arrives late, as TCP would send it again.
"""

from __future__ import annotations

import asyncio
import contextlib
import socket

#: Host and port, or the path of a unix socket.
Address = tuple[str, int] | str
CHUNK = 65_536
BACKLOG = 128


def _socket(address: Address) -> socket.socket:
    made = socket.socket(socket.AF_UNIX if isinstance(address, str) else socket.AF_INET)
    made.setblocking(False)
    return made


class Blackhole:
    """Listens at `listen` from the start and connects to `upstream` for each that comes."""

    def __init__(self, listen: Address, upstream: Address) -> None:
        self._upstream = upstream
        self._listening = _socket(listen)
        if not isinstance(listen, str):
            self._listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._listening.bind(listen)
        self._listening.listen(BACKLOG)
        self._open = asyncio.Event()
        self._tasks: set[asyncio.Task[None]] = set()
        self._accepting: asyncio.Task[None] | None = None

    @property
    def is_cut(self) -> bool:
        return not self._open.is_set()

    def heal(self) -> None:
        """Forward (again). Needs a running loop."""
        if self._accepting is None:
            self._open.set()
            self._accepting = asyncio.get_running_loop().create_task(self._accept())

    def cut(self) -> None:
        self._open.clear()
        if self._accepting is not None:
            self._accepting.cancel()
            self._accepting = None

    async def close(self) -> None:
        self.cut()
        for task in self._tasks:
            task.cancel()
        if self._tasks:
            await asyncio.wait(self._tasks)
        self._listening.close()

    async def _accept(self) -> None:
        loop = asyncio.get_running_loop()
        while True:
            client, _ = await loop.sock_accept(self._listening)
            task = loop.create_task(self._serve(client))
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def _serve(self, client: socket.socket) -> None:
        server = _socket(self._upstream)
        with client, server, contextlib.suppress(OSError):
            await asyncio.get_running_loop().sock_connect(server, self._upstream)
            async with asyncio.TaskGroup() as both:
                both.create_task(self._pump(client, server))
                both.create_task(self._pump(server, client))

    async def _pump(self, source: socket.socket, sink: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        with contextlib.suppress(OSError):
            while data := await loop.sock_recv(source, CHUNK):
                await self._open.wait()
                await loop.sock_sendall(sink, data)
        await self._open.wait()
        with contextlib.suppress(OSError):
            sink.shutdown(socket.SHUT_WR)
