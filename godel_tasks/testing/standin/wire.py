"""What OpenAI's chat completions look like on the wire."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import msgspec

DONE = b"data: [DONE]\n\n"


@dataclass(frozen=True)
class Answer:
    """One answer, as a whole or in chunks."""

    id: str
    model: str
    created_s: int
    prompt_tokens: int

    def whole(self, text: str, words: int) -> bytes:
        """The body of an answer that is not streamed."""
        message = {"role": "assistant", "content": text}
        choice = {"index": 0, "message": message, "finish_reason": "stop"}
        return self._encoded("chat.completion", choices=[choice], usage=self._usage(words))

    def first(self) -> bytes:
        return self._chunk({"role": "assistant", "content": ""})

    def word(self, word: str) -> bytes:
        return self._chunk({"content": word})

    def last(self, words: int, *, usage: bool) -> Iterator[bytes]:
        """What follows the last word."""
        yield self._chunk({}, finish_reason="stop")
        if usage:
            data = self._encoded("chat.completion.chunk", choices=[], usage=self._usage(words))
            yield _event(data)
        yield DONE

    def _chunk(self, delta: dict[str, str], finish_reason: str | None = None) -> bytes:
        choice = {"index": 0, "delta": delta, "finish_reason": finish_reason}
        return _event(self._encoded("chat.completion.chunk", choices=[choice]))

    def _usage(self, words: int) -> dict[str, int]:
        return {
            "prompt_tokens": self.prompt_tokens,
            "completion_tokens": words,
            "total_tokens": self.prompt_tokens + words,
        }

    def _encoded(self, kind: str, **more: Any) -> bytes:
        head = {"id": self.id, "object": kind, "created": self.created_s, "model": self.model}
        return msgspec.json.encode({**head, **more})


def error(status: int, message: str) -> bytes:
    """The body of a failure."""
    kind = _KINDS.get(status, "server_error" if status >= 500 else "invalid_request_error")
    problem = {"message": message, "type": kind, "param": None, "code": None}
    return msgspec.json.encode({"error": problem})


_KINDS = {401: "authentication_error", 403: "permission_error", 404: "not_found_error",
          429: "rate_limit_error"}  # fmt: skip


def models(names: tuple[str, ...]) -> bytes:
    """The body of the list of models."""
    listed = [{"id": name, "object": "model", "created": 0, "owned_by": "godel"} for name in names]
    return msgspec.json.encode({"object": "list", "data": listed})


def _event(data: bytes) -> bytes:
    return b"data: " + data + b"\n\n"
