"""BreakerView: the breakers of the fleet and of what stands behind it, as a dispatcher knows them.

Closed ones cost nothing: they are looked at with their instance. What is not closed is read at
every look. What is known may be a look old: reserve and `admit` ask the truth.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

from godel_tasks.dispatch.config import Ports
from godel_tasks.domain.breaker import (
    INSTANCE_BREAKER,
    BreakerSnapshot,
    BreakerState,
    first_refusal,
)
from godel_tasks.store.breakers import BreakerCommands


class BreakerView:
    """`on_open(instance_id)` hears of instances that get nothing from now on."""

    def __init__(self, ports: Ports) -> None:
        self._ports = ports
        self.commands = BreakerCommands(ports.registry.now_ms)
        #: Those that are not closed, by name.
        self.unwell: dict[str, BreakerSnapshot] = {}
        self.on_open: Callable[[str], None] = lambda _instance_id: None

    def of(self, name: str) -> BreakerSnapshot:
        return self.unwell.get(name) or BreakerSnapshot(name)

    def refusal(self, names: Iterable[str]) -> str:
        """Why the first of these breakers lets nothing new through; "" when all of them do."""
        return first_refusal(names, self.unwell)

    async def look(self, names: Iterable[str], known: Mapping[str, object]) -> None:
        """Read these, and those that are not closed and are still `known`.

        Raises:
            StoreUnavailable: nothing was learned.
        """
        for name in [name for name in self.unwell if name not in known]:
            del self.unwell[name]
        wanted = list(dict.fromkeys([*names, *self.unwell]))
        if not wanted:
            return
        commands = [self.commands.read(name) for name in wanted]
        for snapshot in await self._ports.store.pipeline(commands):
            self.learn(snapshot)

    def learn(self, snapshot: BreakerSnapshot) -> None:
        """What somebody read of one."""
        name, before = snapshot.name, self.of(snapshot.name).state
        if snapshot.state is BreakerState.CLOSED:
            self.unwell.pop(name, None)
        else:
            self.unwell[name] = snapshot
        opened = snapshot.state.refuses and not before.refuses
        if opened and name.startswith(INSTANCE_BREAKER):
            self.on_open(name.removeprefix(INSTANCE_BREAKER))

    def told(self, name: str, state: str) -> None:
        """What reserve found; the rest is read at the next look. "": it did not look."""
        if state and state != self.of(name).state:
            self.learn(replace(self.of(name), state=BreakerState(state), permits_left=1))
