"""Listening: a port that opens and closes, and stays the gateway's own in between."""

from __future__ import annotations

import asyncio
import contextlib
import socket

from aiohttp import web


class Listening:
    """While it is closed, connections are refused; the port is held all the same."""

    def __init__(self, server: web.Server, host: str, port: int) -> None:
        self._server = server
        self._host = host
        self.port = port
        self._socket: socket.socket | None = None
        self._serving: asyncio.Server | None = None
        self._held: socket.socket | None = None

    def open(self) -> None:
        """Connections are queued at once, and answered when `serve` has run."""
        if self._socket is None:
            self._release()
            self._socket = self._bound()
            self.port = self._socket.getsockname()[1]
            self._socket.listen(512)

    async def serve(self) -> None:
        """Take what was queued, and what comes."""
        listening = self._socket
        if listening is None or self._serving is not None:
            return
        loop = asyncio.get_running_loop()
        self._serving = await loop.create_server(self._server, sock=listening, start_serving=False)
        if self._socket is listening:
            await self._serving.start_serving()
        else:
            self._serving.close()  # it was closed meanwhile
            self._serving = None

    def close(self) -> None:
        """At once; what was connected stays so."""
        if self._socket is None:
            return
        if self._serving is not None:
            self._serving.close()
            self._serving = None
        self._socket.close()
        self._socket = None
        # Another loop than asyncio's own lets go of it a little later: then it is not held.
        with contextlib.suppress(OSError):
            self._held = self._bound()

    def stop(self) -> None:
        self.close()
        self._release()

    def _release(self) -> None:
        if self._held is not None:
            self._held.close()
            self._held = None

    def _bound(self) -> socket.socket:
        made = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        try:
            made.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
            made.setblocking(False)
            made.bind((self._host, self.port))
        except OSError:
            made.close()
            raise
        return made
