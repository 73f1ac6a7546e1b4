"""`godel tasks cancel`."""

from __future__ import annotations

import getpass
from typing import Annotated, Any

import typer

from godel_tasks.cancelling import cancel_in_cells, told
from godel_tasks.cli.exit_codes import exit_code
from godel_tasks.cli.output import AsJson, answer, error_dict, table
from godel_tasks.cli.session import opened
from godel_tasks.errors import TaskNotFound


def cancel(
    task_ids: Annotated[list[str], typer.Argument(metavar="ID...")],
    waiting_only: Annotated[
        bool, typer.Option("--waiting-only", help="Leave alone what runs already.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Cancel tasks for good: waiting ones at once, running ones as soon as their instance stops."""
    rows: list[dict[str, Any]] = []
    missing: list[TaskNotFound] = []
    with opened() as runtime:
        for task_id in task_ids:
            try:
                reply = cancel_in_cells(runtime, task_id, who=_who(), running_too=not waiting_only)
                rows.append({"task_id": task_id, "outcome": reply.outcome, "what": told(reply)})
            except TaskNotFound as error:
                missing.append(error)
                rows.append({"task_id": task_id, "outcome": "unknown", "error": error_dict(error)})
    if missing and len(task_ids) == 1:
        raise missing[0]
    human = [(row["task_id"], row.get("what") or "no such task is known") for row in rows]
    answer(as_json, {"tasks": rows}, table("task", "what was done", rows=human))
    if missing:
        raise typer.Exit(exit_code(missing[0]))


def _who() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no name for this user id, as in some containers
        return "cli"
