"""Peer: one client that has shaken hands."""

from __future__ import annotations

import asyncio
from collections import deque
from uuid import uuid4

from aiohttp import web

READ, WRITE, ADMIN = "operator.read", "operator.write", "operator.admin"


class Peer:
    """What is sent goes out in order, by `write_forever`; nobody waits for it."""

    def __init__(
        self, socket: web.WebSocketResponse, scopes: tuple[str, ...], device_id: str = ""
    ) -> None:
        self.socket = socket
        self.scopes = scopes
        self.device_id = device_id
        self.conn_id = str(uuid4())
        self.open = True
        self._seq = 0
        self._outgoing: deque[str] = deque()
        self._filled = asyncio.Event()
        self._written = asyncio.Event()
        self._written.set()

    def __repr__(self) -> str:
        return f"<Peer {self.conn_id[:8]} {'open' if self.open else 'gone'}>"

    def may(self, scope: str) -> bool:
        """Admin may everything, and who may write may read."""
        return (
            not scope
            or scope in self.scopes
            or ADMIN in self.scopes
            or (scope == READ and WRITE in self.scopes)
        )

    def send(self, text: str) -> None:
        if self.open:
            self._outgoing.append(text)
            self._filled.set()
            self._written.clear()

    def tell(self, event: str) -> None:
        """An event, of `wire.event`."""
        self._seq += 1
        self.send(f'{event},"seq":{self._seq}}}')

    async def write_forever(self) -> None:
        outgoing, socket = self._outgoing, self.socket
        while True:
            await self._filled.wait()
            self._filled.clear()
            while outgoing:
                try:
                    await socket.send_str(outgoing.popleft())
                except (ConnectionError, RuntimeError):
                    self.gone()
                    return
            self._written.set()

    def gone(self) -> None:
        self.open = False
        self._outgoing.clear()
        self._written.set()

    async def flushed(self) -> None:
        """All that was sent is on its way."""
        await self._written.wait()
