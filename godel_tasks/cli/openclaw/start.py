"""`godel openclaw start`."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from godel_tasks.cli.openclaw.choosing import Given
from godel_tasks.cli.output import AsJson, answer, counted, notes
from godel_tasks.cli.session import opened
from godel_tasks.domain.instance import DEFAULT_POOL, InstanceStatus
from godel_tasks.domain.tenant import is_name
from godel_tasks.errors import GodelError, InstanceError, StoreUnavailable
from godel_tasks.settings import load_settings

if TYPE_CHECKING:
    from godel_tasks.openclaw.template import Model, Spec
    from godel_tasks.runtime import Runtime

#: As `godel instance --id` has it.
ID = re.compile(r"[A-Za-z0-9][A-Za-z0-9._-]{0,99}")
DEFAULT_ID = "gw-1"
CAPACITY = 8
#: Starting is work for a whole core, for ten seconds.
AT_ONCE = 2


def start(
    instance_id: Annotated[
        str, typer.Argument(metavar="[ID]", help="With --count N, ID-1 to ID-N.")
    ] = DEFAULT_ID,
    count: Annotated[int, typer.Option(min=1, max=50, help="How many to start.")] = 1,
    capacity: Annotated[
        int | None, typer.Option(min=1, max=256, help=f"Most turns at once. [default: {CAPACITY}]")
    ] = None,
    region: Annotated[str | None, typer.Option(help="[default: the setting GODEL_REGION]")] = None,
    pool: Annotated[
        str | None,
        typer.Option(help=f"The trust domain it belongs to. [default: {DEFAULT_POOL}]"),
    ] = None,
    model_url: Annotated[
        str, typer.Option(metavar="URL", help="An OpenAI-compatible model server, with /v1.")
    ] = "",
    model: Annotated[str, typer.Option(metavar="NAME", help="The model's id there.")] = "",
    model_key: Annotated[
        str, typer.Option(metavar="env:NAME", help="Where its key is; never the key itself.")
    ] = "",
    price_in: Annotated[
        float, typer.Option(min=0, help="Price of a million tokens that it reads.")
    ] = 0.0,
    price_out: Annotated[
        float, typer.Option(min=0, help="Price of a million tokens that it writes.")
    ] = 0.0,
    standin: Annotated[
        str, typer.Option(metavar="URL", help="Instead: a stand-in that makes answers up.")
    ] = "",
    no_register: Annotated[
        bool, typer.Option("--no-register", help="Only start; nothing of Godel need run.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Start OpenClaw gateways here, wait until they are ready, and register them.

    They go on after this command; `godel openclaw stop` ends them. A gateway that was started
    before keeps what no option changes: model, capacity, region, pool. Each takes about 1 GB.
    """
    from godel_tasks.cli.openclaw.telling import as_data, as_table
    from godel_tasks.openclaw.install import needed

    given = Given(model_url, model, model_key, price_in, price_out, standin)
    ids = _ids(instance_id, count)
    if pool is not None and not is_name(pool):
        raise typer.BadParameter(f"{pool!r} is not a name.", param_hint="--pool")
    settings = load_settings()
    needed()
    with ExitStack() as stack:
        runtime = None if no_register else _runtime(stack)
        if runtime is not None:
            _refuse_taken(runtime, ids)
        place = _Place(capacity, region, pool, settings.region)
        specs = [_prepare(settings.data_dir, each, given, place) for each in ids]
        if any(spec.model.standin for spec in specs):
            notes().print("A stand-in answers in the model's place: its answers are made up.")
        failed = asyncio.run(_start_all(settings.data_dir, specs, runtime))
    found = as_data(settings.data_dir, specs)
    if failed:
        _tell_failed(failed, len(specs))
        raise failed[0]
    answer(
        as_json,
        {"gateways": found, "registered": runtime is not None},
        as_table(found),
        f"Started {counted(len(found), 'gateway')}"
        + (", not registered." if no_register else "; dispatchers attend what is registered."),
    )


@dataclass(frozen=True, slots=True)
class _Place:
    """What the registry is to say of each; None: as it was started before, or the default."""

    capacity: int | None
    region: str | None
    pool: str | None
    own_region: str

    def spec(self, instance_id: str, model: Model, known: Spec | None) -> Spec:
        from godel_tasks.openclaw.template import Spec

        before = known or Spec(instance_id, model, CAPACITY, self.own_region, DEFAULT_POOL)
        return Spec(
            instance_id,
            model,
            before.capacity if self.capacity is None else self.capacity,
            before.region if self.region is None else self.region,
            before.pool if self.pool is None else self.pool,
            before.port,
        )


def _ids(base: str, count: int) -> list[str]:
    if not ID.fullmatch(base):
        raise typer.BadParameter(
            f"{base!r} is not an instance's id: use letters, digits, '.', '_' and '-', at most 100."
        )
    if count == 1:
        return [base]
    base = "gw" if base == DEFAULT_ID else base
    return [f"{base}-{number}" for number in range(1, count + 1)]


def _runtime(stack: ExitStack) -> Runtime:
    try:
        runtime = stack.enter_context(opened())
        runtime.store  # noqa: B018  (connects)
    except StoreUnavailable as error:
        raise StoreUnavailable(
            f"{error.message}; nothing was started",
            hint="run `godel up`, or set GODEL_REDIS_URL, or start it with --no-register",
        ) from error
    return runtime


def _refuse_taken(runtime: Runtime, ids: Sequence[str]) -> None:
    from godel_tasks.openclaw.gateways import PROVIDER
    from godel_tasks.views.instances import all_instances

    for view in all_instances(runtime):
        foreign = view.config.provider != PROVIDER and view.status is not InstanceStatus.DEAD
        if view.record.instance_id in ids and foreign:
            raise InstanceError(
                f"an instance {view.record.instance_id} is registered already, at "
                f"{view.config.endpoint}",
                hint="choose another id",
            )


def _prepare(data_dir: Path, instance_id: str, given: Given, place: _Place) -> Spec:
    from godel_tasks.cli.openclaw.choosing import chosen
    from godel_tasks.openclaw import gateways, processes
    from godel_tasks.openclaw.folder import folder_of

    known = {spec.instance_id: spec for spec in gateways.all_gateways(data_dir)}.get(instance_id)
    wanted = place.spec(instance_id, chosen(given, known.model if known else None), known)
    if known is not None and processes.main_process(folder_of(data_dir, instance_id)):
        if wanted != known:
            raise InstanceError(
                f"gateway {instance_id} runs already, with other settings",
                hint=f"stop it first: `godel openclaw stop {instance_id}`",
            )
        return known
    return gateways.create(data_dir, wanted)


async def _start_all(
    data_dir: Path, specs: Sequence[Spec], runtime: Runtime | None
) -> list[GodelError]:
    from godel_tasks.openclaw.folder import folder_of
    from godel_tasks.openclaw.running import Gateway

    turn = asyncio.Semaphore(AT_ONCE)

    async def one(spec: Spec) -> None:
        async with turn:
            notes().print(f"Starting {spec.instance_id} on port {spec.port}.")
            new = await Gateway(spec, folder_of(data_dir, spec.instance_id)).start()
        if runtime is not None:
            await asyncio.to_thread(_register, runtime, data_dir, spec, new=new)

    ended = await asyncio.gather(*map(one, specs), return_exceptions=True)
    for each in ended:
        if isinstance(each, BaseException) and not isinstance(each, GodelError):
            raise each
    return [each for each in ended if isinstance(each, GodelError)]


def _register(runtime: Runtime, data_dir: Path, spec: Spec, *, new: bool) -> None:
    from godel_tasks.openclaw.gateways import instance_config
    from godel_tasks.openclaw.registering import register_instance
    from godel_tasks.views.instances import all_instances

    config = instance_config(data_dir, spec)
    alive = {
        view.config.endpoint
        for view in all_instances(runtime)
        if view.record.instance_id == spec.instance_id and view.status is not InstanceStatus.DEAD
    }
    # Registered anew, what it runs would count as uncertain.
    if new or config.endpoint not in alive:
        register_instance(runtime, config)


def _tell_failed(failed: Sequence[GodelError], started: int) -> None:
    if started > 1:
        notes().print(
            f"{len(failed)} of {counted(started, 'gateway')} did not start; the others run."
        )
    for error in failed[1:]:
        notes().print(error.message, markup=False)
