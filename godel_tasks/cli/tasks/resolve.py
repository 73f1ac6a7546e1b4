"""`godel tasks resolve`."""

from __future__ import annotations

from enum import StrEnum
from typing import TYPE_CHECKING, Annotated

import msgspec
import typer

from godel_tasks.cli.output import AsJson, answer
from godel_tasks.cli.session import opened
from godel_tasks.domain.task import STATE_OF_LETTER
from godel_tasks.errors import TaskNotFound, TaskStateConflict

if TYPE_CHECKING:
    from godel_tasks.runtime import Runtime


class Verdict(StrEnum):
    """What a person decides about a task on hold."""

    RETRY = "retry"
    FAIL = "fail"
    SUCCEED = "succeed"


_DONE = {
    Verdict.RETRY: "Task {} waits again; its next attempt counts as a new one.",
    Verdict.FAIL: "Task {} has failed.",
    Verdict.SUCCEED: "Task {} has succeeded.",
}


def resolve(
    task_id: Annotated[str, typer.Argument(metavar="ID")],
    verdict: Annotated[Verdict, typer.Argument(help="How it goes on.")],
    result: Annotated[
        str, typer.Option(metavar="JSON", help="Its result, with `succeed`. Default: null.")
    ] = "",
    note: Annotated[str, typer.Option(help="Why, with `fail`: becomes the error's text.")] = "",
    as_json: AsJson = False,
) -> None:
    """Decide about a task on hold, whose attempt may have run. `godel tasks show ID` has the
    evidence."""
    text = _text(verdict, result, note)
    with opened() as runtime:
        resolve_in_cells(runtime, task_id, verdict, text)
    answer(as_json, {"task_id": task_id, "verdict": verdict.value}, _DONE[verdict].format(task_id))


def resolve_in_cells(runtime: Runtime, task_id: str, verdict: Verdict, text: str) -> None:
    """Raises: TaskNotFound; TaskStateConflict when it is not on hold."""
    replies = runtime.store.pipeline(
        [
            cell.queue.resolve(task_id=task_id, verdict=verdict.value, note=text)
            for cell in runtime.cells
        ]
    )
    known = [reply for reply in replies if reply != "unknown"]
    if not known:
        raise TaskNotFound(
            f"no unsettled task {task_id} is known",
            hint=f"look with `godel tasks show {task_id}`, or `godel tasks list --state on_hold`",
        )
    if known[0] != "ok":
        raise TaskStateConflict(
            f"task {task_id} is {STATE_OF_LETTER[known[0]].value}, not ON_HOLD",
            hint="only a task on hold needs a decision; list them with --state on_hold",
        )


def _text(verdict: Verdict, result: str, note: str) -> str:
    if result and verdict is not Verdict.SUCCEED:
        raise typer.BadParameter("A result goes with `succeed` only.", param_hint="--result")
    if note and verdict is not Verdict.FAIL:
        raise typer.BadParameter("A note goes with `fail` only.", param_hint="--note")
    if verdict is Verdict.FAIL:
        return note or "a person decided that it failed"
    if verdict is Verdict.RETRY:
        return ""
    try:
        return msgspec.json.encode(msgspec.json.decode(result or "null")).decode()
    except msgspec.DecodeError as error:
        raise typer.BadParameter(
            f"{result!r} is not JSON ({error}). Text needs quotes of its own: '\"done\"'.",
            param_hint="--result",
        ) from error
