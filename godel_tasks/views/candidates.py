"""Who could run a class of tasks as things are now, and what stands against the others."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from godel_tasks.dispatch.seen import candidate_of, guards_of
from godel_tasks.domain.breaker import BreakerSnapshot, first_refusal
from godel_tasks.domain.requirement import RequirementClass
from godel_tasks.domain.routing import Filtered
from godel_tasks.policy.filters import InstanceFacts, refusal
from godel_tasks.policy.strategy import Candidate
from godel_tasks.views.instances import InstanceView


def candidates_among(
    instances: Iterable[InstanceView],
    wanted: RequirementClass,
    breakers: Mapping[str, BreakerSnapshot],
) -> tuple[list[Candidate], list[Filtered]]:
    """Candidates for a class, and the others with what stands against each. `breakers`
    by name; one that is not given is closed."""
    candidates, filtered = [], []
    for view in instances:
        candidate = candidate_of(view.record)
        candidate.free = max(0, view.config.capacity - view.slots_used)
        record = view.record
        facts = InstanceFacts(
            view.config,
            view.status,
            record.health,
            record.health_reason,
            breaker=first_refusal(guards_of(record), breakers),
            free=candidate.free,
        )
        if reason := refusal(wanted, facts):
            filtered.append(Filtered(view.config.instance_id, reason))
        else:
            candidates.append(candidate)
    return candidates, filtered
