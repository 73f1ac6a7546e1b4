"""Boot: one life of the gateway's process, and all that a crash forgets."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable
from uuid import uuid4

from godel_tasks.testing.fake_gateway.habits import Habits
from godel_tasks.testing.fake_gateway.peer import Peer
from godel_tasks.testing.fake_gateway.runs import Run, Tasks
from godel_tasks.testing.fake_gateway.sessions import Session, Sessions
from godel_tasks.testing.fake_gateway.wire import event, now_ms
from godel_tasks.testing.fake_gateway.work import Work

_RESUMED = (
    "[System] Your previous turn was interrupted by a gateway restart. Continue from the existing"
    " transcript.\n\n"
)


class Kept:
    """What is on the disk, and what tests count."""

    def __init__(self, habits: Habits) -> None:
        self.habits = habits
        self.sessions = Sessions()
        self.tasks = Tasks()
        self.starts: list[str] = []
        self.calls: Counter[str] = Counter()
        #: Sessions whose turn was interrupted, with its message.
        self.interrupted: list[tuple[Session, str]] = []
        self.resumed = 0


class Boot:
    """`draining` takes nothing any more, `starting` nothing yet."""

    def __init__(
        self, kept: Kept, on_restart: Callable[[], None], *, starting: bool = False
    ) -> None:
        self.kept = kept
        self.on_restart = on_restart
        self.boot_id = str(uuid4())
        self.began = time.monotonic()
        self.peers: set[Peer] = set()
        self.work = Work(kept.habits, kept.tasks, self.peers, kept.starts, kept.calls)
        self.starting = starting
        self.draining = False

    def __repr__(self) -> str:
        state = "starting" if self.starting else "draining" if self.draining else "accepting"
        return f"<Boot {self.boot_id[:8]} {state}, {len(self.peers)} peers, {self.work!r}>"

    @property
    def up_ms(self) -> int:
        return round((time.monotonic() - self.began) * 1000)

    def tell_all(self, name: str, payload: object) -> None:
        text = event(name, payload)
        for peer in self.peers:
            peer.tell(text)

    def tick(self) -> None:
        self.tell_all("tick", {"ts": now_ms()})

    def process_exited(self) -> None:
        """Killed: what ran is interrupted, what waited is forgotten."""
        self.work.process_exited()
        for session in {run.session.key: run.session for run in self.work.live.values()}.values():
            message = session.process_exited()
            if message is not None:
                self.kept.interrupted.append((session, message))
        self.peers.clear()

    def resume(self) -> None:
        """Go on with what was interrupted, under run ids that nobody knows."""
        interrupted, self.kept.interrupted = self.kept.interrupted, []
        for session, message in interrupted:
            self.kept.resumed += 1
            text = message if message.startswith(_RESUMED) else _RESUMED + message
            self.work.take(Run(str(uuid4()), session, text))
