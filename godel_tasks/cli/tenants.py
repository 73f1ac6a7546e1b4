"""`godel tenants`: who owns tasks, and what share they get."""

from __future__ import annotations

import difflib
from typing import TYPE_CHECKING, Annotated, Any

import typer

from godel_tasks.cli.output import AsJson, answer, counted, dollars, facts, table
from godel_tasks.cli.session import opened
from godel_tasks.domain.instance import DEFAULT_POOL
from godel_tasks.domain.task import OnUncertain
from godel_tasks.domain.tenant import DEFAULT_MAX_QUEUE, TenantConfig, TenantStatus
from godel_tasks.errors import TenantExists, UnknownTenant
from godel_tasks.policy.tenants import tenant_fields

if TYPE_CHECKING:
    from godel_tasks.dispatch.config import CellStore
    from godel_tasks.runtime import Runtime

tenants = typer.Typer(
    no_args_is_help=True, add_completion=False, help="List, show, add and change tenants."
)

Name = Annotated[str, typer.Argument(metavar="NAME")]
_WEIGHT = "The share under contention, relative to other tenants'."
_MAX_QUEUE = "Most tasks that may wait, be delayed or on hold."
_POOL = "The trust domain that its tasks run in; behind + those that the strategy fallback may use."
_STRATEGY = "How instances are picked where a task does not say; '' for the deployment's choice."
_ON_UNCERTAIN = "When an attempt may have run: retry, hold or fail; '' for the deployment's choice."


_LAST_COLUMNS = ("max queue>", "pool", "on uncertain", "tokens>", "cost>")
#: Shown when there is any: instances need not say what they use.
_USAGE = ("tokens_in", "tokens_out", "tokens_cached", "cost_usd")


@tenants.command("list")
def list_tenants(as_json: AsJson = False) -> None:
    """List all tenants, with what waits and what runs."""
    with opened() as runtime:
        found = sorted(_all(runtime), key=lambda status: status.config.tenant_id)
    rows = [
        (
            status.config.tenant_id,
            f"{status.config.weight:g}",
            status.depth,
            status.in_flight,
            status.succeeded,
            status.failed,
            status.config.max_queue,
            status.config.pool,
            status.config.on_uncertain or "",
            f"{status.tokens:,}" if status.tokens else "",
            dollars(status.cost_usd) if status.cost_usd else "",
        )
        for status in found
    ]
    columns = ("tenant", "weight>", "queued>", "in flight>", "succeeded>", "failed>")
    answer(
        as_json,
        {"tenants": [as_data(status) for status in found]},
        table(*columns, *_LAST_COLUMNS, rows=rows) if rows else "",
        counted(len(rows), "tenant") + "."
        if rows
        else "There are none. Add one with `godel tenants add NAME`.",
    )


@tenants.command()
def show(name: Name, as_json: AsJson = False) -> None:
    """Show one tenant with its counters."""
    with opened() as runtime:
        _, status = _find(runtime, name)
    data = as_data(status)
    shown = {key: value for key, value in data.items() if value or key not in _USAGE}
    if "cost_usd" in shown:
        shown["cost"] = dollars(shown.pop("cost_usd"))
    answer(as_json, data, facts({key.replace("_", " "): value for key, value in shown.items()}))


@tenants.command()
def add(
    name: Name,
    weight: Annotated[float, typer.Option(help=_WEIGHT)] = 1.0,
    max_queue: Annotated[int, typer.Option(help=_MAX_QUEUE)] = DEFAULT_MAX_QUEUE,
    pool: Annotated[str, typer.Option(help=_POOL)] = DEFAULT_POOL,
    on_uncertain: Annotated[str, typer.Option(help=_ON_UNCERTAIN)] = "",
    strategy: Annotated[str, typer.Option(help=_STRATEGY)] = "",
    as_json: AsJson = False,
) -> None:
    """Add a tenant. Its tasks are accepted at once."""
    tenant_fields(
        name, weight=weight, max_queue=max_queue, pool=pool, on_uncertain=on_uncertain,
        strategy=strategy,
    )  # fmt: skip
    choice = OnUncertain(on_uncertain) if on_uncertain else None
    config = TenantConfig(name, weight, max_queue, pool, choice, strategy)
    with opened() as runtime:
        cell = runtime.cell_of(name)
        if runtime.store.run(cell.tenants.put(config, create="new")) == "exists":
            raise TenantExists(
                f"a tenant {name!r} exists already",
                hint=f"change it with `godel tenants set {name}`",
            )
        _, status = _find(runtime, name)
    answer(
        as_json,
        as_data(status),
        f"Added tenant {name}: weight {status.config.weight:g}, pool {pool}.",
    )


@tenants.command("set")
def set_tenant(
    name: Name,
    weight: Annotated[float | None, typer.Option(help=_WEIGHT)] = None,
    max_queue: Annotated[int | None, typer.Option(help=_MAX_QUEUE)] = None,
    pool: Annotated[str | None, typer.Option(help=_POOL + " Tasks that wait keep theirs.")] = None,
    on_uncertain: Annotated[str | None, typer.Option(help=_ON_UNCERTAIN)] = None,
    strategy: Annotated[
        str | None, typer.Option(help=_STRATEGY + " Tasks that wait keep theirs.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Change a tenant. A new weight acts on its backlog at once."""
    fields = tenant_fields(
        name, weight=weight, max_queue=max_queue, pool=pool, on_uncertain=on_uncertain,
        strategy=strategy,
    )  # fmt: skip
    if not fields:
        raise typer.BadParameter("Nothing is to be changed: give --weight, --max-queue, ...")
    with opened() as runtime:
        cell, _ = _find(runtime, name)
        runtime.store.run(cell.tenants.change(name, fields))
        _, status = _find(runtime, name)
    changed = ", ".join(f"{key} {value or '(default)'}" for key, value in fields.items())
    answer(as_json, as_data(status), f"Tenant {name} has now: {changed}.")


def as_data(status: TenantStatus) -> dict[str, Any]:
    """A tenant as JSON shows it. `slot_ms` is slot time used so far, `average_ms` an attempt's
    moving average."""
    config = status.config
    return {
        "tenant": config.tenant_id,
        "weight": config.weight,
        "max_queue": config.max_queue,
        "pool": config.pool,
        "strategy": config.strategy or None,
        "on_uncertain": config.on_uncertain.value if config.on_uncertain else None,
        "queued": status.depth,
        "in_flight": status.in_flight,
        "submitted": status.submitted,
        "succeeded": status.succeeded,
        "failed": status.failed,
        "expired": status.expired,
        "cancelled": status.cancelled,
        "slot_ms": round(status.slot_ms, 3),
        "average_ms": round(status.average_ms, 3),
        "tokens_in": status.tokens_in,
        "tokens_out": status.tokens_out,
        "tokens_cached": status.tokens_cached,
        "cost_usd": status.cost_usd,
    }


def _all(runtime: Runtime) -> list[TenantStatus]:
    names = runtime.store.pipeline([cell.tenants.names() for cell in runtime.cells])
    commands = [
        cell.tenants.status(name)
        for cell, in_cell in zip(runtime.cells, names, strict=True)
        for name in in_cell
    ]
    return [status for status in runtime.store.pipeline(commands) if status is not None]


def _find(runtime: Runtime, name: str) -> tuple[CellStore, TenantStatus]:
    """Raises: UnknownTenant, with the nearest name that exists."""
    # Asked of every cell: to ask for its cell would give an unknown one a place.
    found = runtime.store.pipeline([cell.tenants.status(name) for cell in runtime.cells])
    for cell, status in zip(runtime.cells, found, strict=True):
        if status is not None:
            return cell, status
    names = [status.config.tenant_id for status in _all(runtime)]
    near = difflib.get_close_matches(name, names, n=1)
    raise UnknownTenant(
        f"no tenant is called {name!r}",
        hint=f"did you mean {near[0]!r}?" if near else f"add it with `godel tenants add {name}`",
    )
