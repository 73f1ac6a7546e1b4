"""BreakerCommands: circuit breakers in Redis, moved by scripts on Redis's time.

Breakers go by name: `instance:<id>`, `provider:<name>`, `provider:<name>/<model>`, and whatever
else somebody calls his own.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from godel_tasks.domain.breaker import BreakerConfig, BreakerSnapshot, BreakerState
from godel_tasks.store.command import Command, call, plain, text
from godel_tasks.store.keys import REGISTRY_BREAKERS, breaker_key


@dataclass(frozen=True, slots=True)
class BreakerReply:
    """What a breaker was and is now; `granted` is for `acquire`: how many calls may begin."""

    before: BreakerState
    snapshot: BreakerSnapshot
    granted: int = 0

    @property
    def moved(self) -> bool:
        """Whether this very call moved it; one caller hears so of each move."""
        return self.before is not self.snapshot.state


def snapshot_of(name: str, reply: Sequence[Any]) -> BreakerSnapshot:
    """What the scripts tell of a breaker."""
    rest: list[Any] = [*map(int, reply[1:13]), text(reply[13])]
    return BreakerSnapshot(name, BreakerState(text(reply[0])), *rest)


def _reply(name: str, reply: Sequence[Any]) -> BreakerReply:
    return BreakerReply(BreakerState(text(reply[0])), snapshot_of(name, reply[1]))


def _ms(seconds: float) -> int:
    return max(1, round(seconds * 1000))


class BreakerCommands:
    """Commands about breakers. `now_ms` as for `CellCommands`."""

    def __init__(self, now_ms: Callable[[], int] = lambda: 0) -> None:
        self.now_ms = now_ms

    def report(
        self,
        name: str,
        *,
        config: BreakerConfig,
        reporter: str,
        outcomes: str = "",
        probes: Mapping[str, str] | None = None,
        live: int = 0,
    ) -> Command[BreakerReply]:
        """How calls ended: letters of `CallOutcome` in `outcomes`, those of probes by their permit.

        `live` is how many reporters there are at all; 0: as many as told something within the
        window. A repeat counts twice, but a probe once.
        """
        flat = [part for pair in (probes or {}).items() for part in pair]
        return call(
            "breaker_report",
            keys=[breaker_key(name)],
            args=[
                self.now_ms(),
                reporter,
                live,
                config.quorum,
                _ms(config.window_s),
                config.window_calls,
                config.min_calls,
                config.failure_rate,
                config.slow_call_rate,
                _ms(config.open_s),
                config.open_factor,
                _ms(config.max_open_s),
                config.half_open_permits,
                _ms(config.permit_lease_s),
                config.success_threshold,
                outcomes,
                *flat,
            ],
            decode=lambda reply: _reply(name, reply),
        )

    def acquire(self, name: str, *, permits: Sequence[str]) -> Command[BreakerReply]:
        """May calls of these names begin? The first `granted` ones may; `report` each by its name,
        or its permit is held until its lease is over. May be repeated."""
        return call(
            "breaker_acquire",
            keys=[breaker_key(name)],
            args=[self.now_ms(), *permits],
            decode=lambda reply: BreakerReply(
                BreakerState(text(reply[1])), snapshot_of(name, reply[2]), int(reply[0])
            ),
        )

    def force(self, name: str, *, state: BreakerState | None, who: str) -> Command[BreakerReply]:
        """Hold it open or closed whatever is reported; None lifts that."""
        return call(
            "breaker_force",
            keys=[breaker_key(name)],
            args=[self.now_ms(), "auto" if state is None else state.value, who],
            decode=lambda reply: _reply(name, reply),
        )

    def read(self, name: str) -> Command[BreakerSnapshot]:
        """As it stands; one that nobody ever used is closed."""
        return call(
            "breaker_read",
            keys=[breaker_key(name)],
            args=[self.now_ms()],
            decode=lambda reply: snapshot_of(name, reply),
        )

    def exists(self, name: str) -> Command[bool]:
        """Whether anything is known of it."""
        return plain("EXISTS", breaker_key(name), decode=lambda reply: int(reply) == 1)

    def enlist(self, *names: str) -> Command[int]:
        """Let breakers that are no instance's be found by whoever lists them."""
        return plain("SADD", REGISTRY_BREAKERS, *names, decode=int)

    def strike(self, *names: str) -> Command[int]:
        """Take them off the list."""
        return plain("SREM", REGISTRY_BREAKERS, *names, decode=int)

    def names(self) -> Command[tuple[str, ...]]:
        """Breakers that are no instance's; some may be gone by now."""
        return plain(
            "SMEMBERS", REGISTRY_BREAKERS, decode=lambda reply: tuple(sorted(map(text, reply)))
        )
