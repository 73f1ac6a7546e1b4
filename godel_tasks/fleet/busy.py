"""Being at an instance: what is written down says so, and everybody else leaves it alone."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace

from godel_tasks.clock import Clock
from godel_tasks.domain.pool import MadeInstance
from godel_tasks.errors import StaleWriter, StoreUnavailable
from godel_tasks.fleet.records import FleetRecords
from godel_tasks.store.pools import Stored

#: How long it is left alone after whoever is at it was last seen, and how often that says that it
#: lives.
BUSY_MS = 30_000
BUSY_EVERY_S = 5.0


class Busy:
    """What is written down about one instance, kept from being overdue. `stored` is the newest."""

    def __init__(self, records: FleetRecords, stored: Stored[MadeInstance]) -> None:
        self._records = records
        self.stored = stored
        self._maybe: Stored[MadeInstance] | None = None
        #: Held while it writes: whoever ends the renewing has to know what was written last.
        self.writing = asyncio.Lock()

    async def renew(self) -> None:
        """Raises: StaleWriter when somebody else has changed it."""
        async with self.writing:
            until_ms = await self._records.now_ms() + BUSY_MS
            made = replace(self.stored.value, until_ms=until_ms)
            try:
                self.stored = await self._records.write(made, before=self.stored.raw)
            except StoreUnavailable:
                self._maybe = Stored.of(made)  # it may have been written all the same
                raise
            except StaleWriter:
                if self._maybe is None:
                    raise
                self.stored = await self._records.write(made, before=self._maybe.raw)
            self._maybe = None

    async def renew_forever(self, clock: Clock) -> None:
        """Until cancelled; a store that does not answer is asked again."""
        while True:
            await clock.sleep(BUSY_EVERY_S)
            with contextlib.suppress(StoreUnavailable):
                await self.renew()


@asynccontextmanager
async def at_work(
    records: FleetRecords, stored: Stored[MadeInstance], clock: Clock
) -> AsyncIterator[Busy]:
    """While inside, everybody else leaves it alone.

    Raises:
        StaleWriter: somebody else has changed it meanwhile.
    """
    busy = Busy(records, stored)
    await busy.renew()
    renewing = asyncio.get_running_loop().create_task(busy.renew_forever(clock))
    try:
        yield busy
    finally:
        async with busy.writing:
            renewing.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await renewing
