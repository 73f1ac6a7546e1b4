"""`godel scale simulate`: what another policy would have done with what was seen."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import msgspec
import typer

from godel_tasks.cli.output import AsJson, answer, counted, dollars, moment, table, when
from godel_tasks.cli.scale.telling import clock, read_policies
from godel_tasks.cli.session import opened
from godel_tasks.domain.scaling import ScalingMode, ScalingPolicy
from godel_tasks.policy.scaling.replay import Replayed, Summary, replay, summary
from godel_tasks.store.scaling import ScalingCommands

#: All that is kept.
_ALL = 100_000


def simulate(
    policy: Annotated[
        Path, typer.Option("--policy", metavar="FILE", help="TOML with tables [scaling.POOL].")
    ],
    limit: Annotated[int, typer.Option(min=1, help="Differences shown of each pool.")] = 30,
    as_json: AsJson = False,
) -> None:
    """Replay the stored looks under the policies of a file, and show what differs.

    Demand is as it was seen: the queue of a larger fleet would have been shorter. A policy in
    recommend mode is replayed as if it acted; one that lacks a maximum or a ceiling does nothing.
    """
    wanted = [replace(one, mode=ScalingMode.ACT) for one in read_policies(policy)]
    told: list[dict[str, Any]] = []
    human: list[Any] = []
    with opened() as runtime:
        for one in wanted:
            entries = runtime.store.run(ScalingCommands().history(pool=one.pool, count=_ALL))
            decisions = [e.decision for e in entries if e.decision is not None]
            looks = list(replay(one, decisions))
            differences = list(_differences(looks))
            total = summary(looks)
            told.append(_data(one, looks, total, differences))
            human += _words(one, looks, total, differences[-limit:])
    answer(as_json, {"pools": told}, *human)


def _differences(looks: Sequence[Replayed]) -> Iterator[Replayed]:
    """The looks at which the two begin to differ, or differ in another way."""
    before: tuple[int, int] | None = None
    for look in looks:
        pair = (look.was_after, look.would_after)
        if look.differs and pair != before:
            yield look
        before = pair


def _data(
    policy: ScalingPolicy, looks: Sequence[Replayed], total: Summary, differing: Sequence[Replayed]
) -> dict[str, Any]:
    return {
        "pool": policy.pool,
        "from": when(moment(looks[0].was.inputs.at_ms)) if looks else None,
        "to": when(moment(looks[-1].would.inputs.at_ms)) if looks else None,
        "summary": msgspec.to_builtins(total),
        "differences": [
            {
                "at": when(moment(look.would.inputs.at_ms)),
                "queued": look.would.inputs.queued,
                "running": look.would.inputs.running,
                "was": look.was_after,
                "would": look.would_after,
                "was_reason": look.was.reason,
                "would_reason": look.would.reason,
                "would_clamps": look.would.clamps,
            }
            for look in differing
        ],
    }


def _words(
    policy: ScalingPolicy, looks: Sequence[Replayed], total: Summary, differing: Sequence[Replayed]
) -> Iterator[Any]:
    if not looks:
        yield f"Pool {policy.pool}: nothing was decided about it yet."
        return
    first, last = looks[0].was.inputs.at_ms, looks[-1].would.inputs.at_ms
    yield (
        f"Pool {policy.pool}, {counted(total.looks, 'look')} "
        f"from {clock(first)} to {clock(last)} UTC:"
    )
    rows: list[tuple[object, ...]] = [
        ("scaled out by", total.out_was, total.out_would),
        ("scaled in by", total.in_was, total.in_would),
        ("largest size", total.peak_was, total.peak_would),
        ("instance hours", f"{total.hours_was:.2f}", f"{total.hours_would:.2f}"),
    ]
    if policy.hourly_cost_usd:
        rate = policy.hourly_cost_usd
        rows.append(("cost", dollars(rate * total.hours_was), dollars(rate * total.hours_would)))
    yield table("", "was>", "would be>", rows=rows)
    if not differing:
        yield "It would have done the same."
        return
    yield table(
        *("at (UTC)", "waiting>", "running>", "was>", "would be>", "why"),
        rows=[
            (
                clock(look.would.inputs.at_ms),
                look.would.inputs.queued,
                look.would.inputs.running,
                look.was_after,
                look.would_after,
                look.would.why,
            )
            for look in differing
        ],
    )
