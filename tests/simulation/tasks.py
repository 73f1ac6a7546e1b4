"""Tasks of a round, as a seed chooses them."""

from __future__ import annotations

import random
from collections.abc import Sequence

from godel_tasks.domain.requirement import Requirement, digest_of, spec_of
from godel_tasks.domain.session import Affinity, session_terms
from godel_tasks.domain.task import NewTask, TaskBody, encode_body
from tests.simulation.site import Site

SESSION_TTL_MS = 600_000


def affinity_of(session_id: str) -> Affinity:
    return Affinity.HARD if session_id == "s1" else Affinity.SOFT


def random_task(
    task_id: str, rng: random.Random, sites: Sequence[Site], *, sessions: float
) -> NewTask:
    """Some are pinned, some delayed, some have a time; `sessions` is the share that is in one."""
    requirement = Requirement()
    if rng.random() < 0.2:
        requirement = Requirement(instance_id=rng.choice(sites).config.instance_id)
    spec = spec_of(requirement)
    session = f"s{rng.randint(1, 4)}" if rng.random() < sessions else ""
    return NewTask(
        task_id=task_id,
        level=rng.randint(0, 3),
        spec_digest=digest_of(spec),
        spec=spec,
        body=encode_body(TaskBody(b'"%s"' % task_id.encode(), session_id=session)),
        eta=rng.choice(["0", "0", "0", "0", f"+{rng.randint(1, 3000)}"]),
        start_by=rng.choice(["0"] * 9 + [f"+{rng.randint(1, 3000)}"]),
        deadline=rng.choice(["0"] * 9 + [f"+{rng.randint(1000, 9000)}"]),
        session=session and session_terms(session, affinity_of(session), SESSION_TTL_MS),
    )
