"""What both sides are given. Values only."""

from __future__ import annotations

from dataclasses import dataclass

#: Tasks that tenant A dumps.
DEFAULT_TASKS = 20_000
#: With fewer, a worker that is killed would hold nothing.
LEAST_TASKS = 100
#: Names of the tenants: one dumps, one sends now and then.
DUMPER, SENDER = "a", "b"

#: Processes that run handlers, on either side, and tasks that each runs at once.
WORKERS = 2
SLOTS_EACH = 8
SLOTS = WORKERS * SLOTS_EACH

#: Seconds in which tenant B sends, of the default run and of the shortest.
PHASE_S = 60.0
LEAST_PHASE_S = 3.0
#: Seconds between two tasks of tenant B.
SEND_EVERY_S = 1.0
#: Seconds of CPU that the handler takes, about.
WORK_S = 0.0023
#: The slots alone need this many times the phase for A's tasks: both sides are busy throughout.
LOAD = 1.05
#: Shares of the phase: when the kill comes, and when a side that is not done has to end.
KILL_AT = 0.4
CAP_AT = 3.0


@dataclass(frozen=True, slots=True)
class VersusPlan:
    """`tasks` are tenant A's. All times are seconds; the phase shrinks with the tasks, and the
    handler's pause fills it."""

    tasks: int = DEFAULT_TASKS

    @property
    def phase_s(self) -> float:
        return min(PHASE_S, max(LEAST_PHASE_S, PHASE_S * self.tasks / DEFAULT_TASKS))

    @property
    def pause_s(self) -> float:
        """How long the handler waits, as for a model, beside its work."""
        return round(max(0.0, LOAD * SLOTS * self.phase_s / self.tasks - WORK_S), 4)

    @property
    def sends(self) -> int:
        """Tasks of tenant B."""
        return int(self.phase_s / SEND_EVERY_S)

    @property
    def kill_at_s(self) -> float:
        return KILL_AT * self.phase_s

    @property
    def cap_s(self) -> float:
        return CAP_AT * self.phase_s
