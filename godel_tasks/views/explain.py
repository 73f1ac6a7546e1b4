"""Why a task is where it is: the decision that sent it there, or what it waits for right now."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING, Any

import msgspec

from godel_tasks.domain.routing import Filtered, Scored
from godel_tasks.domain.task import TaskState
from godel_tasks.policy.balancer import LoadBalancer
from godel_tasks.store.decisions import KeptDecision, decision_of
from godel_tasks.views.breakers import all_breakers
from godel_tasks.views.candidates import candidates_among
from godel_tasks.views.instances import all_instances
from godel_tasks.views.tasks import TaskView, task_view

if TYPE_CHECKING:
    from godel_tasks.runtime import Runtime


class Explanation(msgspec.Struct, kw_only=True):
    """Where a task is and why. `reason` is a sentence; `candidates` come in order of preference,
    `filtered` with what stood against each, both as of `at_ms`. The counts are of all of them,
    where the lists are cut. `live` is true when this is how things are now, for a task that waits;
    else it is how they were when the task was sent."""

    task_id: str
    state: TaskState
    strategy: str = ""
    instance_id: str = ""
    reason: str = ""
    live: bool = False
    at_ms: int = 0
    candidates: tuple[Scored, ...] = ()
    candidate_count: int = 0
    filtered: tuple[Filtered, ...] = ()
    filtered_count: int = 0


def explain(runtime: Runtime, task_id: str) -> Explanation:
    """Why a task went where it went, or why it waits.

    Raises:
        TaskNotFound: no cell knows it, and no result of it is kept.
        ResultExpired: it was settled, and only that is still known.
    """
    view = task_view(runtime, task_id)
    found = Explanation(task_id=task_id, state=view.state, instance_id=view.instance_id)
    if view.state is TaskState.WAITING:
        return _waiting(runtime, view, found)
    if view.routed is None:
        found.reason = _unrouted(view)
        return found
    return _sent(runtime, view.routed, found)


def _unrouted(view: TaskView) -> str:
    if view.state is TaskState.DELAYED:
        return "it waits for its time, and is routed after that"
    if view.state is TaskState.ON_HOLD:
        return f"it is on hold: {view.evidence}"
    if view.instance_id:
        return "the decision that sent it there is not kept any more"
    return "it ended before it was sent anywhere"


def _sent(runtime: Runtime, routed: tuple[str, int, int, str], found: Explanation) -> Explanation:
    dispatcher, batch, claimed_ms, class_id = routed
    kept: KeptDecision | None = None
    for cell in runtime.cells:
        near = runtime.store.run(cell.decisions.near(claimed_ms=claimed_ms))
        kept = kept or decision_of(
            near, dispatcher=dispatcher, batch=batch, class_id=class_id, claimed_ms=claimed_ms
        )
    if kept is None:
        found.reason = "the decision that sent it there is not kept any more"
        return found
    decision = kept.routed
    found.strategy, found.reason, found.at_ms = decision.strategy, decision.reason, kept.at_ms
    found.candidates, found.candidate_count = decision.candidates, decision.candidate_count
    found.filtered, found.filtered_count = decision.filtered, decision.filtered_count
    own = next((c for c in found.candidates if c.instance_id == found.instance_id), None)
    if own is not None:
        found.reason = f"{decision.strategy}: {own.instance_id} ({own.why})"
    elif found.instance_id:
        found.reason = (
            f"{decision.strategy}: {found.instance_id} was the next with a free slot; "
            f"best of {found.candidate_count} was {decision.reason.partition(': ')[2]}"
        )
    return found


def _waiting(runtime: Runtime, view: TaskView, found: Explanation) -> Explanation:
    wanted = view.wanted
    if wanted is None:
        found.reason = "it is being claimed"
        return found
    settings = runtime.settings
    balancer = LoadBalancer(random.Random(), settings.strategy, settings.regions)
    breakers = {snapshot.name: snapshot for snapshot in all_breakers(runtime)}
    candidates, filtered = candidates_among(all_instances(runtime), wanted, breakers)
    found.live, found.strategy = True, balancer.strategy_of(wanted)
    found.at_ms = runtime.store.run(runtime.registry.fleet()).now_ms
    found.candidates = tuple(balancer.ranked(wanted, candidates))
    found.filtered = tuple(filtered)
    found.candidate_count, found.filtered_count = len(candidates), len(filtered)
    found.reason = _why_it_waits(view, found)
    return found


def _why_it_waits(view: TaskView, found: Explanation) -> str:
    ahead = f"{view.position} of its tenant's tasks are ahead of it; " if view.position else ""
    if found.candidates:
        best = found.candidates[0]
        return f"it waits: {ahead}{best.instance_id} can take the next one ({best.why})"
    if not found.filtered:
        return f"it waits: {ahead}no instance is registered"
    reasons: dict[str, int] = {}
    for each in found.filtered:
        reasons[each.reason] = reasons.get(each.reason, 0) + 1
    top = sorted(reasons.items(), key=lambda pair: -pair[1])[:3]
    return f"it waits: {ahead}no candidate; " + "; ".join(f"{n}: {text}" for text, n in top)


def as_data(found: Explanation) -> dict[str, Any]:
    """As JSON shows it."""
    return {
        "task_id": found.task_id,
        "state": found.state.value,
        "strategy": found.strategy or None,
        "instance": found.instance_id or None,
        "reason": found.reason,
        "live": found.live,
        "at_ms": found.at_ms or None,
        "candidates": [msgspec.structs.asdict(c) for c in found.candidates],
        "candidate_count": found.candidate_count,
        "filtered": [msgspec.structs.asdict(f) for f in found.filtered],
        "filtered_count": found.filtered_count,
    }
