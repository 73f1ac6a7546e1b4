"""`godel run`: a file of tasks, to a file of results, as often interrupted as you like."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any

import typer

from godel_tasks.cli.exit_codes import INTERRUPTED, TASK_ENDED_BADLY
from godel_tasks.cli.output import AsJson, answer, counted, facts, notes
from godel_tasks.cli.session import opened


def run(
    file: Annotated[
        Path,
        typer.Argument(metavar="FILE.jsonl", exists=True, dir_okay=False, readable=True),
    ],
    tenant: Annotated[
        str, typer.Option(help="Whose tasks these are. Then each line is a payload, bare.")
    ] = "",
    out: Annotated[
        Path | None, typer.Option(help="Where results go. Default: FILE.results.jsonl beside it.")
    ] = None,
    resume: Annotated[
        bool, typer.Option("--resume", help="Go on: skip the lines that have results in --out.")
    ] = False,
    window: Annotated[
        int, typer.Option(min=1, help="Most tasks accepted and not settled at a time.")
    ] = 5000,
    again: Annotated[
        str,
        typer.Option(metavar="NAME", help="Run the same lines anew, as tasks of this other run."),
    ] = "",
    as_json: AsJson = False,
) -> None:
    """Submit each line of a file as a task, and write results as they come.

    A line is a JSON object with the fields of submit_task: tenant_id, payload, priority, ... A
    result is {line, task_id, state, result} or {line, task_id, state, error}. Ids derive from the
    file's name, the line and its number: what was accepted once is not run twice, so that a run
    that was cut off can go on with --resume. Exit code 8 says that some did not succeed.
    """
    from godel_tasks.cli.running.interrupts import Interrupts
    from godel_tasks.cli.running.progress import shown_progress
    from godel_tasks.cli.running.results import ResultFile
    from godel_tasks.cli.running.runner import Runner
    from godel_tasks.cli.running.source import LineSource

    source = LineSource(file, tenant, again)
    target = out or file.with_name(f"{file.stem}.results.jsonl")
    ids = dict(source.ids())
    started = time.monotonic()

    def how_to_go_on() -> str:
        options = f" --tenant {tenant}" if tenant else ""
        options += f" --again {again}" if again else ""
        return (
            f"Stopped with {results.total:,} of {counted(len(ids), 'result')} in {target}. "
            "What was accepted goes on running. Go on with:\n"
            f"  godel run {file}{options} --out {target} --resume"
        )

    with (
        opened() as runtime,
        ResultFile.opened(target, ids, resume=resume) as results,
        shown_progress(len(ids), done=results.done_before) as progress,
        Interrupts() as interrupts,
    ):
        runner = Runner(
            runtime,
            source,
            results,
            window=window,
            progress=progress,
            stop=lambda: interrupts.came,
        )
        try:
            runner.run()
        except Exception:
            notes().print(how_to_go_on(), soft_wrap=True)
            raise
    data: dict[str, Any] = {
        "lines": len(ids),
        "resumed": results.done_before,
        **results.counts,
        "missing": len(ids) - results.total,
        "interrupted": interrupts.came,
        "out": str(target),
        "seconds": round(time.monotonic() - started, 3),
    }
    # People need no zeros.
    answer(as_json, data, facts({name: value for name, value in data.items() if value}))
    if interrupts.came:
        notes().print(how_to_go_on(), soft_wrap=True)
        raise typer.Exit(INTERRUPTED)
    if results.total != results.counts["succeeded"]:
        raise typer.Exit(TASK_ENDED_BADLY)
