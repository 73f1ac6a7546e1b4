"""A client of gateways for stories: the driver's own socket, and a note of all that comes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import msgspec

from godel_tasks.instances.background import end_task
from godel_tasks.instances.drivers.openclaw import frames
from godel_tasks.instances.drivers.openclaw.credentials import Credentials
from godel_tasks.instances.drivers.openclaw.gateway import Gateway
from godel_tasks.instances.drivers.openclaw.handshake import SCOPES
from tests.helpers import wait_until_async

#: A session of Godel's, as its keys look.
SESSION = "agent:main:godel:acme:s:one"


class Client:
    """`answers` are the responses to `agent`, by its tag; `events` all events, decoded."""

    def __init__(self, gateway: Gateway) -> None:
        self.gateway = gateway
        self.answers: dict[str, list[frames.Frame]] = {}
        self.events: list[dict[str, Any]] = []
        self.ending = ""

    async def serve(self) -> None:
        self.ending = await self.gateway.serve(self._on_event)

    def _on_event(self, _name: str, text: str) -> None:
        self.events.append(msgspec.json.decode(text))

    async def call(self, method: str, **params: Any) -> Any:
        return await self.gateway.call(method, params)

    def agent(self, key: str, message: str, /, *, tag: str = "", **more: Any) -> None:
        params = {"message": message, "sessionKey": SESSION, "idempotencyKey": key} | more
        answers = self.answers.setdefault(tag or key, [])

        def on_response(frame: frames.Frame) -> bool:
            answers.append(frame)
            return False

        self.gateway.send("agent", params, on_response)

    async def answer(self, tag: str, *, nth: int = 2) -> Any:
        """The n-th response to `agent`: its payload, or its error."""
        frame = await wait_until_async(
            lambda: self.answers[tag][nth - 1 : nth], description=f"response {nth} to {tag}"
        )
        return frame[0].error or frames.payload_of(frame[0])

    def streams(self, key: str) -> list[str]:
        """The events of a run: "lifecycle:start", "assistant", "chat:final", ..."""
        told = []
        for event in self.events:
            payload = event["payload"]
            if payload.get("runId") != key:
                continue
            if event["event"] == "chat":
                told.append(f"chat:{payload['state']}")
            else:
                phase = payload["data"].get("phase")
                told.append(payload["stream"] + (f":{phase}" if phase else ""))
        return told


@asynccontextmanager
async def client(
    url: str, token: str = "t", *more: str, device_key: str = ""
) -> AsyncIterator[Client]:
    """`more` are scopes beside reading and writing."""
    credentials = Credentials(token=token, device_key=device_key)
    made = Client(await Gateway.connect(url, credentials, (*SCOPES, *more)))
    serving = asyncio.get_running_loop().create_task(made.serve())
    try:
        yield made
    finally:
        await end_task(serving)
        await made.gateway.close()
