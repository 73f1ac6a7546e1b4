"""FakeGateway: what tests hold in their hands, and the ends of the process."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from types import TracebackType
from typing import Any, Self

from aiohttp import web

from godel_tasks.testing.fake_gateway.boot import Boot, Kept
from godel_tasks.testing.fake_gateway.entrance import Entrance
from godel_tasks.testing.fake_gateway.habits import Habits
from godel_tasks.testing.fake_gateway.handshake import Door
from godel_tasks.testing.fake_gateway.listening import Listening
from godel_tasks.testing.fake_gateway.peer import Peer

#: Longest wait for what was sent to be on its way before the process ends.
_FLUSH_S = 2.0


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
        self._kept = Kept(self.habits)
        self._door = Door(token)
        entrance = Entrance(self._door, self.habits, lambda: self.boot)
        self._server = web.Server(entrance.serve, access_log=None)
        self._host = host
        self._listening = Listening(self._server, host, port)
        self.boot = self._new_boot(starting)
        self._down = True
        self._refusing = False
        #: By what they do.
        self._timers: dict[str, asyncio.TimerHandle] = {}
        self._beside: set[asyncio.Task[None]] = set()

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
            self._later(self.habits.tick_s, self._tick)
            if not self._refusing:
                self._listening.open()
                await self._listening.serve()

    async def stop(self) -> None:
        """At once, whatever runs."""
        self._vanish()
        for task in list(self._beside):
            task.cancel()
        await asyncio.gather(*self._beside, return_exceptions=True)
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
        return self._kept.starts

    def calls_of(self, message: str) -> int:
        """How often the model was called with just this message; a resumed run has another."""
        return self._kept.calls[message]

    def forget_keys(self) -> None:
        """Of runs that have ended, as the real gateway does five minutes after their end."""
        self.boot.work.ended.clear()

    @property
    def resumed(self) -> int:
        """Runs that it took up by itself."""
        return self._kept.resumed

    @property
    def connections(self) -> int:
        """Those that have shaken hands."""
        return len(self.boot.peers)

    @property
    def active(self) -> int:
        """Runs at work."""
        return self.boot.work.active

    # -- what tests do to it -----------------------------------------------------------------

    def approve(self, device_id: str) -> None:
        """Pair a device (`pairing="manual"`)."""
        self._door.approve(device_id)

    @property
    def starting(self) -> bool:
        """It listens, and takes nobody yet."""
        return self.boot.starting

    @starting.setter
    def starting(self, value: bool) -> None:
        self.boot.starting = value

    @property
    def refuse_connections(self) -> bool:
        """New connections only: see `cut`."""
        return self._refusing

    @refuse_connections.setter
    def refuse_connections(self, value: bool) -> None:
        self._refusing = value
        if value:
            self._listening.close()
        elif not self._down:
            self._listening.open()
            self._spawn(self._listening.serve())

    async def cut(self) -> None:
        """Drop all connections; the process lives on, and so do its runs."""
        self._drop_all()
        await asyncio.sleep(0)

    async def crash(self) -> None:
        """SIGKILL: no word to anybody, and nobody listens."""
        self._vanish()
        await asyncio.sleep(0)

    async def come_back(self, *, starting_s: float = 0.0) -> None:
        """A new boot on the same port. It listens at once, and takes nobody for `starting_s`."""
        if not self._down:
            return
        self.boot = self._new_boot(starting_s > 0)
        await self.start()
        self._later(starting_s, self._ready)

    async def term(self) -> None:
        """SIGTERM: what runs comes to its end first; until then it takes nothing."""
        await self._drain({"reason": "gateway stopping"})

    # -- ends of the process -----------------------------------------------------------------

    def _new_boot(self, starting: bool) -> Boot:
        return Boot(self._kept, self._on_restart, starting=starting)

    def _ready(self) -> None:
        self.boot.starting = False
        self._later(self.habits.resume_after_s, self.boot.resume)

    def _tick(self) -> None:
        self.boot.tick()
        self._later(self.habits.tick_s, self._tick)

    def _on_restart(self) -> None:
        if not self.boot.draining:
            self._spawn(self._restart())

    async def _restart(self) -> None:
        goodbye = {"reason": "gateway restarting", "restartExpectedMs": 1500}
        if await self._drain(goodbye):
            await asyncio.sleep(self.habits.restart_s)
            await self.come_back()

    async def _drain(self, goodbye: dict[str, Any]) -> bool:
        """Whether it came to its end by itself."""
        boot = self.boot
        boot.draining = True
        await boot.work.idle()
        if boot is not self.boot or self._down:
            return False  # it was killed meanwhile
        boot.tell_all("shutdown", goodbye)
        await asyncio.gather(*(_farewell(peer) for peer in list(boot.peers)))
        if boot is not self.boot or self._down:
            return False
        self._vanish()
        return True

    def _vanish(self) -> None:
        if self._down:
            return
        self._down = True
        for timer in self._timers.values():
            timer.cancel()
        self._timers.clear()
        self._listening.close()
        self._drop_all()
        self.boot.process_exited()

    def _drop_all(self) -> None:
        for peer in self.boot.peers:
            peer.gone()
        for connection in self._server.connections:
            if connection.transport is not None:
                connection.transport.abort()

    def _later(self, after_s: float, act: Callable[[], None]) -> None:
        loop = asyncio.get_running_loop()
        self._timers[act.__name__] = loop.call_later(after_s, act)

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        task = asyncio.get_running_loop().create_task(work)
        self._beside.add(task)
        task.add_done_callback(self._beside.discard)


async def _farewell(peer: Peer) -> None:
    """All that was sent has gone out, then the close."""
    try:
        async with asyncio.timeout(_FLUSH_S):
            await peer.flushed()
            await peer.socket.close(code=1012, message=b"service restart")
    except (TimeoutError, ConnectionError):
        pass  # it goes without a word, then
