"""Frames of the gateway's WebSocket protocol, version 4: text frames of JSON, in three kinds.

    {"type": "req", "id", "method", "params"}
    {"type": "res", "id", "ok", "payload" and/or "error"}
    {"type": "event", "event", "payload", "seq"}

Every connection that may read gets the events of all runs, ten and more for each turn, in frames of
hundreds of bytes. Nearly all are thrown away after a look at their text: see `event_name`.
"""

from __future__ import annotations

from typing import Any

import msgspec

PROTOCOL = 4

#: How far into a frame the name of its event stands, at most.
_HEAD = 120
_RUN = '"runId":"'


class GatewayError(msgspec.Struct, frozen=True):
    """`error` of a response."""

    code: str = ""
    message: str = ""
    details: Any = None
    retryable: bool = False

    @property
    def reason(self) -> str:
        """The machine-readable word in its details, if any."""
        if not isinstance(self.details, dict):
            return ""
        return str(self.details.get("code") or self.details.get("reason") or "")


class Frame(msgspec.Struct):
    """Any frame. `payload` is decoded by whoever knows what it is."""

    type: str = ""
    id: str = ""
    ok: bool = False
    event: str = ""
    payload: msgspec.Raw = msgspec.Raw(b"null")
    error: GatewayError | None = None


class Word(msgspec.Struct):
    """What the assistant has said so far."""

    text: str = ""


class _AgentEvent(msgspec.Struct):
    data: Word = msgspec.field(default_factory=Word)


class _WordFrame(msgspec.Struct):
    payload: _AgentEvent = msgspec.field(default_factory=_AgentEvent)


frame_decoder = msgspec.json.Decoder(Frame)
_word_decoder = msgspec.json.Decoder(_WordFrame)
_encoder = msgspec.json.Encoder()


def event_name(text: str) -> str | None:
    """The name of the event that a frame carries; None for one that is no event (or hides it)."""
    head = text[:_HEAD]
    if '"type":"event"' not in head:
        return None
    at = head.find('"event":"')
    return head[at + 9 : head.find('"', at + 9)] if at > 0 else None


def run_of(text: str) -> str:
    """The run that an event's frame speaks of; "" when it names none."""
    at = text.find(_RUN)
    if at < 0:
        return ""
    begin = at + len(_RUN)
    return text[begin : text.find('"', begin)]


def is_word(text: str) -> bool:
    """Whether an "agent" event carries what the assistant has said so far."""
    return '"stream":"assistant"' in text


def request(request_id: str, method: str, params: dict[str, Any]) -> str:
    """A request as it goes over the wire."""
    frame = {"type": "req", "id": request_id, "method": method, "params": params}
    return _encoder.encode(frame).decode()


def word_of(text: str) -> str:
    """What the assistant has said so far, of a frame that `is_word`."""
    return _word_decoder.decode(text).payload.data.text


def payload_of(frame: Frame) -> Any:
    """What a frame carries, decoded."""
    return msgspec.json.decode(frame.payload)


class _Cost(msgspec.Struct):
    total: float = 0.0


class Counted(msgspec.Struct):
    """Tokens of a turn, or of one call of the model."""

    input: int = 0
    output: int = 0
    cacheRead: int = 0  # noqa: N815 - the protocol's word
    cacheWrite: int = 0  # noqa: N815
    cost: _Cost | None = None


class _Said(msgspec.Struct):
    text: str | None = None
    mediaUrl: str | None = None  # noqa: N815


class AgentMeta(msgspec.Struct):
    """Who answered, and what it took."""

    provider: str = ""
    model: str = ""
    usage: Counted | None = None


class _Meta(msgspec.Struct):
    agentMeta: AgentMeta = msgspec.field(default_factory=AgentMeta)  # noqa: N815


class _Result(msgspec.Struct):
    payloads: list[_Said] = []
    meta: _Meta = msgspec.field(default_factory=_Meta)


class AgentAnswer(msgspec.Struct):
    """Payload of a response to `agent`. `status` is "accepted" or "in_flight", and in the last one
    "ok", "timeout" or "error"."""

    status: str = ""
    summary: str = ""
    stopReason: str = ""  # noqa: N815
    timeoutPhase: str = ""  # noqa: N815
    result: _Result | None = None


class _Reply(msgspec.Struct):
    text: str = ""


class WaitAnswer(msgspec.Struct):
    """Payload of a response to `agent.wait`. Without `endedAt` the run goes on, or is not known."""

    status: str = ""
    endedAt: int = 0  # noqa: N815
    stopReason: str = ""  # noqa: N815
    timeoutPhase: str = ""  # noqa: N815
    error: Any = None
    terminalReply: _Reply | None = None  # noqa: N815


answer_decoder = msgspec.json.Decoder(AgentAnswer | None)
wait_decoder = msgspec.json.Decoder(WaitAnswer)
