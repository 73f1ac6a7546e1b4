"""The floor that a schedule sets at a moment. Pure."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

from godel_tasks.domain.scaling import ScheduleFloor

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
_TIME = re.compile(r"([01]\d|2[0-3]):([0-5]\d)")


def floor_at(schedule: Sequence[ScheduleFloor], at_ms: int) -> int:
    """The highest floor in force, 0 when none is."""
    return max((entry.floor for entry in schedule if _in_force(entry, at_ms)), default=0)


def _in_force(entry: ScheduleFloor, at_ms: int) -> bool:
    local = datetime.fromtimestamp(at_ms / 1000, UTC).astimezone(ZoneInfo(entry.timezone))
    days, start, end = days_of(entry.days), minute_of(entry.start), minute_of(entry.end)
    minute = local.hour * 60 + local.minute
    if start < end:
        return local.weekday() in days and start <= minute < end
    # Over midnight: the night belongs to the day on which it began.
    yesterday = (local - timedelta(days=1)).weekday()
    return (local.weekday() in days and minute >= start) or (yesterday in days and minute < end)


def days_of(text: str) -> frozenset[int]:
    """Numbers of weekdays, Monday is 0, of "mon-fri", "sat,sun" or "daily".

    Raises:
        ValueError: it is none of them.
    """
    if text == "daily":
        return frozenset(range(7))
    found: set[int] = set()
    for part in text.split(","):
        first, dash, last = part.strip().partition("-")
        start = WEEKDAYS.index(first)
        end = WEEKDAYS.index(last) if dash else start
        found.update((start + i) % 7 for i in range((end - start) % 7 + 1))
    return frozenset(found)


def minute_of(text: str) -> int:
    """Minutes since midnight of "HH:MM".

    Raises:
        ValueError: it is not.
    """
    match = _TIME.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not HH:MM")
    return int(match.group(1)) * 60 + int(match.group(2))
