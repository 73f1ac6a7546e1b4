"""Sites of the provider `kubernetes`, over the stub of a cluster: both kinds of workload."""

from __future__ import annotations

from dataclasses import replace

from kubernetes_asyncio.client import Configuration

from godel_tasks.domain.pool import InstanceTemplate
from godel_tasks.instances.pods.waiting import Pace
from godel_tasks.instances.provider import Provider
from godel_tasks.instances.providers.kubernetes import KubernetesProvider
from tests.providers.sites import ProviderSite
from tests.providers.stubs.kubernetes import KubernetesStub
from tests.providers.stubs.pods import NAMESPACE, Behaviour

BROKEN = Behaviour(stuck=("CrashLoopBackOff", "back-off"), restarts=2, says=("no licence",))


class DeploymentSite(ProviderSite):
    """A pool is a Deployment."""

    kind = "deployment"
    words = "no licence"
    misspelt = ("worklod", "workload")
    stops = False
    comes_up = Behaviour(waits_for_id=True)

    async def open(self) -> None:
        self._cluster = KubernetesStub()
        await self._cluster.__aenter__()
        for pool in ("p", "q"):
            self._apply(pool, self.comes_up)

    async def close(self) -> None:
        await self._cluster.__aexit__(None, None, None)

    def provider(self) -> Provider:
        async def configure() -> Configuration:
            return Configuration(host=self._cluster.url)

        pace = Pace(poll_s=0.02, choose_s=0.3)
        return KubernetesProvider(NAMESPACE, configure=configure, pace=pace)

    def template(self, pool: str = "p") -> InstanceTemplate:
        options = {"workload": f"{self.kind}/{pool}", "ready_s": "5"}
        return InstanceTemplate(pool, "kubernetes", options=options)

    def broken(self) -> InstanceTemplate:
        self._apply("p", BROKEN)
        return self.template()

    def stuck(self) -> InstanceTemplate:
        self._apply("p", replace(self.comes_up, ready_after_s=None))
        template = self.template()
        return replace(template, options=template.options | {"ready_s": "0.3"})

    async def kill(self, instance_id: str) -> None:
        raise NotImplementedError

    def left(self) -> list[str]:
        """What was asked for: the pods follow."""
        return [one.name for one in self._cluster.workloads.values() if one.replicas]

    def _apply(self, pool: str, behaviour: Behaviour) -> None:
        # The contract's ids begin at one.
        self._cluster.apply(self.kind, pool, 0, behaviour, pool=pool, first=1)


class StatefulSetSite(DeploymentSite):
    """A pool is a StatefulSet, whose pods have the names that the contract asks for."""

    kind = "statefulset"
    comes_up = Behaviour()
