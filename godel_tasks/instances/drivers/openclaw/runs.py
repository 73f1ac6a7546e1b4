"""RunBook: what one connection knows of the attempts that it delivered. No I/O.

The gateway itself tells repeats apart by their keys while a run goes on, and for some minutes after
it; the book spares it most of them, and remembers what was acknowledged.
"""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from collections.abc import Iterable

from godel_tasks.domain.attempt import Completion, Delivery, End
from godel_tasks.instances.attempts import KEEP_COMPLETIONS, RecentKeys, Refusal, rejected

#: How many acknowledged keys are remembered, at least.
KEEP_FORGOTTEN = 10_000


class Run:
    """One attempt that is under way. `began` is monotonic."""

    __slots__ = (
        "accepted",
        "began",
        "delivery",
        "progress_at",
        "session_key",
        "stopping",
        "timer",
    )

    def __init__(self, delivery: Delivery, began: float) -> None:
        self.delivery = delivery
        self.began = began
        self.session_key = ""
        #: The gateway said that it took it.
        self.accepted = False
        #: Why it was asked to stop; the first reason stays.
        self.stopping: End | None = None
        self.timer: asyncio.TimerHandle | None = None
        #: When its words were passed on last.
        self.progress_at = 0.0

    @property
    def key(self) -> str:
        return self.delivery.key

    def __repr__(self) -> str:
        state = self.stopping.value if self.stopping else "accepted" if self.accepted else "sent"
        return f"<Run {self.key} {state}>"


class RunBook:
    """Of one boot of one gateway; `clear` for another one."""

    def __init__(self, instance_id: str) -> None:
        self._instance_id = instance_id
        self.running: dict[str, Run] = {}
        self._ended: OrderedDict[str, Completion] = OrderedDict()
        self._forgotten = RecentKeys(KEEP_FORGOTTEN)
        #: Attempts that ended, of all boots.
        self.completed = 0
        self.failed = 0

    def offer(self, delivery: Delivery, now: float) -> Run | Completion | None:
        """Decide on a delivery: begin this, send this back, or nothing: it is under way."""
        key = delivery.key
        if key in self.running:
            return None
        if key in self._ended:
            return self._ended[key]
        if delivery.instance_id != self._instance_id:
            message = f"this is {self._instance_id!r}, not {delivery.instance_id!r}"
            return rejected(delivery, Refusal.UNKNOWN_INSTANCE, message)
        if key in self._forgotten:
            message = "this attempt has ended; its completion is not kept any more"
            return rejected(delivery, Refusal.FORGOTTEN, message, End.LOST)
        run = self.running[key] = Run(delivery, now)
        return run

    def end(self, run: Run, completion: Completion) -> bool:
        """It has ended; False when that is known already. What did not begin is not kept: it may be
        sent again."""
        if self.running.get(run.key) is not run:
            return False
        del self.running[run.key]
        if run.timer is not None:
            run.timer.cancel()
        if completion.end is not End.REJECTED:
            if completion.end is End.OK:
                self.completed += 1
            else:
                self.failed += 1
            self._ended[run.key] = completion
            if len(self._ended) > KEEP_COMPLETIONS:
                self._ended.popitem(last=False)
        return True

    def ended(self, key: str) -> Completion | None:
        return self._ended.get(key)

    def acknowledge(self, keys: Iterable[str]) -> None:
        for key in keys:
            if self._ended.pop(key, None) is not None:
                self._forgotten.add(key)

    def detach(self) -> None:
        """The connection broke: whoever delivered what runs delivers it again."""
        for run in self.running.values():
            if run.timer is not None:
                run.timer.cancel()
        self.running.clear()

    def clear(self) -> None:
        """Another boot knows nothing of all this."""
        self.detach()
        self._ended.clear()
        self._forgotten = RecentKeys(KEEP_FORGOTTEN)
