"""Providers by name."""

from __future__ import annotations

import difflib

from godel_tasks.errors import Unsupported
from godel_tasks.instances.provider import Provider
from godel_tasks.instances.providers.static import StaticProvider

#: As the `name` of each: what they need is imported when they are wanted.
PROCESS, DOCKER, KUBERNETES = "process", "docker", "kubernetes"


def provider_names() -> tuple[str, ...]:
    return (StaticProvider.name, PROCESS, DOCKER, KUBERNETES)


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
    if name == DOCKER:
        from godel_tasks.instances.providers.docker import DockerProvider

        return DockerProvider()
    if name == KUBERNETES:
        from godel_tasks.instances.providers.kubernetes import KubernetesProvider

        return KubernetesProvider()
    near = difflib.get_close_matches(name, provider_names(), n=1)
    raise Unsupported(
        f"no provider is called {name!r}",
        hint=f"did you mean {near[0]!r}?" if near else f"known: {', '.join(provider_names())}",
    )
