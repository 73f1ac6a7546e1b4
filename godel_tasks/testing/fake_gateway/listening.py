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
        self._open: asyncio.Server | None = None
        self._held: socket.socket | None = None

    @property
    def is_open(self) -> bool:
        return self._open is not None

    async def open(self) -> None:
        if self._open is not None:
            return
        self._release()
        listening = self._bound()
        self.port = listening.getsockname()[1]
        listening.listen(512)
        self._open = await asyncio.get_running_loop().create_server(self._server, sock=listening)

    def close(self) -> None:
        """At once; what was connected stays so."""
        if self._open is None:
            return
        self._open.close()
        self._open = None
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
