"""FleetEventCommands: the registry's stream, for whoever follows it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from godel_tasks.domain.instance import HealthEvent
from godel_tasks.store.command import Command, plain, text
from godel_tasks.store.keys import REGISTRY_EVENTS


class FleetEventCommands:
    """Commands about the stream of the registry's events."""

    def newest(self) -> Command[str]:
        """Id of the newest event; "0-0" when there is none."""
        return plain(
            "XREVRANGE", REGISTRY_EVENTS, "+", "-", "COUNT", 1,
            decode=lambda rows: text(rows[0][0]) if rows else "0-0",
        )  # fmt: skip

    def after(self, event_id: str, *, wait_ms: int, limit: int = 500) -> Command[list[HealthEvent]]:
        """Events that came after that one; waits for the first, and is empty when none comes."""
        return plain(
            *("XREAD", "COUNT", limit, "BLOCK", wait_ms, "STREAMS", REGISTRY_EVENTS, event_id),
            decode=_events,
        )


def _events(reply: Any) -> list[HealthEvent]:
    if not reply:
        return []
    # One stream, as a pair (name, entries); RESP3 has a dict of lists.
    streams: Sequence[Any] = list(reply.items()) if isinstance(reply, dict) else reply
    (_, entries), *_ = streams
    return [_event(text(event_id), fields) for event_id, fields in entries]


def _event(event_id: str, raw: dict[bytes, bytes]) -> HealthEvent:
    fields = {text(name): text(value) for name, value in raw.items()}
    generation = fields.get("generation", "")
    return HealthEvent(
        fields.get("event", ""),
        fields.get("instance", ""),
        int(generation) if generation else 0,
        fields.get("reason", ""),
        int(event_id.partition("-")[0]),
        event_id,
    )
