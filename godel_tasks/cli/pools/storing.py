"""Pools in the store, as the commands read and write them."""

from __future__ import annotations

import difflib
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from godel_tasks.domain.instance import DEFAULT_POOL
from godel_tasks.domain.pool import PoolConfig
from godel_tasks.errors import PoolExists, UnknownPool
from godel_tasks.instances.providers import provider_named
from godel_tasks.store.pools import PoolCommands, Stored

if TYPE_CHECKING:
    from godel_tasks.runtime import Runtime

_COMMANDS = PoolCommands()


def all_pools(runtime: Runtime) -> dict[str, PoolConfig]:
    """Every pool by name; `shared` is there without being declared."""
    stored = runtime.store.run(_COMMANDS.pools())
    found = {name: each.value for name, each in stored.items()}
    return dict(sorted(({DEFAULT_POOL: PoolConfig(DEFAULT_POOL)} | found).items()))


def known_pool(runtime: Runtime, name: str) -> Stored[PoolConfig]:
    """Raises: UnknownPool, with the nearest name."""
    stored = runtime.store.run(_COMMANDS.pool(name))
    if stored is not None:
        return stored
    if name == DEFAULT_POOL:
        return Stored(PoolConfig(name), "")
    near = difflib.get_close_matches(name, all_pools(runtime), n=1)
    raise UnknownPool(
        f"no pool is called {name!r}",
        hint=f"did you mean {near[0]!r}?" if near else f"declare it with `godel pools add {name}`",
    )


def store(runtime: Runtime, config: PoolConfig, *, before: str) -> None:
    """Raises: PoolExists when somebody has declared or changed it meanwhile."""
    if not runtime.store.run(_COMMANDS.put_pool(config, before=before)):
        raise PoolExists(
            f"a pool {config.name!r} exists already"
            if not before
            else f"somebody else has just changed pool {config.name!r}",
            hint=f"change it with `godel pools set {config.name}`"
            if not before
            else "look with `godel pools show`, and try again",
        )


def drop(runtime: Runtime, stored: Stored[PoolConfig]) -> bool:
    """False when somebody else has changed it meanwhile."""
    return runtime.store.run(_COMMANDS.drop_pool(stored.value.name, before=stored.raw))


def placed(config: PoolConfig, base: Path) -> PoolConfig:
    """With the folder in which a handler stands named in full: it is `base`, or below it. Processes
    of other folders make instances from it."""
    template = config.template
    if template is None or (template.provider, template.driver) != ("process", "grpc"):
        return config
    cwd = str((base / template.options.get("cwd", "")).absolute())
    return replace(config, template=replace(template, options={**template.options, "cwd": cwd}))


def check(config: PoolConfig) -> None:
    """Raises: InvalidPool, Unsupported."""
    if config.template is not None:
        provider_named(config.template.provider).check(config.template)


def as_data(config: PoolConfig) -> dict[str, Any]:
    """A pool as JSON shows it; `template` is null when nothing is made in it."""
    template = config.template
    return {
        "pool": config.name,
        "min_available": config.min_available,
        "replace": config.replace,
        "replace_after_s": config.replace_after_s,
        "template": None
        if template is None
        else {
            "provider": template.provider,
            "driver": template.driver,
            "capacity": template.capacity,
            "region": template.region,
            "capabilities": template.capabilities,
            "options": template.options,
        },
    }
