"""Probes: asks instances how they are, over connections that are kept from probe to probe."""

from __future__ import annotations

import asyncio
import logging
from collections import OrderedDict
from collections.abc import Callable, Mapping
from dataclasses import dataclass

from godel_tasks.domain.instance import Health, HealthStatus, InstanceRecord, WorkProbe
from godel_tasks.instances.instance import Driver, Instance

log = logging.getLogger(__name__)

#: Connections that are kept; the one that was not used for longest goes first.
KEPT = 256
#: Instances that are asked at once.
AT_ONCE = 100


@dataclass(frozen=True, slots=True)
class _Outcome:
    answered: bool
    at: float


class OwnReach:
    """Whether it is us: when more than a share of what this worker asked lately did not answer,
    though all of it sends heartbeats, its own way to the fleet is broken. Per worker, as that is
    what it is about. `share` and `least` as in policy/massloss.py."""

    def __init__(self, share: float, *, least: int = 3, within_s: float = 15.0) -> None:
        self._share = share
        self._least = least
        self._within_s = within_s
        self._outcomes: dict[str, _Outcome] = {}
        self._doubted = False

    def note(self, answers: Mapping[str, bool], at: float) -> bool:
        """What was asked just now, at a monotonic time; whether failures are to be believed."""
        self._outcomes.update({name: _Outcome(ok, at) for name, ok in answers.items()})
        old = [n for n, seen in self._outcomes.items() if at - seen.at > self._within_s]
        for name in old:
            del self._outcomes[name]
        failed = sum(not seen.answered for seen in self._outcomes.values())
        known = len(self._outcomes)
        doubted = failed >= self._least and failed > self._share * known
        if doubted != self._doubted:
            self._doubted = doubted
            if doubted:
                log.warning(
                    "%d of %d instances that send heartbeats did not answer: this worker's way to"
                    " them is suspected, and what it cannot reach is not judged",
                    failed, known,
                )  # fmt: skip
            else:
                log.warning("this worker reaches most instances again")
        return not doubted


class Probes:
    """Never asks the same instance twice at once: whoever took it from the registry asks."""

    def __init__(self, driver_named: Callable[[str], Driver], timeout_s: float) -> None:
        self._driver_named = driver_named
        self._timeout_s = timeout_s
        self._drivers: dict[str, Driver] = {}
        self._views: OrderedDict[tuple[str, int], Instance] = OrderedDict()
        self._room = asyncio.Semaphore(AT_ONCE)

    async def health(self, record: InstanceRecord) -> HealthStatus:
        """Never raises: one that does not answer in time is unhealthy.

        Raises:
            UnknownDriver: no driver of that name.
        """
        async with self._room:
            view = self._take(record)
            try:
                async with asyncio.timeout(self._timeout_s):
                    return await view.health_check()
            except TimeoutError:
                why = f"it did not answer within {self._timeout_s:g} s"
                return HealthStatus(Health.UNHEALTHY, self._timeout_s * 1000, why)
            finally:
                await self._put_back(record, view)

    async def work(self, record: InstanceRecord) -> WorkProbe | None:
        """None when it cannot say, or not in time.

        Raises:
            InstanceUnavailable: it cannot be reached.
        """
        async with self._room:
            view = self._take(record)
            try:
                async with asyncio.timeout(2 * self._timeout_s):
                    return await view.work_probe(self._timeout_s)
            except TimeoutError:
                return None
            finally:
                await self._put_back(record, view)

    async def close(self) -> None:
        while self._views:
            _, view = self._views.popitem()
            await view.aclose()

    def _take(self, record: InstanceRecord) -> Instance:
        view = self._views.pop((record.instance_id, record.generation), None)
        if view is not None:
            return view
        name = record.config.driver
        if name not in self._drivers:
            self._drivers[name] = self._driver_named(name)
        return self._drivers[name].instance(record.config)

    async def _put_back(self, record: InstanceRecord, view: Instance) -> None:
        self._views[record.instance_id, record.generation] = view
        while len(self._views) > KEPT:
            _, old = self._views.popitem(last=False)
            await old.aclose()
