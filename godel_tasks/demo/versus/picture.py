"""The picture of a comparison, as SVG: B's wait over time, Celery above Godel, on one scale.

A pure function of the report: the same report gives the same bytes.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

from godel_tasks.demo.versus import svg
from godel_tasks.demo.versus.panel import LEFT, MARGIN, RIGHT, Panel, seconds
from godel_tasks.demo.versus.plan import SLOTS
from godel_tasks.demo.versus.scale import Scale

Report = Mapping[str, Any]

WIDTH = 800
#: Where the first panel's heading stands.
FIRST = 144
#: Heights of a plot, and of the one that shows small waits.
PLOT, CLOSE_UP = 180, 90
#: Waits that need less than this share of the common scale are shown magnified too.
SMALL = 0.1
SIDES = (("celery", "Celery"), ("godel", "Godel"))
#: Characters of a line of small print, and between two lines.
SMALL_PRINT, LEADING = 104, 19
COLUMNS = (
    ("accepted", "accepted"),
    ("lost", "lost"),
    ("held", "not done"),
    ("reruns", "run again"),
    ("seconds", "took"),
)
COLUMN_WIDTH = 116


def draw(report: Report) -> str:
    """The SVG of a report as `run_versus` returns it."""
    body = list(heading(report))
    at = FIRST
    for panel in panels(report):
        body += panel.draw(at)
        at += panel.height
    body += axis_title(at)
    body += table(report, at + 34)
    small = small_print(report)
    body += [
        svg.text(MARGIN, at + 136 + LEADING * row, 13, words, "m") for row, words in small.items()
    ]
    about = "; ".join(
        f"{name}: tenant B's tasks waited {seconds(report[key]['p50_s'])} in the median, "
        f"{seconds(report[key]['p99_s'])} at the 99th percentile"
        for key, name in SIDES
    )
    return svg.document(WIDTH, at + 140 + LEADING * len(small), title(report), about, body)


def title(report: Report) -> str:
    return f"A dumps {report['tasks']:,} tasks. How long does B wait?"


def heading(report: Report) -> Iterator[str]:
    every = "one task a second" if report["every_s"] == 1 else f"one every {report['every_s']:g} s"
    about = f"Tenant B sends {every}. Each task takes {report['task_ms']:.0f} ms, on {SLOTS} slots."
    yield svg.text(MARGIN, 46, 26, title(report), "h")
    yield svg.text(MARGIN, 76, 17, about)
    for x, (key, _) in zip((MARGIN + 4, MARGIN + 18), SIDES, strict=True):
        yield svg.line(x, 107, x, 94, f"{key} stem")
        yield svg.dot(x, 94, 4, key)
    yield svg.text(MARGIN + 32, 104, 16, "one of B's tasks: seconds from submit to start", "m")
    if any(report[key]["never_started"] for key, _ in SIDES):
        yield svg.arrow_up(RIGHT - 254, 92, 6, "celery open")
        yield svg.text(RIGHT, 104, 16, "had not started when all ended", "m", "end")


def panels(report: Report) -> Iterator[Panel]:
    """Both sides on one scale, and Godel's once more if it can hardly be seen there."""
    common = Scale.of(report[key]["waits"] for key, _ in SIDES)
    for key, name in SIDES:
        side = report[key]
        figures = f"median wait {seconds(side['p50_s'])} · p99 {seconds(side['p99_s'])}"
        yield Panel(key, name, figures, side, common, PLOT)
    key, name = SIDES[-1]
    godel = report[key]
    if (godel["max_s"] or 0) < SMALL * common.wait_s:
        close = Scale.of([godel["waits"]], lines=2)
        times = f"{common.wait_s / close.wait_s:,.0f} times"
        longest = f"longest wait {seconds(godel['max_s'])}"
        yield Panel(key, f"{name}, magnified {times}", longest, godel, close, CLOSE_UP)


def axis_title(top: float) -> Iterator[str]:
    words = "when B sent it, seconds after A began"
    yield svg.text((LEFT + RIGHT) / 2, top - 14, 16, words, "m", "middle")


def table(report: Report, top: float) -> Iterator[str]:
    """What became of all tasks, a line per side."""
    places = [RIGHT - COLUMN_WIDTH * number for number in reversed(range(len(COLUMNS)))]
    yield svg.text(MARGIN, top, 16, "A's and B's tasks", "m")
    for x, (_, words) in zip(places, COLUMNS, strict=True):
        yield svg.text(x, top, 16, words, "m", "end")
    yield svg.line(MARGIN, top + 10, RIGHT, top + 10, "grid")
    for row, (key, name) in enumerate(SIDES):
        y = top + 36 + 28 * row
        yield svg.text(MARGIN, y, 18, name, f"{key} name")
        for x, (field, _) in zip(places, COLUMNS, strict=True):
            figure = report[key][field]
            words = seconds(figure) if field == "seconds" else f"{figure:,}"
            yield svg.text(x, y, 18, words, "h", "end")


def small_print(report: Report) -> dict[int, str]:
    """The settings of both sides, by line."""
    told = [line for key, _ in SIDES for line in report[key]["settings"]]
    told += [report["plan"], "A queue per tenant would be Celery's workaround."]
    told += [f"{report['machine']}. Try it: godel demo --versus celery"]
    wrapper = textwrap.TextWrapper(SMALL_PRINT, break_on_hyphens=False)
    return dict(enumerate(part for line in told for part in wrapper.wrap(line)))
