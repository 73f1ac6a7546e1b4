"""Requests as gateways send them, and the prompt that a person or a task wrote within them."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

#: OpenClaw adds a user message of its own behind the real one.
INTERNAL = "<<<BEGIN_OPENCLAW_INTERNAL_CONTEXT>>>"
#: `[Sun 2026-11-22 21:47 UTC] `: nothing else in brackets is taken for a date.
_DATE = re.compile(r"\[[A-Z][a-z]{2} \d{4}-\d\d-\d\d \d\d:\d\d(?::\d\d)?(?: [\w+:/-]+)?\]\s*")
_RUNTIME = "\n\nRuntime: agent="


class Part(msgspec.Struct, frozen=True):
    """A part of a message; what is no text (an image) has none."""

    text: str = ""


class Message(msgspec.Struct, frozen=True):
    """A message of the conversation."""

    role: str
    content: str | list[Part] | None = None

    @property
    def text(self) -> str:
        if isinstance(self.content, str):
            return self.content
        return "\n".join(part.text for part in self.content or () if part.text)


class StreamOptions(msgspec.Struct, frozen=True):
    """What a stream ends with."""

    include_usage: bool | None = False


class ChatRequest(msgspec.Struct, frozen=True):
    """The body of a chat completion; tools and limits are not looked at."""

    model: str
    messages: list[Message]
    stream: bool | None = False
    stream_options: StreamOptions | None = None

    @property
    def wants_usage(self) -> bool:
        return bool(self.stream_options and self.stream_options.include_usage)


def read(body: bytes) -> ChatRequest:
    """Raises `ValueError`, with the key that is wrong."""
    try:
        return msgspec.json.decode(body, type=ChatRequest)
    except msgspec.DecodeError as error:
        raise ValueError(str(error)) from error


def prompt_of(messages: Iterable[Message]) -> str:
    """The last message of the user's that is not OpenClaw's own, without what OpenClaw puts around.

    Raises:
        ValueError: there is none.
    """
    texts = [message.text for message in messages if message.role == "user"]
    real = [text for text in texts if INTERNAL not in text]
    if not real:
        raise ValueError("no message of a user's")
    return stripped(real[-1])


def stripped(text: str) -> str:
    """Without the date in front and the line `Runtime: agent=...` behind."""
    date = _DATE.match(text)
    text = text[date.end() :] if date else text
    end = text.rfind(_RUNTIME)
    return (text if end < 0 else text[:end]).strip()
