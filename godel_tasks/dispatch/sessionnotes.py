"""What tasks of sessions have to tell with their results."""

from __future__ import annotations

from collections.abc import Iterable

from godel_tasks.dispatch.config import CellStore, Ports
from godel_tasks.dispatch.flights import Flight
from godel_tasks.dispatch.insist import insist


async def learn_notes(ports: Ports, cell: CellStore, flights: Iterable[Flight]) -> None:
    """What is to be told with the results of tasks whose session was moved."""
    of_sessions = {f.task_id: f for f in flights if f.held.record.body.session_id}
    if of_sessions:
        ids = list(of_sessions)
        for task_id, note in (await insist(ports, lambda: cell.sessions.notes(ids))).items():
            of_sessions[task_id].session_note = note
