"""What the demo shows while it runs, and the table it closes with.

Draws plain values; asks nobody.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, TypedDict

from rich import box
from rich.columns import Columns
from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.progress_bar import ProgressBar
from rich.table import Table
from rich.text import Text

#: Colours that are legible on dark and light terminals; tenants take them in their order.
COLOURS = ("cyan", "magenta", "yellow", "green", "blue")
#: Events shown, the newest last.
EVENTS = 4


class TenantRow(TypedDict):
    name: str
    weight: float
    waiting: int
    running: int
    settled: int
    #: 0-1, of the slot time while all had tasks waiting; None before anything ran.
    share: float | None
    #: Seconds until what waits now has been served, at the speed of now; None: not moving.
    wait_s: float | None


class LaneRow(TypedDict):
    tenant: str
    level: str
    waiting: int


class InstanceRow(TypedDict):
    id: str
    region: str
    status: str
    #: Its health, and its breaker where that is not closed.
    health: str
    running: int
    capacity: int
    completed: int
    #: Whether the auto-scaler made it.
    made: bool


class DispatcherRow(TypedDict):
    name: str
    status: str
    holds: int


class Snapshot(TypedDict):
    """The whole demo at one moment."""

    phase: str
    elapsed_s: float
    submitted: int
    settled: int
    throughput_per_s: float
    tenants: Sequence[TenantRow]
    lanes: Sequence[LaneRow]
    instances: Sequence[InstanceRow]
    dispatchers: Sequence[DispatcherRow]
    events: Sequence[str]
    #: How the last tick was routed.
    why: str


def live(snapshot: Snapshot) -> RenderableType:
    """Everything at once: progress, tenants, lanes, instances, dispatchers, what just happened."""
    return Group(
        _progress(snapshot),
        # Side by side where there is room: five instances fit 24 lines by 100 columns.
        tenants_table(snapshot["tenants"]),
        Columns(
            [instances_table(snapshot["instances"]), lanes_table(snapshot["lanes"])],
            padding=(0, 4),
        ),
        dispatchers_line(snapshot["dispatchers"]),
        Text(f"routed: {snapshot['why'] or '-'}", style="dim", no_wrap=True, overflow="ellipsis"),
        *(Text(event, no_wrap=True, overflow="ellipsis") for event in snapshot["events"][-EVENTS:]),
    )


def _progress(snapshot: Snapshot) -> RenderableType:
    line = Table.grid(padding=(0, 2))
    done, total = snapshot["settled"], snapshot["submitted"]
    line.add_row(
        Text(f"{snapshot['elapsed_s']:5.1f} s", style="bold"),
        ProgressBar(total=max(total, 1), completed=done, width=30),
        f"{done:,} of {total:,} settled",
        f"{snapshot['throughput_per_s']:,.0f}/s",
        Text(snapshot["phase"], style="italic"),
    )
    return line


def tenants_table(rows: Sequence[TenantRow]) -> Table:
    """A line per tenant, with the share that its weight promises beside the one it has."""
    table = plain_table(
        "", "tenant", "weight", "waiting", "running", "settled", "wait", "share", "due"
    )
    weights = sum(row["weight"] for row in rows) or 1
    for colour, row in _coloured(rows):
        table.add_row(
            Text(row["name"], style=colour),
            f"{row['weight']:g}",
            f"{row['waiting']:,}",
            str(row["running"]),
            f"{row['settled']:,}",
            "-" if row["wait_s"] is None else f"{row['wait_s']:.0f} s",
            percent(row["share"]),
            percent(row["weight"] / weights),
        )
    return table


def lanes_table(rows: Sequence[LaneRow]) -> Table:
    """A line per level, a column per tenant."""
    tenants = list(dict.fromkeys(row["tenant"] for row in rows))
    table = plain_table("", "waiting", *tenants)
    waiting = {(row["level"], row["tenant"]): row["waiting"] for row in rows}
    for level in dict.fromkeys(row["level"] for row in rows):
        table.add_row(level, *(f"{waiting.get((level, tenant), 0):,}" for tenant in tenants))
    return table


def instances_table(rows: Sequence[InstanceRow]) -> Table:
    """A line per instance; the bar shows its slots in use."""
    table = plain_table("", "instance", "region", "status", "slots", "completed")
    for row in rows:
        alive = row["status"] in {"up", "draining"}
        slots = "■" * row["running"] + "·" * max(0, row["capacity"] - row["running"])
        table.add_row(
            row["id"],
            row["region"],
            _status(row),
            slots if alive else "",
            f"{row['completed']:,}",
            style=None if alive else "dim",
        )
    return table


def _status(row: InstanceRow) -> Text:
    """Its status; its health in place of "up" where it is not healthy."""
    if row["status"] == "up" and row["health"] != "healthy":
        return Text(row["health"], style="bold yellow")
    return Text(row["status"], style="green" if row["status"] == "up" else "bold red")


def dispatchers_line(rows: Sequence[DispatcherRow]) -> Text:
    """Who there is, and the tasks that each holds."""
    line = Text()
    for row in rows:
        up = row["status"] == "up"
        line.append(f" {row['name']} ", style="bold")
        line.append(row["status"], style="green" if up else "bold red")
        line.append(f", holds {row['holds']}   " if up else "   ")
    return line


def closing(report: Mapping[str, Any]) -> RenderableType:
    """The table at the end, from the checker's report."""
    figures = Table.grid(padding=(0, 2))
    for name in ("submitted", "succeeded", "failed", "lost", "duplicates", "reruns"):
        bad = name in {"lost", "duplicates"} and report[name]
        figures.add_row(name, Text(f"{report[name]:,}", style="bold red" if bad else "bold"))
    figures.add_row("seconds", f"{report['seconds']:.1f}")
    figures.add_row("throughput", f"{report['throughput_per_s'] or 0:,.0f} tasks/s")
    for kind, target in report["killed"].items():
        figures.add_row(f"killed {kind}", str(target))
    if "scaled_out" in report:
        scaled = f"{report['scaled_out']} out, {report['scaled_in']} in"
        figures.add_row("scaled", scaled)
    recovery = report["recovery_s"]
    figures.add_row("recovery", "-" if recovery is None else f"{recovery:.1f} s")
    shares = plain_table("shares under contention", "tenant", "weight", "share", "due", "succeeded")
    weights = sum(row["weight"] or 0 for row in report["tenants"].values()) or 1
    for name, row in report["tenants"].items():
        shares.add_row(
            name,
            f"{row['weight'] or 0:g}",
            percent(row["share_under_contention"]),
            percent((row["weight"] or 0) / weights),
            f"{row['succeeded']:,}",
        )
    instances = plain_table("instances", "instance", "completed")
    for name, row in report["instances"].items():
        instances.add_row(name, f"{row['completed']:,}")
    return Group(
        Panel(figures, title="what the journals say", title_align="left"), shares, instances
    )


def plain_table(title: str, first: str, *others: str) -> Table:
    table = Table(title=title or None, title_justify="left", box=box.SIMPLE_HEAD, show_edge=False)
    table.add_column(first)
    for name in others:
        words = name in {"region", "status", "slots"}
        table.add_column(name, justify="left" if words else "right", no_wrap=True)
    return table


def _coloured(rows: Sequence[TenantRow]) -> list[tuple[str, TenantRow]]:
    return [(COLOURS[index % len(COLOURS)], row) for index, row in enumerate(rows)]


def percent(share: float | None) -> str:
    return "-" if share is None else f"{share:.1%}"
