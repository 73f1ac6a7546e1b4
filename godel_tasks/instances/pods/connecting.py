"""Find the cluster: from inside it by the pod's own service account, else as kubectl does."""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from godel_tasks.errors import InstanceUnavailable, Unsupported
from godel_tasks.instances.pods.cluster import Cluster

if TYPE_CHECKING:
    from kubernetes_asyncio.client import Configuration

#: Where a pod finds who it is.
ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
Configure = Callable[[], Awaitable["Configuration"]]


def inside() -> bool:
    """Whether this process runs in a pod that may talk to its cluster."""
    return bool(os.environ.get("KUBERNETES_SERVICE_HOST")) and (ACCOUNT / "token").exists()


def namespace() -> str:
    """The one that this process, or its kubeconfig, is in.

    Raises:
        Unsupported: kubernetes-asyncio is not installed.
        InstanceUnavailable: there is neither a service account nor a kubeconfig.
    """
    if inside():
        return (ACCOUNT / "namespace").read_text().strip()
    config = _library()
    try:
        _, active = config.list_kube_config_contexts(_kubeconfig())
    except (config.ConfigException, OSError) as error:
        raise _nowhere(error) from error
    return str(active["context"].get("namespace") or "default")


async def configuration() -> Configuration:
    """How to talk to it. Raises as `namespace`."""
    config = _library()
    from kubernetes_asyncio.client import Configuration

    made = Configuration()
    try:
        if inside():
            config.load_incluster_config(
                client_configuration=made,
                token_filename=str(ACCOUNT / "token"),
                cert_filename=str(ACCOUNT / "ca.crt"),
            )
        else:
            await config.load_kube_config(
                _kubeconfig(), client_configuration=made, persist_config=False
            )
    except (config.ConfigException, OSError) as error:
        raise _nowhere(error) from error
    return made


def _kubeconfig() -> str:
    """As kubectl has it: one file, or several with colons. Raises: InstanceUnavailable."""
    found = os.environ.get("KUBECONFIG") or str(Path.home() / ".kube" / "config")
    if not any(Path(path).exists() for path in found.split(os.pathsep)):
        raise _nowhere(f"there is no {found}")
    return found


@asynccontextmanager
async def connected(namespace: str, configure: Configure = configuration) -> AsyncIterator[Cluster]:
    """The cluster, in that namespace. Raises as `namespace`."""
    _library()
    from kubernetes_asyncio.client import ApiClient

    async with ApiClient(await configure()) as client:
        yield Cluster(client, namespace)


def _nowhere(why: object) -> InstanceUnavailable:
    return InstanceUnavailable(
        f"no Kubernetes cluster was found: {why}",
        hint="run Godel in the cluster with a service account, or set KUBECONFIG",
    )


def _library() -> Any:
    try:
        from kubernetes_asyncio import config
    except ImportError as error:
        raise Unsupported(
            "the provider 'kubernetes' needs the package kubernetes-asyncio, which is not "
            "installed",
            hint="pip install 'godel-tasks[kubernetes]'",
        ) from error
    return config
