"""Gateway: one standing, authenticated WebSocket to an OpenClaw gateway."""

from __future__ import annotations

import asyncio
import errno
import itertools
import logging
import time
from collections import deque
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import aiohttp
import msgspec

from godel_tasks.errors import InstanceError, InstanceUnavailable
from godel_tasks.instances.background import end_task
from godel_tasks.instances.drivers.openclaw import frames
from godel_tasks.instances.drivers.openclaw.credentials import Credentials
from godel_tasks.instances.drivers.openclaw.handshake import (
    Hello,
    connect_params,
    hello_of,
    refusal_of,
)

log = logging.getLogger(__name__)

#: Longest wait for the socket, and for the hello.
CONNECT_TIMEOUT_S = 5.0
#: Longest wait for the answer to an ordinary call: a busy gateway takes seconds (one JS thread).
CALL_TIMEOUT_S = 10.0
#: Largest frame taken; the gateway itself takes 25 MiB.
MAX_FRAME = 32 * 1024 * 1024
#: Silence after which a socket counts as dead: a gateway says something every 30 s by itself.
SILENCE_S = 75.0


class CallFailed(InstanceError):
    """The gateway answered a call with an error."""

    def __init__(self, method: str, error: frames.GatewayError) -> None:
        super().__init__(f"{method}: {error.message or error.code}", retryable=error.retryable)
        self.error = error


class NobodyListens(InstanceUnavailable):
    """The endpoint's host refused the connection: no process is there."""


#: Told each response to a request; True when it was the last one.
OnResponse = Callable[[frames.Frame], bool]


class Gateway:
    """Made by `connect`; `serve` reads until the socket breaks, and ends everything."""

    def __init__(
        self, endpoint: str, session: aiohttp.ClientSession, socket: aiohttp.ClientWebSocketResponse
    ) -> None:
        self.endpoint = endpoint
        self.hello: Hello
        self._session = session
        self._socket = socket
        self._ids = itertools.count(1)
        self._waiting: dict[str, OnResponse] = {}
        self._calls: set[asyncio.Future[frames.Frame]] = set()
        self._broken = False
        self._outgoing: deque[str] = deque()
        self._filled = asyncio.Event()
        #: When the gateway was last heard of, monotonic.
        self.heard_at = time.monotonic()

    def __repr__(self) -> str:
        return (
            f"<Gateway {self.endpoint} boot {self.hello.boot_id[:8]}, {len(self._waiting)} calls>"
        )

    @classmethod
    async def connect(
        cls, endpoint: str, credentials: Credentials, scopes: tuple[str, ...]
    ) -> Gateway:
        """A gateway that has said hello.

        Raises:
            NobodyListens: the connection was refused.
            InstanceUnavailable: it cannot be reached, is starting or is draining.
            GatewayRefused: it will not have us.
            MissingScope: the credentials do not allow enough.
        """
        session = aiohttp.ClientSession(auto_decompress=False)
        socket: aiohttp.ClientWebSocketResponse | None = None
        try:
            async with asyncio.timeout(CONNECT_TIMEOUT_S):
                socket = await session.ws_connect(endpoint, max_msg_size=MAX_FRAME, compress=0)
                made = cls(endpoint, session, socket)
                await made._shake_hands(credentials, scopes)
                return made
        except BaseException as error:
            if socket is not None:
                await socket.close()
            await session.close()
            raise _translated(error, endpoint) from None

    async def _shake_hands(self, credentials: Credentials, scopes: tuple[str, ...]) -> None:
        challenge = frames.frame_decoder.decode(await self._socket.receive_str())
        params = connect_params(
            frames.payload_of(challenge), credentials, scopes, version("godel-tasks")
        )
        await self._socket.send_str(frames.request("connect", "connect", params))
        while True:
            frame = frames.frame_decoder.decode(await self._socket.receive_str())
            if frame.id == "connect":
                break
        if not frame.ok:
            raise refusal_of(frame.error or frames.GatewayError(), self.endpoint)
        self.hello = hello_of(frames.payload_of(frame))

    def send(self, method: str, params: dict[str, Any], on_response: OnResponse) -> str:
        """A request whose responses go to `on_response`; its id. After the socket broke nobody is
        told: whoever serves it says so."""
        request_id = f"g{next(self._ids)}"
        self._waiting[request_id] = on_response
        self._outgoing.append(frames.request(request_id, method, params))
        self._filled.set()
        return request_id

    async def call_raw(
        self, method: str, params: dict[str, Any], *, timeout_s: float = CALL_TIMEOUT_S
    ) -> msgspec.Raw:
        """The payload of the one response, as it came.

        Raises:
            CallFailed: it answered with an error.
            InstanceUnavailable: it did not answer in time, or the socket broke.
        """
        if self._broken:
            raise InstanceUnavailable(f"the connection to {self.endpoint} broke")
        answer: asyncio.Future[frames.Frame] = asyncio.get_running_loop().create_future()
        self._calls.add(answer)

        def answered(frame: frames.Frame) -> bool:
            if not answer.done():
                answer.set_result(frame)
            return True

        request_id = self.send(method, params, answered)
        try:
            async with asyncio.timeout(timeout_s):
                frame = await answer
        except TimeoutError:
            raise InstanceUnavailable(
                f"the gateway at {self.endpoint} did not answer {method} within {timeout_s:.0f} s"
            ) from None
        finally:
            self._calls.discard(answer)
            self._waiting.pop(request_id, None)
        if not frame.ok:
            raise CallFailed(method, frame.error or frames.GatewayError())
        return frame.payload

    async def call(
        self,
        method: str,
        params: dict[str, Any] | None = None,
        *,
        timeout_s: float = CALL_TIMEOUT_S,
    ) -> Any:
        """As `call_raw`, decoded."""
        payload = await self.call_raw(method, params or {}, timeout_s=timeout_s)
        return msgspec.json.decode(payload)

    async def serve(self, on_event: Callable[[str, str], None]) -> str:
        """Read until the socket breaks; why it broke. `on_event` gets the name and the whole frame
        of each event, on the loop."""
        writer = asyncio.get_running_loop().create_task(self._write_forever())
        try:
            while True:
                try:
                    message = await self._socket.receive(timeout=SILENCE_S)
                except TimeoutError:
                    return f"silent for {SILENCE_S:.0f} s"
                self.heard_at = time.monotonic()
                if message.type is not aiohttp.WSMsgType.TEXT:
                    return _ending(message)
                name = frames.event_name(message.data)
                if name is None:
                    self._take(message.data)
                else:
                    on_event(name, message.data)
        finally:
            await end_task(writer)
            await self.close()

    def _take(self, text: str) -> None:
        try:
            frame = frames.frame_decoder.decode(text)
        except msgspec.DecodeError as error:
            log.warning("the gateway at %s sent what is no frame: %s", self.endpoint, error)
            return
        on_response = self._waiting.get(frame.id)
        if on_response is not None and on_response(frame):
            self._waiting.pop(frame.id, None)

    async def _write_forever(self) -> None:
        while True:
            await self._filled.wait()
            self._filled.clear()
            while self._outgoing:
                try:
                    await self._socket.send_str(self._outgoing.popleft())
                except (aiohttp.ClientError, ConnectionError):
                    return  # the reader says why

    def silent_s(self) -> float:
        """Seconds since it was last heard of."""
        return time.monotonic() - self.heard_at

    async def close(self) -> None:
        """Idempotent. Whoever waits for a call is told."""
        self._broken = True
        for answer in self._calls:
            if not answer.done():
                why = f"the connection to {self.endpoint} broke"
                answer.set_exception(InstanceUnavailable(why))
        self._outgoing.clear()
        await self._socket.close()
        await self._session.close()


def _translated(error: BaseException, endpoint: str) -> BaseException:
    """No error of the library below leaves this layer."""
    if isinstance(error, InstanceError):
        return error
    if isinstance(error, TimeoutError):
        return InstanceUnavailable(f"{endpoint}: no answer within {CONNECT_TIMEOUT_S:.0f} s")
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno in (
        errno.ECONNREFUSED,
        errno.ENOENT,
    ):
        return NobodyListens(f"{endpoint}: nobody listens there")
    if isinstance(error, aiohttp.ClientError | TypeError | ValueError | OSError):
        return InstanceUnavailable(f"{endpoint}: {type(error).__name__}: {error}")
    return error


def _ending(message: aiohttp.WSMessage) -> str:
    if message.type is aiohttp.WSMsgType.ERROR:
        return f"{type(message.data).__name__}: {message.data}"
    if message.type is aiohttp.WSMsgType.CLOSE:
        return f"closed with {message.data}" + (f": {message.extra}" if message.extra else "")
    return "the connection broke"
