"""An HTTP server that answers only what a description has, and remembers what it did not."""

from __future__ import annotations

import json
import traceback
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any, Self

from aiohttp import web

from tests.providers.stubs.description import Operation, Violation, description


@dataclass(frozen=True, slots=True)
class Request:
    """What came, checked."""

    operation: Operation
    query: Mapping[str, Any]
    body: Any
    content_type: str

    @property
    def values(self) -> Mapping[str, str]:
        return self.operation.values


@dataclass(frozen=True, slots=True)
class Answer:
    """`body` is JSON, or bytes (sent as `kind`), or None."""

    status: int
    body: Any = None
    kind: str = "application/json"


#: By "METHOD /path/{template}".
Verbs = Mapping[str, Callable[[Request], Awaitable[Answer]]]


class Stub:
    """Starts with `async with`; on leaving it fails if anything was outside the description."""

    #: Whether the description names the errors of each operation.
    errors_described = True

    def __init__(self, name: str) -> None:
        self.description = description(name)
        self.violations: list[str] = []
        #: Every request, as "METHOD /path/{template}", in order.
        self.asked: list[str] = []
        self.url = ""
        #: Who asks has to have it, if there is one.
        self.token = ""
        self._runner: web.AppRunner | None = None

    def verbs(self) -> Verbs:
        raise NotImplementedError

    async def close(self) -> None:
        """End what the stub itself runs."""

    def refusal(self, status: int, message: str) -> Answer:
        """An error, in this API's form."""
        raise NotImplementedError

    async def __aenter__(self) -> Self:
        app = web.Application()
        app.router.add_route("*", "/{rest:.*}", self._handle)
        self._runner = web.AppRunner(app, handle_signals=False, shutdown_timeout=1)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        host, port = self._runner.addresses[0][:2]
        self.url = f"http://{host}:{port}"
        return self

    async def __aexit__(self, *_: object) -> None:
        assert self._runner is not None
        await self.close()
        await self._runner.cleanup()
        assert self.violations == [], "requests outside the description"

    async def _handle(self, request: web.Request) -> web.Response:
        try:
            answer = await self._answer(request)
        except Violation as violation:
            self.violations.append(f"{request.method} {request.path_qs}: {violation}")
            answer = self.refusal(400, str(violation))
        except Exception:  # a stub that breaks must not pass for a server that refuses
            self.violations.append(f"{request.method} {request.path_qs}: {traceback.format_exc()}")
            answer = self.refusal(500, "the stub broke")
        if answer.body is None:
            return web.Response(status=answer.status)
        raw = isinstance(answer.body, bytes)
        body = answer.body if raw else json.dumps(answer.body).encode()
        headers = {"Content-Type": answer.kind}
        return web.Response(status=answer.status, body=body, headers=headers)

    async def _answer(self, request: web.Request) -> Answer:
        base = self.description.data.get("basePath", "")
        path = request.path.removeprefix(base)
        operation = self.description.operation(request.method, path)
        self.asked.append(str(operation))
        query = operation.check_query(dict(request.query))
        content_type = request.headers.get("Content-Type", "").partition(";")[0]
        body = operation.check_body(content_type, await request.read())
        if self.token and request.headers.get("Authorization") != f"Bearer {self.token}":
            return self.refusal(401, "Unauthorized")
        verb = self.verbs()[str(operation)]
        answer = await verb(Request(operation, query, body, content_type))
        if answer.status < 400 or self.errors_described:
            operation.check_answer(answer.status, answer.body)
        return answer
