"""What stories about pods need: a provider of a stub, templates, names."""

from __future__ import annotations

from kubernetes_asyncio.client import Configuration

from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.domain.pool import InstanceTemplate
from godel_tasks.instances.pods.waiting import Pace
from godel_tasks.instances.providers.kubernetes import KubernetesProvider
from tests.providers.stubs.pods import NAMESPACE, Behaviour

#: What runs in the pods of a Deployment waits until it is told who it is.
WAITS = Behaviour(waits_for_id=True)
INSTANCE = "godel.dev/instance"
PACE = Pace(poll_s=0.02, choose_s=0.3)


def provider_of(url: str) -> KubernetesProvider:
    async def configure() -> Configuration:
        return Configuration(host=url)

    return KubernetesProvider(NAMESPACE, configure=configure, pace=PACE)


def template(kind: str = "deployment", driver: str = "grpc", **options: str) -> InstanceTemplate:
    given = {"workload": f"{kind}/gw", "ready_s": "5", **options}
    return InstanceTemplate("agents", "kubernetes", driver, options=given)


def config_of(instance_id: str) -> InstanceConfig:
    return InstanceConfig(instance_id, "", provider="kubernetes")


async def ids(provider: KubernetesProvider, pool: str = "agents") -> list[str]:
    return sorted(one.instance_id for one in await provider.provided(pool))
