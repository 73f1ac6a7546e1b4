"""What to run, and how long it waits to run again."""

from __future__ import annotations

import random
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

#: Takes a line of output: the name of the process, and the line without its end.
Sink = Callable[[str, str], None]


def discard(_name: str, _line: str) -> None:
    """The sink that keeps nothing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessSpec:
    """One process to keep running.

    `env` is added to the environment of this process. Neighbours of one `role` (default: the name)
    are stopped together. TERM comes first, KILL `stop_timeout_s` later. `ready` is called in a
    thread, again and again, until it is true; without it a process is ready once it runs. With
    `restart=False` an end is the end.
    """

    name: str
    command: tuple[str, ...]
    env: Mapping[str, str] = field(default_factory=dict)
    cwd: Path | None = None
    role: str = ""
    stop_timeout_s: float = 10.0
    ready: Callable[[], bool] | None = None
    restart: bool = True

    @property
    def stage(self) -> str:
        """What it is stopped together with."""
        return self.role or self.name


class RestartDelays:
    """Seconds to wait before each restart: doubling, jittered, and short again after a good run.

    The jitter (half to all of the delay) keeps processes that fell together from coming back
    together.
    """

    def __init__(
        self,
        *,
        base_s: float = 0.2,
        max_s: float = 30.0,
        good_run_s: float = 30.0,
        rng: random.Random | None = None,
    ) -> None:
        self._base_s = base_s
        self._max_s = max_s
        self._good_run_s = good_run_s
        self._rng = rng or random.Random()
        self._failures = 0

    def after(self, ran_s: float) -> float:
        """The delay after a run of that many seconds."""
        self._failures = 0 if ran_s >= self._good_run_s else self._failures
        full_s = min(self._max_s, self._base_s * 2.0 ** min(self._failures, 30))
        self._failures += 1
        return full_s * self._rng.uniform(0.5, 1.0)
