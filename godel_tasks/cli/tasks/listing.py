"""`godel tasks list`."""

from __future__ import annotations

import difflib
import itertools
from typing import TYPE_CHECKING, Annotated, Any

import typer

from godel_tasks.cli.output import AsJson, answer, counted, moment, table, when
from godel_tasks.cli.session import opened
from godel_tasks.domain.task import TERMINAL_STATES, Level, TaskState
from godel_tasks.views.lists import dead_letters, unsettled
from godel_tasks.views.results import endings

if TYPE_CHECKING:
    from godel_tasks.runtime import Runtime

DEAD, UNROUTABLE = "dead", "unroutable"
_LEGAL = (*(s.value.lower() for s in TaskState if not s.is_terminal), UNROUTABLE, DEAD)


def _state(text: str) -> str:
    """Raises: BadParameter, with the nearest legal word."""
    word = text.lower().replace("-", "_")
    if word == "" or word in _LEGAL:
        return word
    if word in {state.value.lower() for state in TERMINAL_STATES}:
        raise typer.BadParameter(
            f"{text} is an end. Settled tasks are in no list: show one with `godel tasks show ID`; "
            "those that were given up are in the list `--state dead`."
        )
    near = difflib.get_close_matches(word, _LEGAL, n=1)
    said = f"Did you mean {near[0]!r}?" if near else f"Use one of {', '.join(_LEGAL)}."
    raise typer.BadParameter(f"There is no state {text!r}. {said}")


def listing(
    tenant: Annotated[str, typer.Option(help="Only this tenant's.")] = "",
    state: Annotated[
        str, typer.Option(callback=_state, help=f"One of {', '.join(_LEGAL)}.", metavar="STATE")
    ] = "",
    limit: Annotated[int, typer.Option(min=1, help="Show at most so many.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List tasks that are not settled, in no order; with --state dead, those that were given up.

    Settled tasks are in no list: `godel tasks show ID` finds them as long as results are kept.
    """
    with opened() as runtime:
        found = (
            _dead(runtime, tenant, limit + 1)
            if state == DEAD
            else _unsettled(runtime, tenant, state, limit + 1)
        )
    shown, more = found[:limit], len(found) > limit
    columns = [name.replace("_", " ") for name in shown[0]] if shown else []
    answer(
        as_json,
        {"tasks": shown, "more": more},
        table(*columns, rows=[tuple(row.values()) for row in shown]) if shown else "",
        _closing(len(shown), more=more),
    )


def _unsettled(runtime: Runtime, tenant: str, state: str, limit: int) -> list[dict[str, Any]]:
    wanted = TaskState(state.upper()) if state not in ("", UNROUTABLE) else None
    found = unsettled(runtime, tenant_id=tenant, state=wanted, unroutable_only=state == UNROUTABLE)
    return [
        {
            "task_id": task.task_id,
            "state": task.entry.state.value,
            "condition": "UNROUTABLE" if task.unroutable else "",
            "tenant": task.entry.tenant_id,
            "level": Level(task.entry.level).name.lower(),
            "class": task.entry.class_id,
            "dispatcher": "" if task.entry.owner == "-" else task.entry.owner,
        }
        for task in itertools.islice(found, limit)
    ]


def _dead(runtime: Runtime, tenant: str, limit: int) -> list[dict[str, Any]]:
    letters = list(itertools.islice(dead_letters(runtime, tenant_id=tenant), limit))
    ends = endings(runtime, [letter.task_id for letter in letters])
    return [
        {
            "task_id": letter.task_id,
            "tenant": letter.record.tenant_id,
            "level": Level(letter.record.level).name.lower(),
            "attempts": letter.record.attempt,
            "buried_at": when(moment(letter.buried_ms)),
            "why": end.error_message if (end := ends.get(letter.task_id)) else "",
        }
        for letter in letters
    ]


def _closing(shown: int, *, more: bool) -> str:
    if not shown:
        return "There are none."
    if more:
        return f"These are {counted(shown, 'task')}, and there are more: see --limit."
    return f"{counted(shown, 'task')}."
