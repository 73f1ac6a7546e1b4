"""Values as people write them: times, capabilities, names with values."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import typer

#: `gpu=yes`, `memory_gb>=16`, `model in a,b`, `agent version >=1.2,<2`; longer operators first.
_CAPABILITY = re.compile(
    r"\s*([A-Za-z0-9][\w.@-]*?)\s*(>=|<=|!=|=|>|<|\s(?:in|version)\s)\s*(.*?)\s*"
)


def time_of(text: str) -> float | datetime | None:
    """Seconds from now (`90`), or a moment (`2026-05-01T12:00:00Z`; without a zone it is UTC).

    Raises:
        BadParameter: neither.
    """
    if not text:
        return None
    try:
        return float(text)
    except ValueError:
        pass
    try:
        return datetime.fromisoformat(text)
    except ValueError:
        raise typer.BadParameter(
            f"{text!r} is neither a number of seconds from now nor a time like "
            "2026-05-01T12:00:00Z."
        ) from None


def capabilities_of(conditions: Sequence[str], *, option: str) -> dict[str, Any]:
    """Conditions as `TaskRequest.capabilities` takes them.

    Raises:
        BadParameter: no condition.
    """
    found: dict[str, dict[str, Any]] = {}
    for condition in conditions:
        match = _CAPABILITY.fullmatch(condition)
        if match is None:
            raise typer.BadParameter(
                f"{condition!r} is no condition. Write name=value, name!=value, name>=number, "
                "'name in a,b' or 'name version >=1.2,<2'.",
                param_hint=option,
            )
        name, operator, bound = match.group(1), match.group(2).strip(), match.group(3)
        found.setdefault(name, {})[operator] = (
            [word.strip() for word in bound.split(",")] if operator == "in" else bound
        )
    return found


def pairs_of(pairs: Sequence[str], *, option: str) -> dict[str, str]:
    """`name=value`, each.

    Raises:
        BadParameter: a pair is none.
    """
    found = {}
    for pair in pairs:
        name, equals, value = pair.partition("=")
        if not (name and equals):
            raise typer.BadParameter(f"{pair!r} is not name=value.", param_hint=option)
        found[name] = value
    return found


def priority_of(text: str) -> str | int:
    """A level's name, or Celery's 0-9 as a number."""
    return int(text) if text.lstrip("-").isdigit() else text
