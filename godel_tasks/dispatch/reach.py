"""Reach: which endpoints this dispatcher cannot get to, and for how long.

The registry says who is alive, by heartbeats to Redis. That says nothing about the way from here to
there: it may be cut while the heartbeats go on.
"""

from __future__ import annotations

from typing import NamedTuple

from godel_tasks.clock import Clock


class _Down(NamedTuple):
    """`since` is monotonic; `stood`: there was a connection, and it broke."""

    since: float
    stood: bool


class Reach:
    """Fed by whoever opens connections and hears of them. A new connection has `patience_s` to
    come up before its endpoint counts as out of reach; one that broke does at once."""

    def __init__(self, clock: Clock, patience_s: float) -> None:
        self._clock = clock
        self._patience_s = patience_s
        self._down: dict[str, _Down] = {}

    def __repr__(self) -> str:
        out = [f"{name} for {self.down_s(name):.1f} s" for name in sorted(self.out())]
        return f"<Reach without {', '.join(out)}>" if out else "<Reach of all>"

    def opened(self, endpoint: str) -> None:
        """A connection is being made."""
        self._down[endpoint] = _Down(self._clock.monotonic(), stood=False)

    def stands(self, endpoint: str) -> None:
        self._down.pop(endpoint, None)

    def broke(self, endpoint: str) -> None:
        self._down[endpoint] = _Down(self._clock.monotonic(), stood=True)

    def forget(self, endpoint: str) -> None:
        """There is no connection any more, and none is wanted."""
        self._down.pop(endpoint, None)

    def down_s(self, endpoint: str) -> float:
        """Seconds since its connection broke or was begun; 0.0 while it stands."""
        down = self._down.get(endpoint)
        return self._clock.monotonic() - down.since if down else 0.0

    def out(self) -> frozenset[str]:
        """All endpoints that `lacks` is true of; mostly none."""
        return frozenset(name for name in self._down if self.lacks(name))

    def lacks(self, endpoint: str) -> bool:
        """Nothing is to be sent there now."""
        down = self._down.get(endpoint)
        return down is not None and (down.stood or self.down_s(endpoint) > self._patience_s)
