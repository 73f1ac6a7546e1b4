"""`godel instances`: the fleet as the registry knows it."""

from __future__ import annotations

import re
from enum import StrEnum
from typing import TYPE_CHECKING, Annotated, Any

import typer

from godel_tasks.cli.output import AsJson, answer, counted, facts, moment, span, table, when
from godel_tasks.cli.session import opened
from godel_tasks.cli.values import pairs_of
from godel_tasks.domain.instance import DEFAULT_POOL, InstanceConfig, InstanceStatus
from godel_tasks.domain.tenant import is_name
from godel_tasks.errors import InstanceError
from godel_tasks.instances.drivers import driver_names
from godel_tasks.views.instances import InstanceView, all_instances, instance_named

if TYPE_CHECKING:
    from godel_tasks.runtime import Runtime

instances = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    help="List, show, add, change and remove instances.",
)

Id = Annotated[str, typer.Argument(metavar="ID")]

#: What an instance id may be made of, as `godel instance --id` has it.
_ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
_DAY_S = 86_400.0


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
    """List the registered instances. Status is judged by lease, on Redis's clock."""
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
            view.config.capacity,
            view.slots_used,
            view.slots_orphaned or "",
            view.config.region,
            view.config.pool,
            _pairs(view.config.capabilities),
            _load(view),
        )
        for view in found
    ]
    columns = ("instance", "status", "capacity>", "used>", "orphaned>", "region", "pool")
    answer(
        as_json,
        {"instances": [as_data(view) for view in found]},
        table(*columns, "capabilities", "load", rows=rows) if rows else "",
        counted(len(rows), "instance") + "."
        if rows
        else "There are none. Serve a function with `godel instance --handler module:function`.",
    )


@instances.command()
def show(instance_id: Id, as_json: AsJson = False) -> None:
    """Show one instance: configuration, lease, slots, metrics."""
    with opened() as runtime:
        view = instance_named(runtime, instance_id)
    data = as_data(view)
    flat = {**data, "capabilities": _pairs(view.config.capabilities), "lease": _lease(view)}
    metrics = {k: v for k, v in flat.pop("metrics").items() if v is not None}
    flat.pop("lease_left_ms")
    answer(as_json, data, facts({k.replace("_", " "): v for k, v in {**flat, **metrics}.items()}))


@instances.command()
def add(
    instance_id: Id,
    endpoint: Annotated[str, typer.Argument(help="Where it listens, as host:port.")],
    driver: Annotated[str, typer.Option(help=f"One of {', '.join(driver_names())}.")] = "grpc",
    capacity: Annotated[int, typer.Option(min=1, help="Most attempts at once.")] = 1,
    region: Annotated[str, typer.Option()] = "",
    pool: Annotated[str, typer.Option(help="The trust domain it belongs to.")] = DEFAULT_POOL,
    capability: Annotated[
        list[str] | None, typer.Option(metavar="NAME=VALUE", help="Repeat it.")
    ] = None,
    credentials: Annotated[
        str, typer.Option(metavar="env:NAME|file:PATH", help="Where its credentials are.")
    ] = "",
    lease: Annotated[
        float, typer.Option(min=1, metavar="SECONDS", help="How long it counts as alive.")
    ] = _DAY_S,
    replace: Annotated[
        bool, typer.Option("--replace", help="Though one of that id is registered already.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Register an instance by hand, one that sends no heartbeats of its own.

    Nobody attends it: it counts as alive until --lease is over, also when it is not there. An
    instance of `godel instance` registers itself and needs none of this.
    """
    from godel_tasks.instances.drivers import driver_named

    driver_named(driver)  # raises UnknownDriver, with the nearest name
    config = InstanceConfig(
        instance_id=_checked_id(instance_id),
        endpoint=endpoint,
        driver=driver,
        capacity=capacity,
        region=_checked_name(region, "--region"),
        pool=_checked_name(pool, "--pool"),
        capabilities=pairs_of(capability or [], option="--capability"),
        credentials=_checked_reference(credentials),
    )
    with opened() as runtime:
        _refuse_taken(runtime, instance_id, replace=replace)
        registry = runtime.registry
        runtime.store.run(registry.register(config))
        runtime.store.run(
            registry.attend(
                instance_ids=[instance_id],
                lease_ms=int(lease * 1000),
                event="instance.registered",
            )
        )
        runtime.store.run(registry.keep(instance_id=instance_id))
        view = instance_named(runtime, instance_id)
    answer(
        as_json,
        as_data(view),
        f"Added instance {instance_id} at {endpoint}.",
        f"Nobody attends it: it counts as alive for {span(lease * 1000)}, unless it sends "
        "heartbeats of its own. Add it again with --replace to go on after that.",
    )


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
    """Take an instance out of the registry. One that still runs registers again: stop it first."""
    with opened() as runtime:
        view = instance_named(runtime, instance_id)
        if view.slots_used and view.status is not InstanceStatus.DEAD and not force:
            raise InstanceError(
                f"instance {instance_id} has {counted(view.slots_used, 'slot')} in use",
                hint=f"drain it with `godel instances set {instance_id} --status draining` and "
                "wait, or give --force",
            )
        runtime.store.pipeline(
            [
                runtime.registry.depart(instance_id=instance_id),
                runtime.registry.forget(instance_id=instance_id),
            ]
        )
    answer(
        as_json,
        {"instance": instance_id, "slots_used": view.slots_used},
        f"Removed instance {instance_id}.",
    )


def as_data(view: InstanceView) -> dict[str, Any]:
    """An instance as JSON shows it. What is not known is null."""
    config, metrics = view.config, view.record.metrics
    return {
        "instance": config.instance_id,
        "status": view.status.value,
        "endpoint": config.endpoint,
        "driver": config.driver,
        "capacity": config.capacity,
        "slots_used": view.slots_used,
        "slots_orphaned": view.slots_orphaned,
        "region": config.region,
        "pool": config.pool,
        "capabilities": config.capabilities,
        "workspace_dir": config.workspace_dir,
        "provider": config.provider,
        "credentials": config.credentials,
        "generation": view.record.generation,
        "registered": when(moment(view.record.registered_ms)),
        "lease_left_ms": view.lease_left_ms if view.record.lease_until_ms else None,
        "metrics": {
            "cpu_usage": metrics.cpu_usage,
            "memory_usage": metrics.memory_usage,
            "active_sessions": metrics.active_sessions,
            "queued_tasks": metrics.queued_tasks,
            "completed_tasks": metrics.completed_tasks,
            "failed_tasks": metrics.failed_tasks,
            "backpressure": metrics.backpressure,
        },
    }


def _lease(view: InstanceView) -> str:
    if not view.record.lease_until_ms:
        return "it has left the registry"
    if view.lease_left_ms <= 0:
        return f"over for {span(-view.lease_left_ms)}"
    return f"{span(view.lease_left_ms)} left"


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


def _checked_id(text: str) -> str:
    if not _ID.fullmatch(text):
        raise typer.BadParameter(
            f"{text!r} is not an instance's id: use letters, digits, '.', '_' and '-', at most 100."
        )
    return text


def _checked_name(text: str, option: str) -> str:
    if text and not is_name(text):
        raise typer.BadParameter(
            f"{text!r} is not a name: use letters, digits and . _ - @, at most 64.",
            param_hint=option,
        )
    return text


def _checked_reference(text: str) -> str:
    kind, _, rest = text.partition(":")
    if text and (kind not in ("env", "file") or not rest):
        # Not shown again: it may be a secret that was given by mistake.
        raise typer.BadParameter(
            "Give a reference, env:NAME or file:PATH. A secret's value does not belong here.",
            param_hint="--credentials",
        )
    return text


def _refuse_taken(runtime: Runtime, instance_id: str, *, replace: bool) -> None:
    taken = {view.record.instance_id: view for view in all_instances(runtime)}.get(instance_id)
    if taken is not None and taken.status is not InstanceStatus.DEAD and not replace:
        raise InstanceError(
            f"an instance {instance_id} is registered already, at {taken.config.endpoint}",
            hint="choose another id, or give --replace; then what runs there counts as uncertain",
        )
