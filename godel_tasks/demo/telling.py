"""How the demo is told: a live picture on a terminal, plain lines elsewhere."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from rich.console import Console, RenderableType
from rich.live import Live

from godel_tasks.demo import display
from godel_tasks.demo.plan import TENANTS

#: Seconds between two lines of progress where there is no terminal.
LINE_EVERY_S = 2.0

BEFORE = (
    "A whole Godel comes up in a folder of its own (Valkey, two dispatchers, control, beat, Flower "
    "and five instances in two regions), and three tenants of weight 4, 2 and 1 submit {each:,} "
    "paragraphs of real text each, to be summarised. While all three have work waiting, an "
    "instance and a dispatcher that hold running tasks are killed with kill -9; later another "
    "instance stands still for five seconds. Godel's auto-scaler adds instances, which go again "
    "once no task is left; at the end a "
    "checker that knows nothing of Godel reads from journals what became of every task."
)
READ_ON = (
    "Read on: docs/tutorial (make one yourself), docs/explanation/fair-share.md (the shares), "
    "docs/explanation/at-least-once.md (the reruns)."
)


class Telling:
    """Says what happens, on one console."""

    def __init__(self, console: Console) -> None:
        self._console = console
        self._live: Live | None = None
        self._next_line_s = 0.0

    def say(self, text: str, *, style: str = "") -> None:
        """A sentence."""
        self._console.print(text, style=style, highlight=False, markup=False)

    @contextmanager
    def live(self) -> Iterator[None]:
        """While the work goes on. The picture is gone afterwards."""
        if not self._console.is_terminal:
            yield
            return
        with Live(console=self._console, auto_refresh=False, transient=True) as self._live:
            try:
                yield
            finally:
                self._live = None

    def show(self, snapshot: display.Snapshot) -> None:
        """The demo now."""
        if self._live is not None:
            self._live.update(display.live(snapshot), refresh=True)
        elif snapshot["submitted"] and snapshot["elapsed_s"] >= self._next_line_s:
            self._next_line_s = snapshot["elapsed_s"] + LINE_EVERY_S
            self._line(progress_line(snapshot))

    def event(self, line: str) -> None:
        """Something happened. The picture shows it by itself."""
        if self._live is None:
            self._line(line)

    def _line(self, line: str) -> None:
        """A line of a log: as long as it is."""
        self._console.print(line, highlight=False, markup=False, soft_wrap=True)

    def draw(self, picture: RenderableType) -> None:
        """A table."""
        self._console.print(picture)

    def close(self, report: Mapping[str, Any]) -> None:
        """The closing table, what was shown, and where to read on."""
        self.draw(display.closing(report))
        self.say(shown(report))
        self.say(READ_ON)


def progress_line(snapshot: display.Snapshot) -> str:
    """A snapshot in one line."""
    shares = "  ".join(
        f"{row['name']} {row['waiting']:,} waiting"
        + ("" if row["share"] is None else f" ({row['share']:.0%})")
        for row in snapshot["tenants"]
    )
    up = sum(row["status"] == "up" for row in snapshot["instances"])
    return (
        f"{snapshot['elapsed_s']:5.1f} s  {snapshot['settled']:,} of {snapshot['submitted']:,} "
        f"settled, {snapshot['throughput_per_s']:,.0f}/s  {shares}  "
        f"{up} of {len(snapshot['instances'])} instances up"
    )


def shown(report: Mapping[str, Any]) -> str:
    """What the report means, in words."""
    killed, weights = report["killed"], sum(TENANTS.values())
    shares = ", ".join(
        f"{name} {row['share_under_contention'] or 0:.1%} (weight {row['weight'] / weights:.1%})"
        for name, row in report["tenants"].items()
    )
    kept = report["submitted"] - report["lost"]
    flower = report["flower"]
    recovery = report["recovery_s"]
    return (
        f"Shown: {kept:,} of {report['submitted']:,} accepted tasks have a result, "
        f"{report['duplicates']:,} have two, although {killed['instance']} and "
        f"{killed['dispatcher']} were killed at work; what they held ran on "
        f"{'-' if recovery is None else f'{recovery:.1f}'} s later, {report['reruns']:,} tasks a "
        f"second time. The auto-scaler made {report['scaled_out']} instances while tasks waited, "
        f"and removed {report['scaled_in']} when none did. While all had work waiting, slot time "
        f"went {shares}. Flower lists "
        f"{flower['tasks_seen']:,} of the tasks by name, state and worker "
        f"({', '.join(flower['workers'])})."
    )
