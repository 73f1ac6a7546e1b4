"""Finding the engine or the cluster, as Docker's and Kubernetes' own commands do."""

from __future__ import annotations

import json
import os
from pathlib import Path

import aiodocker.docker
import pytest

from godel_tasks.domain.pool import InstanceTemplate
from godel_tasks.errors import InstanceUnavailable, ProviderRefused
from godel_tasks.instances.pods import connecting
from godel_tasks.instances.providers import provider_named
from tests.providers.stubs.docker import DockerStub
from tests.providers.stubs.kubernetes import KubernetesStub
from tests.providers.stubs.pods import NAMESPACE, Behaviour

PODS = InstanceTemplate("agents", "kubernetes", options={"workload": "deployment/gw"})
CONTAINERS = InstanceTemplate("agents", "docker", options={"image": "agents:1"})


@pytest.fixture(autouse=True)
def nowhere(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """Nothing of this machine is found."""
    for name in list(os.environ):
        if name.startswith(("GODEL_", "KUBE", "DOCKER_")):
            monkeypatch.delenv(name)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setattr(connecting, "ACCOUNT", tmp_path / "account")
    monkeypatch.setattr(aiodocker.docker, "_sock_search_paths", [])


def write_kubeconfig(path: Path, server: str, namespace: str, token: str = "t-1") -> None:
    context = {"cluster": "c", "user": "u", "namespace": namespace}
    config = {
        "current-context": "here",
        "contexts": [{"name": "here", "context": context}],
        "clusters": [{"name": "c", "cluster": {"server": server}}],
        "users": [{"name": "u", "user": {"token": token}}],
    }
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(config))


async def test_the_cluster_and_the_namespace_are_those_of_kubectl(tmp_path: Path) -> None:
    async with KubernetesStub() as cluster:
        # Given a kubeconfig where kubectl looks for it, and a cluster that wants its token
        cluster.token = "t-1"
        cluster.apply("deployment", "gw", 0, Behaviour(waits_for_id=True))
        write_kubeconfig(tmp_path / ".kube" / "config", cluster.url, NAMESPACE)
        # When an instance is made by a provider that was told nothing
        provider = provider_named("kubernetes")
        await provider.spawn(PODS, "a-1")
        # Then it is there
        assert [one.instance_id for one in await provider.provided()] == ["a-1"]
        assert provider.place == NAMESPACE
        # And with another token nothing is
        write_kubeconfig(tmp_path / ".kube" / "config", cluster.url, NAMESPACE, token="wrong")
        with pytest.raises(ProviderRefused, match="Unauthorized") as refused:
            await provider.provided()
        assert refused.value.status == 401


async def test_another_file_and_another_namespace_can_be_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with KubernetesStub() as cluster:
        write_kubeconfig(tmp_path / "elsewhere", cluster.url, "not-that-one")
        monkeypatch.setenv("KUBECONFIG", str(tmp_path / "elsewhere"))
        monkeypatch.setenv("GODEL_KUBERNETES_NAMESPACE", NAMESPACE)
        assert await provider_named("kubernetes").provided() == []


async def test_inside_a_pod_it_is_the_pods_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    # Given what a pod finds
    account = tmp_path / "account"
    account.mkdir()
    for name, text in {"token": "t-1", "namespace": "agents\n", "ca.crt": "a certificate"}.items():
        (account / name).write_text(text)
    monkeypatch.setenv("KUBERNETES_SERVICE_HOST", "10.96.0.1")
    monkeypatch.setenv("KUBERNETES_SERVICE_PORT", "443")
    # Then it is used, whatever kubeconfig there is
    write_kubeconfig(tmp_path / ".kube" / "config", "http://127.0.0.1:1", "not-that-one")
    found = await connecting.configuration()
    assert found.host == "https://10.96.0.1:443"
    assert found.ssl_ca_cert == str(account / "ca.crt")
    assert found.api_key == {"BearerToken": "Bearer t-1"}
    assert connecting.namespace() == "agents"


async def test_without_any_cluster_the_error_says_what_to_do() -> None:
    with pytest.raises(
        InstanceUnavailable,
        match=r"no Kubernetes cluster was found: there is no .*/\.kube/config .*set KUBECONFIG",
    ):
        await provider_named("kubernetes").provided()


async def test_the_engine_is_the_one_of_the_docker_command(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    async with DockerStub() as engine:
        monkeypatch.setenv("DOCKER_HOST", engine.url.replace("http:", "tcp:"))
        provider = provider_named("docker")
        await provider.spawn(CONTAINERS, "a-1")
        assert [one.instance_id for one in await provider.provided()] == ["a-1"]
        assert provider.place == os.environ["DOCKER_HOST"]


async def test_without_any_engine_the_error_says_what_to_do() -> None:
    with pytest.raises(InstanceUnavailable, match=r"no Docker engine was found.*DOCKER_HOST"):
        await provider_named("docker").provided()
