"""`gateway.restart.request`."""

from __future__ import annotations

from godel_tasks.testing.fake_gateway.boot import Boot
from godel_tasks.testing.fake_gateway.methods.method import LATER, Method
from godel_tasks.testing.fake_gateway.params import names
from godel_tasks.testing.fake_gateway.peer import ADMIN, Peer
from godel_tasks.testing.fake_gateway.wire import Request, response


def restart_request(boot: Boot, peer: Peer, request: Request) -> object:
    """It lets what runs come to its end, and starts anew."""
    busy = len(boot.work.live)
    answer = {
        "ok": True,
        "status": "deferred" if busy else "scheduled",
        "preflight": {"safe": not busy, "counts": {"activeRuns": busy}, "blockers": []},
    }
    peer.send(response(request.id, answer))
    boot.on_restart()
    return LATER


METHODS = {"gateway.restart.request": Method(restart_request, ADMIN, names("reason"))}
