"""The progress bar of `godel run`, on standard error."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from godel_tasks.cli.output import notes

#: Called with results so far and what is said beside the bar.
Progress = Callable[[int, str], None]


@contextmanager
def shown_progress(total: int, *, done: int) -> Iterator[Progress]:
    """A bar from `done` to `total`; nothing where no terminal is."""
    from rich import progress as bars

    bar = bars.Progress(
        bars.TextColumn("{task.completed:,.0f}/{task.total:,.0f}"),
        bars.BarColumn(),
        bars.TaskProgressColumn(),
        bars.TimeRemainingColumn(),
        bars.TextColumn("{task.description}", markup=False),
        console=notes(),
        disable=not notes().is_terminal,
    )
    with bar:
        job = bar.add_task("", total=total, completed=done)

        def show(completed: int, said: str) -> None:
            bar.update(job, completed=completed, description=said)

        yield show
