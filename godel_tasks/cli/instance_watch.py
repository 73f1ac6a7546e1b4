"""`godel instances watch`: what the registry tells of instances, as it comes."""

from __future__ import annotations

import asyncio
from typing import Annotated

import typer

from godel_tasks.cli.output import AsJson, answer, moment, when
from godel_tasks.cli.session import opened
from godel_tasks.domain.instance import HealthEvent


def watch(
    since: Annotated[
        str, typer.Option(help="After the event of this id; 0 for all that are kept.")
    ] = "",
    count: Annotated[
        int, typer.Option(min=0, help="End after so many events; 0: when it is interrupted.")
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Follow what becomes of instances, a line each, until it is interrupted."""
    with opened() as runtime:

        async def follow() -> None:
            from godel_tasks.fleet.registry import InstanceRegistry

            seen = 0
            async with InstanceRegistry.opened(runtime) as registry:
                async for event in registry.monitor_health(since):
                    _show(event, as_json=as_json)
                    seen += 1
                    if seen == count:
                        return

        asyncio.run(follow())


def _show(event: HealthEvent, *, as_json: bool) -> None:
    at = when(moment(event.at_ms))
    data = {
        "at": at,
        "event": event.event,
        "instance": event.instance_id,
        "generation": event.generation or None,
        "reason": event.reason,
        "event_id": event.event_id,
    }
    what = event.event.removeprefix("instance.")
    answer(as_json, data, f"{at}  {event.instance_id}  {what}  {event.reason}".rstrip())
