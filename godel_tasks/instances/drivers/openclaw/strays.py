"""Strays: runs that a gateway took up by itself when it started anew after a crash.

It does so a few seconds after its start, one session after the other, under run ids of its own, and
again (three times in all) when the first try failed. So they are aborted until nothing of ours is
active and nothing waits to be resumed. Tried on OpenClaw 2026.9.6: 3 to 9 seconds.
"""

from __future__ import annotations

from typing import Any

from godel_tasks.clock import Clock
from godel_tasks.errors import InstanceUnavailable
from godel_tasks.instances.drivers.openclaw.gateway import CallFailed, Gateway
from godel_tasks.instances.drivers.openclaw.turns import MARK, is_ours

#: Seconds between two looks, and how long nothing must be there before it is believed.
LOOK_EVERY_S = 0.3
QUIET_S = 1.5
#: How long a session may say that it is about to be resumed, and nothing happens.
PENDING_S = 30.0
#: How long the gateway has to come to rest.
PATIENCE_S = 90.0
#: Sessions that were not touched for so long are not resumed.
ACTIVE_MINUTES = 1440
_PAGE = 200


async def abort_strays(gateway: Gateway, clock: Clock) -> int:
    """Abort them all; how many there were.

    Raises:
        InstanceUnavailable: it went away, or did not come to rest.
    """
    began = moved_at = clock.monotonic()
    aborted: set[str] = set()
    unsettled: list[dict[str, Any]] = []
    while True:
        before, unsettled = unsettled, [s for s in await _sessions(gateway) if _unsettled(s)]
        now = clock.monotonic()
        if len(unsettled) != len(before) or any(s.get("hasActiveRun") for s in unsettled):
            moved_at = now
        patience_s = PENDING_S if unsettled else QUIET_S if aborted else 0.0
        if now - moved_at >= patience_s:
            return len(aborted)
        if now - began > PATIENCE_S:
            names = ", ".join(str(s["key"]) for s in unsettled[:3])
            raise InstanceUnavailable(
                f"{gateway.endpoint} goes on with work that it resumed by itself: {names}",
                hint="stop the gateway, or those sessions, by hand",
            )
        for session in unsettled:
            if session.get("hasActiveRun"):
                aborted |= await _abort(gateway, str(session["key"]))
        await clock.sleep(LOOK_EVERY_S)


def _unsettled(session: dict[str, Any]) -> bool:
    """It runs, or says that it does: then it is about to be resumed."""
    return bool(session.get("hasActiveRun")) or session.get("status") == "running"


async def _sessions(gateway: Gateway) -> list[dict[str, Any]]:
    """Those of ours that were touched of late."""
    found: list[dict[str, Any]] = []
    offset = 0
    while True:
        page = await gateway.call(
            "sessions.list",
            {
                "search": f"{MARK}:",
                "limit": _PAGE,
                "offset": offset,
                "activeMinutes": ACTIVE_MINUTES,
            },
        )
        sessions = page.get("sessions") or []
        found += [s for s in sessions if is_ours(str(s.get("key", "")))]
        offset += len(sessions)
        if not page.get("hasMore") or not sessions:
            return found


async def _abort(gateway: Gateway, session_key: str) -> set[str]:
    try:
        answer = await gateway.call("chat.abort", {"sessionKey": session_key})
    except CallFailed:
        return set()  # it ended just now; looked at again
    return {str(run_id) for run_id in answer.get("runIds") or ()}
