"""Every place where the contract is kept, by name."""

from __future__ import annotations

from tests.providers.pod_sites import DeploymentSite, StatefulSetSite
from tests.providers.sites import DockerSite, GatewaySite, LocalSite, ProviderSite

SITES: dict[str, type[ProviderSite]] = {
    "process-grpc": LocalSite,
    "process-openclaw": GatewaySite,
    "docker": DockerSite,
    "kubernetes-deployment": DeploymentSite,
    "kubernetes-statefulset": StatefulSetSite,
}
#: Those of which one that does not run is there all the same. What becomes of a killed pod is up to
#: its cluster: test_kubernetes.py.
STOPPING = [name for name, site in SITES.items() if site.stops]
