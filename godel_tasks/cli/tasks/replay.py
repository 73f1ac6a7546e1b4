"""`godel tasks replay`."""

from __future__ import annotations

from typing import Annotated, Any

import typer

from godel_tasks.cli.exit_codes import exit_code
from godel_tasks.cli.output import AsJson, answer, error_dict, sentence, table
from godel_tasks.cli.session import opened
from godel_tasks.errors import GodelError, StoreError
from godel_tasks.replaying import replay_in_cells


def replay(
    task_ids: Annotated[list[str], typer.Argument(metavar="ID...")],
    as_json: AsJson = False,
) -> None:
    """Submit dead letters again, each under a new id, and drop them."""
    rows: list[dict[str, Any]] = []
    errors: list[GodelError] = []
    with opened() as runtime:
        for task_id in task_ids:
            try:
                rows.append({"task_id": task_id, "new_id": replay_in_cells(runtime, task_id)})
            except StoreError:
                raise
            except GodelError as error:
                errors.append(error)
                rows.append({"task_id": task_id, "new_id": None, "error": error_dict(error)})
    if errors and len(task_ids) == 1:
        raise errors[0]
    human = [(row["task_id"], row["new_id"] or sentence(row["error"]["message"])) for row in rows]
    answer(as_json, {"tasks": rows}, table("dead letter", "submitted as", rows=human))
    if errors:
        raise typer.Exit(exit_code(errors[0]))
