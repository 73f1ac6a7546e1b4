"""Pods of either kind of workload as instances: what goes wrong, and what is refused."""

from __future__ import annotations

import asyncio
import sys
import time
from dataclasses import replace

import pytest

from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.errors import (
    InstanceUnavailable,
    InvalidPool,
    ProviderRefused,
    SpawnFailed,
    UnknownInstance,
    Unsupported,
)
from godel_tasks.instances.providers import provider_named
from godel_tasks.instances.providers.kubernetes import KubernetesProvider
from tests.helpers import wait_until_async
from tests.providers.cluster import WAITS, config_of, provider_of, template
from tests.providers.stubs.kubernetes import KubernetesStub
from tests.providers.stubs.pods import NAMESPACE, Behaviour, Workload


@pytest.mark.parametrize("kind", ["deployment", "statefulset"])
async def test_somebody_else_who_scales_is_not_overruled(
    provider: KubernetesProvider, cluster: KubernetesStub, kind: str
) -> None:
    # Given a workload, which somebody else scales between our look and our write
    workload = cluster.apply(kind, "gw", 0, WAITS if kind == "deployment" else Behaviour())
    rivals = iter([1])

    def rival() -> None:
        for _ in rivals:
            cluster.scale(workload, workload.replicas + 1)

    cluster.before_scale = rival
    # When an instance is made
    await provider.spawn(template(kind), "gw-0")
    # Then the write was refused, what is there now was looked at, and theirs was not undone
    assert sum("scale" in asked for asked in cluster.asked) == 1
    assert workload.replicas == 1


@pytest.mark.parametrize("kind", ["deployment", "statefulset"])
async def test_gateways_are_described_with_the_address_of_their_pod(
    provider: KubernetesProvider, cluster: KubernetesStub, kind: str
) -> None:
    cluster.apply(kind, "gw", 0, Behaviour())
    wanted = template(
        kind, "openclaw", endpoint="ws://{ip}:18789", credentials="file:/run/secrets/gw"
    )
    await provider.spawn(wanted, "gw-0")
    for _ in range(2):
        (found,) = await provider.provided()
        assert found.config == InstanceConfig(
            "gw-0",
            "ws://10.0.0.7:18789",
            driver="openclaw",
            pool="agents",
            provider="kubernetes",
            credentials="file:/run/secrets/gw",
        )
        # The same after a restart, for which the template is not known
        await provider.restart(config_of("gw-0"))


FAILURES = {
    "no image": (
        Behaviour(stuck=("ImagePullBackOff", "no such image agents:9")),
        "ImagePullBackOff: no such image agents:9",
    ),
    "it crashes": (
        Behaviour(stuck=("CrashLoopBackOff", "back-off"), restarts=2, says=("no licence",)),
        "CrashLoopBackOff: back-off:\n  no licence",
    ),
    "no room": (
        Behaviour(unschedulable="0/3 nodes are available"),
        "not ready within 0.3 s \\(0/3 nodes are available\\)",
    ),
    "never ready": (
        Behaviour(ready_after_s=None, says=("waiting for a database",)),
        "not ready within 0.3 s:\n  waiting for a database",
    ),
}


@pytest.mark.parametrize("kind", ["deployment", "statefulset"])
@pytest.mark.parametrize("failure", FAILURES)
async def test_one_that_does_not_come_up_says_why_and_leaves_nothing(
    provider: KubernetesProvider, cluster: KubernetesStub, failure: str, kind: str
) -> None:
    behaviour, words = FAILURES[failure]
    workload = cluster.apply(kind, "gw", 0, behaviour)
    with pytest.raises(SpawnFailed, match=words):
        await provider.spawn(template(kind, ready_s="0.3"), "gw-0")
    assert workload.replicas == 0
    await wait_until_async(cluster.settled, description="the controllers are done")
    assert cluster.pods == {}


@pytest.mark.parametrize("kind", ["deployment", "statefulset"])
async def test_when_no_pod_comes_the_request_is_taken_back(
    provider: KubernetesProvider, cluster: KubernetesStub, kind: str
) -> None:
    # Given a controller that makes nothing, for want of quota, say
    workload = cluster.apply(kind, "gw", 0, Behaviour())
    cluster.lag_s = 3600
    workload.changed_at = time.monotonic()
    with pytest.raises(SpawnFailed, match=f"{kind}/gw made no pod.* within 0.3 s"):
        await provider.spawn(template(kind, ready_s="0.3"), "gw-0")
    assert workload.replicas == 0


@pytest.mark.parametrize("kind", ["deployment", "statefulset"])
async def test_a_spawn_that_is_cancelled_leaves_nothing(
    provider: KubernetesProvider, cluster: KubernetesStub, kind: str
) -> None:
    workload = cluster.apply(kind, "gw", 0, Behaviour(ready_after_s=None))
    with pytest.raises(TimeoutError):
        async with asyncio.timeout(0.3):
            await provider.spawn(template(kind), "gw-0")
    assert workload.replicas == 0


@pytest.mark.parametrize("kind", ["deployment", "statefulset"])
async def test_it_has_its_own_time_to_end_or_as_much_as_it_is_given(
    provider: KubernetesProvider, cluster: KubernetesStub, kind: str
) -> None:
    slow = Behaviour(waits_for_id=kind == "deployment", ends_after_s=3600, grace_s=1)
    workload = cluster.apply(kind, "gw", 0, replace(slow, grace_s=3600))
    await provider.spawn(template(kind), "gw-0")
    workload.behaviour = slow
    await provider.spawn(template(kind), "gw-1")
    began = time.monotonic()
    await provider.remove("gw-1")
    assert time.monotonic() - began >= 0.9
    async with asyncio.timeout(60):
        await provider.remove("gw-0", grace_s=0)
    assert await provider.provided() == []


@pytest.mark.parametrize("kind", ["deployment", "statefulset"])
async def test_pods_are_neither_stopped_nor_started_by_hand(
    provider: KubernetesProvider, cluster: KubernetesStub, kind: str
) -> None:
    cluster.apply(kind, "gw", 0, Behaviour())
    await provider.spawn(template(kind), "gw-0")
    with pytest.raises(Unsupported, match=r"cannot be stopped.*drain it, or remove it"):
        await provider.stop(config_of("gw-0"))
    await provider.start(config_of("gw-0"))
    for act in (provider.start, provider.stop, provider.restart):
        with pytest.raises(UnknownInstance, match="no pod of instance 'gw-9'"):
            await act(config_of("gw-9"))
    await provider.remove("gw-9")


async def test_a_workload_that_was_not_handed_over_is_not_scaled(
    provider: KubernetesProvider, cluster: KubernetesStub
) -> None:
    with pytest.raises(SpawnFailed, match="has no deployment/gw"):
        await provider.spawn(template(), "a-1")
    cluster.apply("deployment", "gw", 1, WAITS, pool="")
    with pytest.raises(SpawnFailed, match=r"no label godel\.dev/pool"):
        await provider.spawn(template(), "a-1")
    cluster.apply("deployment", "gw", 1, WAITS, pool="others")
    with pytest.raises(SpawnFailed, match=r"they have godel\.dev/pool: others"):
        await provider.spawn(template(), "a-1")
    assert not any("scale" in asked for asked in cluster.asked)


async def test_a_missing_permission_is_named(
    provider: KubernetesProvider, cluster: KubernetesStub, deployment: Workload
) -> None:
    cluster.forbidden.add("PATCH /apis/apps/v1/namespaces/{namespace}/deployments/{name}/scale")
    with pytest.raises(ProviderRefused, match=r"would not scale deployment/gw.*role") as refused:
        await provider.spawn(template(), "a-1")
    assert refused.value.status == 403


async def test_a_cluster_that_is_not_there_is_named() -> None:
    with pytest.raises(InstanceUnavailable, match="cannot list pods"):
        await provider_of("http://127.0.0.1:1").provided()


def test_a_wrong_template_is_refused_with_all_that_is_wrong() -> None:
    wrong = template(workload="daemonset/gw", redy_s="5", **{"env:A": "b"})
    with pytest.raises(InvalidPool) as refused:
        KubernetesProvider(NAMESPACE).check(wrong)
    text = str(refused.value)
    assert "workload: expected statefulset/NAME or deployment/NAME, got 'daemonset/gw'" in text
    assert "redy_s: no option of this provider; did you mean 'ready_s'?" in text
    assert "env:A: a pod's environment is that of its workload" in text


async def test_without_the_extra_the_error_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setitem(sys.modules, "kubernetes_asyncio", None)
    provider = provider_named("kubernetes")
    provider.check(template())
    with pytest.raises(Unsupported, match=r"pip install 'godel-tasks\[kubernetes\]'"):
        await provider.provided()
