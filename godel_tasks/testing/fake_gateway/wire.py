"""The text of frames: a response, a refusal, an event without its number. No I/O."""

from __future__ import annotations

import time
from typing import Any

import msgspec

_encoder = msgspec.json.Encoder()


class Refused(Exception):
    """A request that is answered with an error."""

    def __init__(
        self,
        code: str,
        message: str,
        details: dict[str, Any] | None = None,
        retry_after_ms: int | None = None,
    ) -> None:
        super().__init__(message)
        self.error: dict[str, Any] = {"code": code, "message": message}
        if details is not None:
            self.error["details"] = details
        if retry_after_ms is not None:
            self.error |= {"retryable": True, "retryAfterMs": retry_after_ms}


def invalid(message: str, details: dict[str, Any] | None = None) -> Refused:
    """The commonest refusal."""
    return Refused("INVALID_REQUEST", message, details)


class Request(msgspec.Struct):
    """What a client asks."""

    type: str = ""
    id: str = ""
    method: str = ""
    params: dict[str, Any] = {}


request_decoder = msgspec.json.Decoder(Request)


def response(request_id: str, payload: Any) -> str:
    """An answer."""
    frame = {"type": "res", "id": request_id, "ok": True, "payload": payload}
    return _encoder.encode(frame).decode()


def failure(request_id: str, refused: Refused, payload: Any = None) -> str:
    """An error, with what a failed turn says beside it."""
    frame: dict[str, Any] = {"type": "res", "id": request_id, "ok": False, "error": refused.error}
    if payload is not None:
        frame["payload"] = payload
    return _encoder.encode(frame).decode()


def event(name: str, payload: Any) -> str:
    """An event without its end: each connection adds a number of its own (`Peer.tell`)."""
    return _encoder.encode({"type": "event", "event": name, "payload": payload}).decode()[:-1]


def encoded(value: Any) -> msgspec.Raw:
    """A part of frames that is encoded once."""
    return msgspec.Raw(_encoder.encode(value))


def now_ms() -> int:
    """Wall time, as the gateway writes it."""
    return time.time_ns() // 1_000_000
