"""Member: an instance of a pool, as the registry, its provider and what was written down see it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from godel_tasks.domain.instance import InstanceRecord
from godel_tasks.domain.pool import MadeInstance, ProvidedInstance


class MemberState(StrEnum):
    """What an instance of a pool is to whoever counts, scales or restarts it."""

    #: It is being made, and will be there soon.
    MAKING = "making"
    UP = "up"
    #: It is given nothing new: somebody drains it, or it drains itself.
    DRAINING = "draining"
    #: Registered once, and its lease is over; or made, and its provider says that it does not run.
    DEAD = "dead"
    #: An operator has stopped it.
    STOPPED = "stopped"
    #: It is being removed.
    LEAVING = "leaving"


@dataclass(frozen=True, slots=True)
class Member:
    """One instance of a pool. What does not know of it is None: `record` the registry's, `made`
    what the manager wrote down (so it was made here), `provided` its provider's, as far as that
    was asked. `slots_used` counts orphaned slots, too: what runs there, or may."""

    instance_id: str
    pool: str
    state: MemberState
    provider: str
    driver: str
    slots_used: int = 0
    record: InstanceRecord | None = None
    made: MadeInstance | None = None
    provided: ProvidedInstance | None = None

    @property
    def idle(self) -> bool:
        """Nothing runs on it, as far as slots say."""
        return self.slots_used == 0

    def counts(self, *, replace: bool) -> bool:
        """Whether it is one of the pool's number: it is there, will be there soon, or, in a pool
        that replaces its dead (`PoolConfig.replace`), another one will be in its place. The
        autoscaler counts these, so that it does not make what the replacement makes already."""
        if self.state is MemberState.MAKING:
            # The dead one, as long as it is there, stands for the one that takes its place.
            return not (replace and self.made is not None and self.made.instead_of)
        if self.state is MemberState.UP:
            return True
        return replace and self.state is MemberState.DEAD and self.made is not None
