"""`godel instances`: the fleet as the registry knows it."""

from __future__ import annotations

from enum import StrEnum
from typing import Annotated

import typer

from godel_tasks.cli.instance_acts import restart, spawn, start, stop
from godel_tasks.cli.instance_add import add
from godel_tasks.cli.instance_data import as_data, attempts_of
from godel_tasks.cli.instance_watch import watch
from godel_tasks.cli.managing import managed
from godel_tasks.cli.output import AsJson, answer, counted, facts, span, table
from godel_tasks.cli.session import opened
from godel_tasks.domain.instance import InstanceStatus
from godel_tasks.errors import InstanceError
from godel_tasks.openclaw.registering import deregister_instance
from godel_tasks.store.health import HealthCommands
from godel_tasks.views.instances import InstanceView, all_instances, instance_named

instances = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="List, show, make, start, stop, change and remove instances.",
)

Id = Annotated[str, typer.Argument(metavar="ID")]


class Wanted(StrEnum):
    """What an operator may set an instance to."""

    UP = "up"
    DRAINING = "draining"


@instances.command("list")
def list_instances(
    pool: Annotated[str, typer.Option(help="Only this pool's.")] = "",
    region: Annotated[str, typer.Option(help="Only this region's.")] = "",
    as_json: AsJson = False,
) -> None:
    """List the registered instances. Status is judged by lease, on Redis's clock; health by probes
    and by what dispatchers see."""
    with opened() as runtime:
        found = [
            view
            for view in all_instances(runtime)
            if pool in ("", view.config.pool) and region in ("", view.config.region)
        ]
    rows = [
        (
            view.record.instance_id,
            view.status.value,
            _health(view),
            view.config.capacity,
            view.slots_used,
            view.slots_orphaned or "",
            view.config.region,
            view.config.pool,
            _pairs(view.config.capabilities),
            _load(view),
            view.record.health_reason if view.status is not InstanceStatus.DEAD else "",
        )
        for view in found
    ]
    columns = ("instance", "status", "health", "capacity>", "used>", "orphaned>", "region", "pool")
    answer(
        as_json,
        {"instances": [as_data(view) for view in found]},
        table(*columns, "capabilities", "load", "reason", rows=rows) if rows else "",
        counted(len(rows), "instance") + "."
        if rows
        else "There are none. Serve a function with `godel instance --handler module:function`.",
    )


@instances.command()
def show(instance_id: Id, as_json: AsJson = False) -> None:
    """Show one instance: configuration, lease, health, slots, metrics."""
    with opened() as runtime:
        view = instance_named(runtime, instance_id)
        seen = runtime.store.run(HealthCommands().signals(instance_id=instance_id))
    attempts = attempts_of(view, seen)
    data = as_data(view) | {"attempts": attempts}
    flat = {**data, "capabilities": _pairs(view.config.capabilities), "lease": _lease(view)}
    metrics = {k: v for k, v in flat.pop("metrics").items() if v is not None}
    parts = {k: "well" if v else "not well" for k, v in flat.pop("components").items()}
    flat.pop("lease_left_ms")
    flat["attempts"] = _attempts(attempts)
    answer(
        as_json,
        data,
        facts({k.replace("_", " "): v for k, v in {**flat, **parts, **metrics}.items()}),
    )


instances.command()(add)
instances.command()(spawn)
instances.command()(start)
instances.command()(stop)
instances.command()(restart)
instances.command()(watch)


@instances.command("set")
def set_instance(
    instance_id: Id,
    status: Annotated[
        Wanted | None, typer.Option(help="draining: it finishes what it runs and gets nothing new.")
    ] = None,
    capacity: Annotated[
        int | None,
        typer.Option(
            min=0, help="Most attempts at once, until it registers anew; no more than it allows."
        ),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Drain an instance, take it back, or change how much it is given."""
    if status is None and capacity is None:
        raise typer.BadParameter("Nothing is to be changed: give --status or --capacity.")
    with opened() as runtime:
        instance_named(runtime, instance_id)
        draining = None if status is None else status is Wanted.DRAINING
        registry = runtime.registry
        runtime.store.pipeline(
            [
                registry.change(instance_id=instance_id, draining=draining, capacity=capacity),
                registry.tell(instance_id=instance_id, event="instance.changed"),
            ]
        )
        view = instance_named(runtime, instance_id)
    answer(
        as_json,
        as_data(view),
        f"Instance {instance_id} is {view.status.value}, capacity {view.config.capacity}, "
        f"{counted(view.slots_used, 'slot')} used.",
    )


@instances.command()
def remove(
    instance_id: Id,
    force: Annotated[
        bool, typer.Option("--force", help="Though it runs tasks: they count as uncertain.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Take an instance out of the registry; end it and all that it is, if it was made for a pool.

    One that came by itself and still runs registers again: stop it first.
    """
    from godel_tasks.store.pools import PoolCommands

    with opened() as runtime:
        made = runtime.store.run(PoolCommands().made(instance_id))
        views = {each.record.instance_id: each for each in all_instances(runtime)}
        view = views.get(instance_id)
        if view is None and made is None:
            view = instance_named(runtime, instance_id)
        used = view.slots_used if view is not None else 0
        if view is not None and used and view.status is not InstanceStatus.DEAD and not force:
            raise InstanceError(
                f"instance {instance_id} has {counted(used, 'slot')} in use",
                hint=f"drain it with `godel instances set {instance_id} --status draining` and "
                "wait, or give --force",
            )
        if made is None:
            deregister_instance(runtime, instance_id)
    if made is not None:
        managed(lambda manager: manager.remove(instance_id, grace_s=0 if force else None))
    answer(
        as_json,
        {"instance": instance_id, "slots_used": used},
        f"Removed instance {instance_id}.",
    )


def _lease(view: InstanceView) -> str:
    if not view.record.lease_until_ms:
        return "it has left the registry"
    if view.lease_left_ms <= 0:
        return f"over for {span(-view.lease_left_ms)}"
    return f"{span(view.lease_left_ms)} left"


def _health(view: InstanceView) -> str:
    """What is known of a dead one is old."""
    return "" if view.status is InstanceStatus.DEAD else view.record.health.value


def _attempts(attempts: dict[str, int]) -> str:
    """As dispatchers saw them end since it registered."""
    ended = {name: count for name, count in attempts.items() if name != "mean_run_ms"}
    said = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in ended.items())
    return f"{said}; {span(attempts['mean_run_ms'])} each" if said else ""


def _load(view: InstanceView) -> str:
    metrics = view.record.metrics
    parts = []
    if metrics.cpu_usage is not None:
        parts.append(f"cpu {metrics.cpu_usage:.0%}")
    if metrics.memory_usage is not None:
        parts.append(f"memory {metrics.memory_usage:.0%}")
    if metrics.completed_tasks is not None:
        parts.append(f"{metrics.completed_tasks:,} completed")
    if metrics.failed_tasks:
        parts.append(f"{metrics.failed_tasks:,} failed")
    return ", ".join(parts)


def _pairs(values: dict[str, str]) -> str:
    return ", ".join(f"{name}={value}" for name, value in sorted(values.items()))
