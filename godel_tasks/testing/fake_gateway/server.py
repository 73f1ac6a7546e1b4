"""FakeGateway: the door, the sockets, and the ends of the process."""

from __future__ import annotations

import asyncio
from types import TracebackType
from typing import Any, Self

import msgspec
from aiohttp import WSMsgType, web

from godel_tasks.testing.fake_gateway import handshake
from godel_tasks.testing.fake_gateway.boot import Boot, Kept
from godel_tasks.testing.fake_gateway.habits import Habits
from godel_tasks.testing.fake_gateway.listening import Listening
from godel_tasks.testing.fake_gateway.methods import METHODS, take
from godel_tasks.testing.fake_gateway.peer import Peer
from godel_tasks.testing.fake_gateway.wire import event, failure, request_decoder, response

#: Largest frame taken.
_MAX_FRAME = 26_214_400


class FakeGateway:
    """`habits` are those of `Habits`, by name; an empty token lets everybody in."""

    def __init__(
        self,
        port: int = 0,
        token: str = "",
        *,
        host: str = "127.0.0.1",
        starting: bool = False,
        **habits: Any,
    ) -> None:
        self.habits = Habits(**habits)
        self.kept = Kept(self.habits)
        self.door = handshake.Door(token)
        self._server = web.Server(self._serve, access_log=None)
        self._host = host
        self._listening = Listening(self._server, host, port)
        self.boot = Boot(self.kept, starting=starting)
        self._down = True
        self._refusing = False
        self._later: set[asyncio.Task[None]] = set()

    def __repr__(self) -> str:
        return f"<FakeGateway {self.url} {'down' if self._down else self.boot}>"

    async def __aenter__(self) -> Self:
        await self.start()
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        await self.stop()

    async def start(self) -> None:
        if self._down:
            self._down = False
            await self._listening.open()

    async def stop(self) -> None:
        """At once, whatever runs."""
        if not self._down:
            self._vanish()
        for task in list(self._later):
            task.cancel()
        await asyncio.gather(*self._later, return_exceptions=True)
        self._listening.stop()
        await self._server.shutdown(1.0)

    # -- what tests look at ------------------------------------------------------------------

    @property
    def url(self) -> str:
        return f"ws://{self._host}:{self._listening.port}"

    @property
    def boot_id(self) -> str:
        return self.boot.boot_id

    @property
    def starts(self) -> list[str]:
        """Ids of the runs that really began, in order, of all boots."""
        return self.kept.starts

    def calls_of(self, message: str) -> int:
        """How often the model was called with just this message; a resumed run has another."""
        return self.kept.calls[message]

    @property
    def resumed(self) -> int:
        """Runs that it took up by itself."""
        return self.kept.resumed

    @property
    def connections(self) -> int:
        """Those that have shaken hands."""
        return len(self.boot.peers)

    @property
    def active(self) -> int:
        """Runs at work."""
        return self.boot.work.active

    def approve(self, device_id: str) -> None:
        """Pair a device (`pairing="manual"`)."""
        self.door.approve(device_id)

    # -- connections -------------------------------------------------------------------------

    async def _serve(self, request: web.BaseRequest) -> web.StreamResponse:
        boot = self.boot
        match request.path:
            case "/health" | "/healthz":
                return web.json_response({"ok": True, "status": "live"})
            case "/ready" | "/readyz":
                failing = [
                    name
                    for name, on in (
                        ("startup-sidecars", boot.starting),
                        ("gateway-draining", boot.draining),
                    )
                    if on
                ]
                body = {"ready": not failing, "failing": failing, "uptimeMs": boot.up_ms}
                return web.json_response(body, status=503 if failing else 200)
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return web.Response(status=404, text="Not Found")
        if boot.draining:
            return web.Response(status=503, text="Service Unavailable")
        socket = web.WebSocketResponse(compress=False, max_msg_size=_MAX_FRAME)
        await socket.prepare(request)
        peer = await self._shake_hands(boot, socket)
        if peer is not None:
            await self._talk(boot, peer)
        return socket

    async def _shake_hands(self, boot: Boot, socket: web.WebSocketResponse) -> Peer | None:
        challenge = handshake.challenge()
        try:
            await socket.send_str(event("connect.challenge", challenge) + "}")
            async with asyncio.timeout(handshake.PATIENCE_S):
                message = await socket.receive()
            if message.type is not WSMsgType.TEXT:
                return None
            request = request_decoder.decode(message.data)
        except (ConnectionError, TimeoutError, msgspec.DecodeError):
            await socket.close(code=1000)
            return None
        try:
            if boot.starting:
                raise handshake.starting()
            self.door.manual = self.habits.pairing == "manual"
            admitted = self.door.admit(request.method, request.params, challenge["nonce"])
        except handshake.TurnedAway as away:
            await socket.send_str(failure(request.id, away.refused))
            await socket.close(code=away.close, message=str(away).encode()[:100])
            return None
        peer = Peer(socket, admitted.scopes, admitted.device_id)
        agent = self.habits.agents[0]
        hello = handshake.hello(
            admitted, peer.conn_id, boot.boot_id, boot.up_ms, sorted(METHODS), agent
        )
        peer.send(response(request.id, hello))
        return peer

    async def _talk(self, boot: Boot, peer: Peer) -> None:
        boot.peers.add(peer)
        writer = asyncio.get_running_loop().create_task(peer.write_forever())
        try:
            async for message in peer.socket:
                if message.type is not WSMsgType.TEXT:
                    continue
                try:
                    request = request_decoder.decode(message.data)
                except msgspec.DecodeError:
                    continue  # as the gateway does: no answer, no close
                if request.method and request.type == "req":
                    take(boot, peer, request)
        finally:
            peer.gone()
            boot.peers.discard(peer)
            writer.cancel()

    # -- ends of the process -----------------------------------------------------------------

    def _vanish(self) -> None:
        self._down = True
        self._listening.close()
        self._drop_all()
        self.boot.process_exited()

    def _drop_all(self) -> None:
        for peer in self.boot.peers:
            peer.gone()
        for connection in self._server.connections:
            if connection.transport is not None:
                connection.transport.abort()
