"""What the gateway says of parameters that do not fit. No I/O."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from godel_tasks.testing.fake_gateway.wire import invalid


def names(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


def check(
    method: str, params: dict[str, Any], known: Collection[str], required: Iterable[str] = ()
) -> None:
    """Raises: Refused: one is missing, or unknown."""
    for name in required:
        if name not in params:
            raise invalid(f"invalid {method} params: must have required property '{name}'")
    for name in params:
        if name not in known:
            raise invalid(f"invalid {method} params: at root: unexpected property '{name}'")


def text(method: str, params: dict[str, Any], name: str) -> str:
    """Raises: Refused: it is no text, or empty."""
    value = params.get(name)
    if not isinstance(value, str):
        raise invalid(f"invalid {method} params: at /{name}: must be string")
    if not value:
        raise invalid(f"invalid {method} params: at /{name}: must not have fewer than 1 characters")
    return value


def number(method: str, params: dict[str, Any], name: str, default: int, most: int) -> int:
    """Raises: Refused: it is no whole number, or not from 0 to `most`."""
    value = params.get(name, default)
    if not isinstance(value, int) or isinstance(value, bool):
        raise invalid(f"invalid {method} params: at /{name}: must be integer")
    if not 0 <= value <= most:
        raise invalid(f"invalid {method} params: at /{name}: must be <= {most}")
    return value
