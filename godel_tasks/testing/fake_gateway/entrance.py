"""The entrance: HTTP, handshakes, and each connection's conversation."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

import msgspec
from aiohttp import WSMsgType, web

from godel_tasks.testing.fake_gateway import handshake
from godel_tasks.testing.fake_gateway.boot import Boot
from godel_tasks.testing.fake_gateway.habits import Habits
from godel_tasks.testing.fake_gateway.methods import METHODS, take
from godel_tasks.testing.fake_gateway.peer import Peer
from godel_tasks.testing.fake_gateway.wire import event, failure, request_decoder, response

#: Largest frame taken.
_MAX_FRAME = 26_214_400
#: Longest wait for a client to confirm a close.
_CLOSE_S = 1.0


class Entrance:
    """`boot` says which life the gateway is in."""

    def __init__(self, door: handshake.Door, habits: Habits, boot: Callable[[], Boot]) -> None:
        self._door = door
        self._habits = habits
        self._boot = boot

    async def serve(self, request: web.BaseRequest) -> web.StreamResponse:
        boot = self._boot()
        match request.path:
            case "/health" | "/healthz":
                return web.json_response({"ok": True, "status": "live"})
            case "/ready" | "/readyz":
                return _readiness(boot)
        if request.headers.get("Upgrade", "").lower() != "websocket":
            return web.Response(status=404, text="Not Found")
        if boot.draining:
            return web.Response(status=503, text="Service Unavailable")
        socket = web.WebSocketResponse(compress=False, max_msg_size=_MAX_FRAME, timeout=_CLOSE_S)
        await socket.prepare(request)
        peer = await self._shake_hands(boot, socket)
        if peer is not None:
            await _talk(boot, peer)
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
            self._door.manual = self._habits.pairing == "manual"
            admitted = self._door.admit(request.method, request.params, challenge["nonce"])
        except handshake.TurnedAway as away:
            await socket.send_str(failure(request.id, away.refused))
            await socket.close(code=away.close, message=str(away).encode()[:100])
            return None
        peer = Peer(socket, admitted.scopes, admitted.device_id)
        agent = self._habits.agents[0]
        hello = handshake.hello(
            admitted, peer.conn_id, boot.boot_id, boot.up_ms, sorted(METHODS), agent
        )
        peer.send(response(request.id, hello))
        return peer


async def _talk(boot: Boot, peer: Peer) -> None:
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


def _readiness(boot: Boot) -> web.Response:
    states = (("startup-sidecars", boot.starting), ("gateway-draining", boot.draining))
    failing = [name for name, on in states if on]
    body = {"ready": not failing, "failing": failing, "uptimeMs": boot.up_ms}
    return web.json_response(body, status=503 if failing else 200)
