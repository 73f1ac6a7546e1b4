"""StandInModel: an OpenAI-compatible server whose prompts say how it behaves."""

from __future__ import annotations

import asyncio
import uuid
from collections.abc import Callable
from types import TracebackType
from typing import Self

from aiohttp import web

from godel_tasks.clock import Clock, SystemClock
from godel_tasks.errors import GodelError
from godel_tasks.testing.standin import prompt, wire
from godel_tasks.testing.standin.answering import Exchange, problem
from godel_tasks.testing.standin.calls import Call, Calls, Ending
from godel_tasks.testing.standin.script import Turn, parse

#: Bytes of a request; an agent's prompt with its tools is 33 kB, and histories grow.
MAX_BODY = 64 * 1024 * 1024
#: Tokens that a prompt is charged beside its words: what an agent says before it.
BASE_TOKENS = 100
#: Seconds that calls have to end when the server stops; 0 would be for ever.
_GRACE_S = 0.05


class StandInModel:
    """Listens from `start` to `stop`, or within `async with`; `port` 0 takes a free one.

    Prompts override `turn`, and `turn` overrides `latency_s`. See `script` for what they can say.
    """

    def __init__(
        self,
        port: int = 0,
        *,
        host: str = "127.0.0.1",
        latency_s: float = 0.0,
        turn: Turn | None = None,
        base_tokens: int = BASE_TOKENS,
        models: tuple[str, ...] = ("standin",),
        clock: Clock | None = None,
    ) -> None:
        self.host, self.port = host, port
        self._turn = turn or Turn(latency_s=latency_s)
        self._base_tokens = base_tokens
        self._models = models
        self._clock = clock or SystemClock()
        self._runner: web.AppRunner | None = None
        self._log = Calls()

    @property
    def url(self) -> str:
        """Where OpenAI's clients are pointed at: `http://127.0.0.1:40123/v1`."""
        return f"{self.root_url}/v1"

    @property
    def root_url(self) -> str:
        """Where `/calls` is."""
        host = f"[{self.host}]" if ":" in self.host else self.host
        return f"http://{host}:{self.port}"

    @property
    def calls(self) -> list[Call]:
        """All calls, in the order in which they came."""
        return self._log.made

    def calls_of(self, prompt: str) -> list[Call]:
        """The calls with this prompt, its directives included."""
        return self._log.of(prompt)

    async def start(self) -> None:
        """Raises `GodelError` if it cannot listen there."""
        if self._runner is not None:
            return
        app = web.Application(client_max_size=MAX_BODY)
        app.router.add_post("/v1/chat/completions", self._complete)
        app.router.add_get("/v1/models", self._list_models)
        app.router.add_get("/calls", self._list_calls)
        # Callers that go away end their calls.
        runner = web.AppRunner(
            app, access_log=None, handler_cancellation=True, shutdown_timeout=_GRACE_S
        )
        self._runner = runner
        await runner.setup()
        try:
            await web.TCPSite(runner, self.host, self.port).start()
        except (OSError, OverflowError) as error:
            await self.stop()
            raise GodelError(
                f"a stand-in model cannot listen on {self.host}:{self.port}: {error}",
                hint="choose another port, or 0 for a free one",
            ) from error
        self.port = runner.addresses[0][1]

    async def stop(self) -> None:
        """Calls that go on are left."""
        runner, self._runner = self._runner, None
        if runner is not None:
            await runner.cleanup()

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

    def __repr__(self) -> str:
        state = f"on {self.url}" if self._runner else "stopped"
        return f"<StandInModel {state}, {len(self.calls)} calls>"

    async def _complete(self, http: web.Request) -> web.StreamResponse:
        try:
            request = prompt.read(await http.read())
            asked = prompt.prompt_of(request.messages)
        except ValueError as error:
            return problem(400, str(error))
        now_s = self._clock.wall_ms() / 1000
        call = Call(asked, now_s, request.model)
        number = self._log.add(call)
        try:
            turn = parse(asked, self._turn)
        except ValueError as error:
            call.ended = Ending.FAILED
            return problem(400, str(error))
        tokens = len(asked.split()) + self._base_tokens
        answer = wire.Answer(f"chatcmpl-{uuid.uuid4().hex}", request.model, int(now_s), tokens)
        failing = turn.fails(number)
        return await Exchange(http, request, turn, failing, answer, call, self._clock).run()

    async def _list_models(self, _: web.Request) -> web.Response:
        return web.Response(body=wire.models(self._models), content_type="application/json")

    async def _list_calls(self, _: web.Request) -> web.Response:
        return web.json_response({"calls": len(self.calls), "prompts": dict(self._log.counts)})


async def serve(
    host: str = "127.0.0.1",
    port: int = 0,
    *,
    latency_s: float = 0.0,
    ready: Callable[[StandInModel], None] | None = None,
) -> None:
    """Runs until cancelled; `ready` is called with the model when it listens.

    Raises:
        GodelError: it cannot listen there.
    """
    async with StandInModel(port, host=host, latency_s=latency_s) as model:
        if ready is not None:
            ready(model)
        await asyncio.Event().wait()
