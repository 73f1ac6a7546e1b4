"""What the stand-in model was asked, by its own count."""

from __future__ import annotations

from types import TracebackType
from typing import Self

import aiohttp

from godel_tasks.errors import GodelError

TIMEOUT = aiohttp.ClientTimeout(total=5)


class Model:
    """The stand-in that listens there, or will."""

    def __init__(self, host: str, port: int) -> None:
        self._root = f"http://{host}:{port}"
        self._http: aiohttp.ClientSession | None = None

    @property
    def url(self) -> str:
        """Where gateways are pointed at."""
        return f"{self._root}/v1"

    async def __aenter__(self) -> Self:
        self._http = aiohttp.ClientSession(timeout=TIMEOUT)
        return self

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._http is not None:
            await self._http.close()

    async def calls(self) -> dict[str, int]:
        """How often it was called, by prompt."""
        assert self._http is not None  # noqa: S101 - entered
        try:
            async with self._http.get(f"{self._root}/calls") as answer:
                found: dict[str, int] = (await answer.json())["prompts"]
                return found
        except (aiohttp.ClientError, TimeoutError) as error:
            raise GodelError(
                f"the stand-in model does not answer: {error!r}", hint="see its log"
            ) from error
