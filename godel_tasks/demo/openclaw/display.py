"""The tables that the demo with gateways closes with. Draws plain values; asks nobody."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from rich.console import Group, RenderableType
from rich.panel import Panel
from rich.table import Table
from rich.text import Text

from godel_tasks.demo.display import percent, plain_table

_COUNTS = (
    ("submitted", "submitted"),
    ("succeeded", "succeeded"),
    ("failed", "failed"),
    ("lost", "lost"),
    ("duplicates", "duplicates"),
    ("reruns", "reruns"),
    ("adopted", "adopted"),
    ("aborted after restart", "aborted_after_restart"),
    ("calls of the stand-in", "model_calls"),
)


def closing(report: Mapping[str, Any]) -> RenderableType:
    """From the checker's report."""
    return Group(
        Panel(_figures(report), title="what the journals and the model say", title_align="left"),
        _tenants(report["tenants"]),
        _gateways(report["instances"]),
    )


def _figures(report: Mapping[str, Any]) -> Table:
    figures = Table.grid(padding=(0, 2))
    for words, name in _COUNTS:
        bad = name in {"lost", "duplicates"} and report[name]
        figures.add_row(words, Text(f"{report[name]:,}", style="bold red" if bad else "bold"))
    figures.add_row("seconds", f"{report['seconds']:.1f}")
    for kind, target in report["killed"].items():
        figures.add_row(f"killed {kind}", str(target))
    for words, name in (("recovery", "recovery_s"), ("sessions waited", "pinned_s")):
        seconds = report[name]
        figures.add_row(words, "-" if seconds is None else f"{seconds:.1f} s")
    return figures


def _tenants(rows: Mapping[str, Mapping[str, Any]]) -> Table:
    drawn = plain_table(
        "tenants (tokens and dollars are the stand-in's)",
        "tenant", "weight", "tasks", "succeeded", "share", "due", "tokens", "cost",
    )  # fmt: skip
    weights = sum(row["weight"] or 0 for row in rows.values()) or 1
    for name, row in rows.items():
        drawn.add_row(
            name,
            f"{row['weight'] or 0:g}",
            f"{row['tasks']:,}",
            f"{row['succeeded']:,}",
            percent(row["share_under_contention"]),
            percent((row["weight"] or 0) / weights),
            f"{row['tokens']:,}",
            f"${row['cost_usd']:.4f}",
        )
    return drawn


def _gateways(rows: Mapping[str, Mapping[str, Any]]) -> Table:
    drawn = plain_table("gateways", "gateway", "turns")
    for name, row in rows.items():
        drawn.add_row(name, f"{row['completed']:,}")
    return drawn
