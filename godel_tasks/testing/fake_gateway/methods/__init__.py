"""The gateway's methods: what each needs, and what it answers."""

from __future__ import annotations

from godel_tasks.testing.fake_gateway.boot import Boot
from godel_tasks.testing.fake_gateway.methods import about, restart, sessions, tasks, turns
from godel_tasks.testing.fake_gateway.methods.method import LATER, Method
from godel_tasks.testing.fake_gateway.params import check
from godel_tasks.testing.fake_gateway.peer import Peer
from godel_tasks.testing.fake_gateway.wire import Refused, Request, failure, invalid, response

METHODS: dict[str, Method] = {
    **about.METHODS,
    **turns.METHODS,
    **tasks.METHODS,
    **sessions.METHODS,
    **restart.METHODS,
}


def take(boot: Boot, peer: Peer, request: Request) -> None:
    """Answer a request, or see to it that it is answered."""
    try:
        answer = _answer(boot, peer, request)
    except Refused as refused:
        peer.send(failure(request.id, refused))
        return
    if answer is not LATER:
        peer.send(response(request.id, answer))


def _answer(boot: Boot, peer: Peer, request: Request) -> object:
    name = request.method
    if boot.draining:
        details = {"method": name, "reason": "gateway-restarting", "phase": "accepting"}
        message = f"{name} unavailable during gateway restart"
        raise Refused("UNAVAILABLE", message, details, 1000)
    method = METHODS.get(name)
    if method is None:
        raise invalid(f"unknown method: {name}")
    if not peer.may(method.scope):
        scope_details = {
            "code": "MISSING_SCOPE",
            "missingScope": method.scope,
            "requiredScopes": [method.scope],
        }
        raise Refused("FORBIDDEN", f"missing scope: {method.scope}", scope_details)
    if method.known is not None:
        check(name, request.params, method.known, method.required)
    return method.answer(boot, peer, request)
