"""Providers by name."""

from __future__ import annotations

import difflib

from godel_tasks.errors import Unsupported
from godel_tasks.instances.provider import Provider
from godel_tasks.instances.providers.static import StaticProvider

#: As `ProcessProvider.name`: what runs gateways is imported when it is wanted.
PROCESS = "process"


def provider_names() -> tuple[str, ...]:
    return (StaticProvider.name, PROCESS)


def provider_named(name: str) -> Provider:
    """A provider as the registry's `provider` field names it.

    Raises:
        Unsupported: there is no such provider.
    """
    if name == StaticProvider.name:
        return StaticProvider()
    if name == PROCESS:
        from godel_tasks.instances.providers.process import ProcessProvider

        return ProcessProvider()
    near = difflib.get_close_matches(name, provider_names(), n=1)
    raise Unsupported(
        f"no provider is called {name!r}",
        hint=f"did you mean {near[0]!r}?" if near else f"known: {', '.join(provider_names())}",
    )
