"""One call of the stand-in, from its request to its last byte."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass

from aiohttp import web

from godel_tasks.clock import Clock
from godel_tasks.testing.standin import wire
from godel_tasks.testing.standin.calls import Call, Ending
from godel_tasks.testing.standin.prompt import ChatRequest
from godel_tasks.testing.standin.script import Turn

_SSE = {"Content-Type": "text/event-stream", "Cache-Control": "no-cache"}


@dataclass(frozen=True)
class Exchange:
    """`failing`: whether this call is one of those that the turn makes fail."""

    http: web.Request
    request: ChatRequest
    turn: Turn
    failing: bool
    answer: wire.Answer
    call: Call
    clock: Clock

    async def run(self) -> web.StreamResponse:
        """Answers as the turn has it, and notes in the call how that ended."""
        try:
            await self._pause(self.turn.latency_s)
            if self.failing and self.turn.fail != "cut":
                self.call.ended = Ending.FAILED
                return self._failure()
            if self.turn.hang:
                await asyncio.Event().wait()
            response = await (self._stream() if self.request.stream else self._whole())
            self.call.ended = Ending.CUT if self.failing else Ending.ANSWERED
            return response
        finally:
            self.call.ended = self.call.ended or Ending.LEFT

    def _failure(self) -> web.StreamResponse:
        status = self.turn.fail_status
        if status is None:
            self._drop(at_once=True)
            return web.Response()
        return problem(status, f"scripted failure {status}")

    async def _stream(self) -> web.StreamResponse:
        response = web.StreamResponse(headers=_SSE)
        await response.prepare(self.http)
        await response.write(self.answer.first())
        words = self._sent_words()
        for number, word in enumerate(words):
            await self._pause(self.turn.delay_s if number else 0)
            await response.write(self.answer.word(word))
        if self.failing:
            self._drop()
            return response
        for piece in self.answer.last(len(words), usage=self.request.wants_usage):
            await response.write(piece)
        await response.write_eof()
        return response

    async def _whole(self) -> web.StreamResponse:
        words = self._sent_words()
        await self._pause(self.turn.delay_s * max(0, len(words) - 1))
        body = self.answer.whole("".join(words), len(words))
        if not self.failing:
            return web.Response(body=body, content_type="application/json")
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.content_length = len(body)
        await response.prepare(self.http)
        await response.write(body[: len(body) // 2])
        self._drop()
        return response

    def _sent_words(self) -> tuple[str, ...]:
        """All of the reply, or its first half when the stream is cut."""
        words = self.turn.words
        return words[: (len(words) + 1) // 2] if self.failing else words

    async def _pause(self, seconds: float) -> None:
        if seconds:
            await self.clock.sleep(seconds)

    def _drop(self, *, at_once: bool = False) -> None:
        """Ends the connection; what was written still arrives unless `at_once`."""
        if self.http.transport is not None:
            (self.http.transport.abort if at_once else self.http.transport.close)()


def problem(status: int, message: str) -> web.Response:
    """A failure, as OpenAI words it."""
    body = wire.error(status, message)
    return web.Response(status=status, body=body, content_type="application/json")
