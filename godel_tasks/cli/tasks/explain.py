"""`godel tasks explain`."""

from __future__ import annotations

from typing import Annotated

import typer
from rich.console import RenderableType

from godel_tasks.cli.output import AsJson, answer, facts, moment, table, when
from godel_tasks.cli.session import opened
from godel_tasks.views.explain import Explanation, as_data
from godel_tasks.views.explain import explain as explanation_of


def explain(task_id: Annotated[str, typer.Argument(metavar="ID")], as_json: AsJson = False) -> None:
    """Say why a task went where it went, or why it waits: candidates, scores, who was filtered."""
    with opened() as runtime:
        found = explanation_of(runtime, task_id)
    answer(as_json, as_data(found), *_human(found))


def _human(found: Explanation) -> list[RenderableType]:
    head = facts(
        {
            "task": found.task_id,
            "state": found.state.value,
            "instance": found.instance_id,
            "strategy": found.strategy,
            "reason": found.reason,
            "now" if found.live else "then": when(moment(found.at_ms)),
        }
    )
    parts: list[RenderableType] = [head]
    if found.candidates:
        rows = [
            (place, c.instance_id, c.free, c.why) for place, c in enumerate(found.candidates, 1)
        ]
        parts.append(table("candidate>", "instance", "free>", "why", rows=rows))
        parts += _cut(found.candidate_count - len(rows))
    if found.filtered:
        rows_out = [(f.instance_id, f.reason) for f in found.filtered]
        parts.append(table("filtered", "reason", rows=rows_out))
        parts += _cut(found.filtered_count - len(rows_out))
    return parts


def _cut(left_out: int) -> list[str]:
    return [f"... and {left_out} more."] if left_out > 0 else []
