"""LeaseKeeper: the right to act. Renewed in every cell; without it nothing is delivered."""

from __future__ import annotations

from collections.abc import Callable

from godel_tasks.dispatch.config import CellStore, DispatchConfig, Ports
from godel_tasks.errors import StaleWriter, StoreUnavailable
from godel_tasks.store.leases import RenewReply

_PAUSE_S = 0.2


class LeaseKeeper:
    """Keeps one dispatcher's lease. `on_renewed` is told what each cell answered."""

    def __init__(
        self,
        ports: Ports,
        config: DispatchConfig,
        dispatcher: str,
        on_renewed: Callable[[CellStore, RenewReply], None],
    ) -> None:
        self._ports = ports
        self._config = config
        self._dispatcher = dispatcher
        self._on_renewed = on_renewed
        #: Monotonic time before which the last good renewal was asked for.
        self._renewed_at = float("-inf")
        self._clock_offset_ms = 0.0

    def fresh(self) -> bool:
        """Whether it may still deliver: a lease that was not renewed for `lease_safety_ms` may be
        over before a message arrives."""
        age_ms = (self._ports.clock.monotonic() - self._renewed_at) * 1000
        return age_ms < self._config.lease_safety_ms

    def redis_now_ms(self) -> float:
        """Redis's time, as far as the last renewal tells."""
        return self._ports.clock.monotonic() * 1000 + self._clock_offset_ms

    async def take(self) -> None:
        """The first renewal; waits until Redis answers."""
        while True:
            try:
                await self._renew()
            except StoreUnavailable:
                await self._ports.clock.sleep(_PAUSE_S)
            else:
                return

    async def run(self) -> None:
        """Renew until somebody reaps us.

        Raises:
            StaleWriter: the lease is over; everything held belongs to others now.
        """
        while True:
            await self._ports.clock.sleep(self._config.renew_every_ms / 1000)
            try:
                await self._renew()
            except StoreUnavailable:
                continue

    def _commands(self) -> list:  # type: ignore[type-arg]
        return [
            cell.leases.renew(dispatcher=self._dispatcher, lease_ms=self._config.lease_ms)
            for cell in self._ports.cells
        ]

    async def _renew(self) -> None:
        asked_at = self._ports.clock.monotonic()
        replies: list[RenewReply] = await self._ports.store.pipeline(self._commands())
        if any(reply.stale for reply in replies):
            raise StaleWriter(f"the lease of {self._dispatcher} is over: it was reaped")
        self._renewed_at = asked_at
        self._clock_offset_ms = replies[0].now_ms - asked_at * 1000
        for cell, reply in zip(self._ports.cells, replies, strict=True):
            self._on_renewed(cell, reply)
