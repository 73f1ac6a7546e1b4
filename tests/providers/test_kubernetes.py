"""Pods as instances, over a stub of the API that knows its published description."""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import AsyncIterator
from dataclasses import replace

import pytest
from kubernetes_asyncio.client import Configuration

from godel_tasks.domain.instance import InstanceConfig
from godel_tasks.domain.pool import InstanceTemplate
from godel_tasks.errors import (
    InstanceUnavailable,
    InvalidPool,
    ProviderRefused,
    SpawnFailed,
    UnknownInstance,
    Unsupported,
)
from godel_tasks.instances.pods.waiting import Pace
from godel_tasks.instances.providers import provider_named
from godel_tasks.instances.providers.kubernetes import KubernetesProvider
from tests.helpers import wait_until_async
from tests.providers.stubs.kubernetes import NAMESPACE, Behaviour, KubernetesStub, Workload

#: What runs in the pods of a Deployment waits until it is told who it is.
WAITS = Behaviour(waits_for_id=True)
INSTANCE = "godel.dev/instance"
PACE = Pace(poll_s=0.02, choose_s=0.3)


@pytest.fixture
async def cluster() -> AsyncIterator[KubernetesStub]:
    async with KubernetesStub() as stub:
        yield stub


def provider_of(url: str) -> KubernetesProvider:
    async def configure() -> Configuration:
        return Configuration(host=url)

    return KubernetesProvider(NAMESPACE, configure=configure, pace=PACE)


@pytest.fixture
def provider(cluster: KubernetesStub) -> KubernetesProvider:
    return provider_of(cluster.url)


@pytest.fixture
def deployment(cluster: KubernetesStub) -> Workload:
    return cluster.apply("deployment", "gw", 0, WAITS)


@pytest.fixture
def statefulset(cluster: KubernetesStub) -> Workload:
    return cluster.apply("statefulset", "gw", 0, Behaviour())


def template(kind: str = "deployment", driver: str = "grpc", **options: str) -> InstanceTemplate:
    given = {"workload": f"{kind}/gw", "ready_s": "5", **options}
    return InstanceTemplate("agents", "kubernetes", driver, options=given)


def config_of(instance_id: str) -> InstanceConfig:
    return InstanceConfig(instance_id, "", provider="kubernetes")


async def ids(provider: KubernetesProvider, pool: str = "agents") -> list[str]:
    return sorted(one.instance_id for one in await provider.provided(pool))


# -------------------------------------------------------------------------- deployments


async def test_an_instance_is_a_pod_more_that_is_told_who_it_is(
    provider: KubernetesProvider, cluster: KubernetesStub, deployment: Workload
) -> None:
    assert await provider.next_id(template()) == ""
    # When an instance is made
    await provider.spawn(template(), "a-1")
    # Then the Deployment has a pod more, which was told its id and is ready
    assert deployment.replicas == 1
    (pod,) = cluster.pods.values()
    assert pod.annotations == {"godel.dev/instance": "a-1"}
    assert pod.ready
    # And whoever looks finds it
    (found,) = await provider.provided()
    assert (found.instance_id, found.pool, found.running) == ("a-1", "agents", True)
    assert found.detail == f"pod {pod.name}, Running"
    # And a second spawn of the same id changes nothing
    await provider.spawn(template(), "a-1")
    assert deployment.replicas == 1


async def test_many_at_once_get_a_pod_each(
    provider: KubernetesProvider, cluster: KubernetesStub, deployment: Workload
) -> None:
    names = [f"a-{number}" for number in range(8)]
    await asyncio.gather(*(provider.spawn(template(), name) for name in names))
    assert await ids(provider) == names
    assert deployment.replicas == len(cluster.pods) == 8


async def test_the_same_id_is_given_to_one_pod_however_many_ask(
    provider: KubernetesProvider, cluster: KubernetesStub, deployment: Workload
) -> None:
    # Given pods that wait, so that each of several who ask at once can take one
    cluster.scale(deployment, 3)
    await wait_until_async(lambda: cluster.settled() and len(cluster.pods) == 3, description="3")
    await asyncio.gather(*(provider.spawn(template(), "a-1") for _ in range(3)))
    assert await ids(provider) == ["a-1"]
    # And nobody who yielded left a pod more than there was
    assert deployment.replicas <= 3
    await wait_until_async(cluster.settled, description="the controllers are done")


async def test_a_pod_that_waits_already_is_taken_first(
    provider: KubernetesProvider, cluster: KubernetesStub, deployment: Workload
) -> None:
    # Given pods that nobody has taken: an operator's, or left by a Godel that died
    cluster.scale(deployment, 2)
    await wait_until_async(cluster.settled, description="two pods")
    assert await ids(provider) == []
    # When instances are made
    await provider.spawn(template(), "a-1")
    await provider.spawn(template(), "a-2")
    assert deployment.replicas == 2
    await provider.spawn(template(), "a-3")
    assert deployment.replicas == 3


async def test_the_chosen_one_is_removed_and_no_other(
    provider: KubernetesProvider, cluster: KubernetesStub, deployment: Workload
) -> None:
    for number in range(4):
        await provider.spawn(template(), f"a-{number}")
    everything = {one.name for one in cluster.pods.values()}
    chosen = next(one for one in cluster.pods.values() if one.annotations[INSTANCE] == "a-1")
    # When one that is neither the first nor the last is removed
    assert not provider.last_first(template())
    await provider.remove("a-1")
    # Then it went, and the Deployment is smaller by one
    assert set(cluster.pods) == everything - {chosen.name}
    assert deployment.replicas == 3
    # And whoever asks again changes nothing
    await provider.remove("a-1")
    assert deployment.replicas == 3


async def test_two_are_removed_at_once(
    provider: KubernetesProvider, cluster: KubernetesStub, deployment: Workload
) -> None:
    for number in range(4):
        await provider.spawn(template(), f"a-{number}")
    await asyncio.gather(provider.remove("a-0"), provider.remove("a-2"))
    await wait_until_async(cluster.settled, description="the controllers are done")
    assert await ids(provider) == ["a-1", "a-3"]
    assert deployment.replicas == 2


async def test_the_chosen_one_goes_even_when_the_controller_prefers_another(
    provider: KubernetesProvider, cluster: KubernetesStub, deployment: Workload
) -> None:
    # Given a pod that is not ready yet: those go first, whatever the deletion cost of others says
    await provider.spawn(template(), "a-1")
    await provider.spawn(template(), "a-2")
    cluster.scale(deployment, 3)
    await wait_until_async(lambda: cluster.settled() and len(cluster.pods) == 3, description="3")
    # When an instance is removed
    await provider.remove("a-1")
    # Then it is gone, and there are as many pods as were asked for
    await wait_until_async(cluster.settled, description="the controllers are done")
    assert await ids(provider) == ["a-2"]
    assert deployment.replicas == len(cluster.pods) == 2


async def test_a_restarted_one_keeps_its_id(
    provider: KubernetesProvider, cluster: KubernetesStub, deployment: Workload
) -> None:
    await provider.spawn(template(), "a-1")
    before = set(cluster.pods)
    await provider.restart(config_of("a-1"))
    assert await ids(provider) == ["a-1"]
    assert deployment.replicas == 1
    assert not before & set(cluster.pods)


async def test_one_whose_pod_has_ended_for_good_is_not_counted_twice(
    provider: KubernetesProvider, cluster: KubernetesStub, deployment: Workload
) -> None:
    # Given a pod that was evicted, and its successor
    await provider.spawn(template(), "a-1")
    (pod,) = cluster.pods.values()
    pod.behaviour = replace(pod.behaviour, phase="Failed")
    await wait_until_async(lambda: cluster.settled() and len(cluster.pods) == 2, description="2")
    (found,) = await provider.provided()
    assert not found.running
    # When it is replaced
    await provider.remove("a-1")
    await provider.spawn(template(), "a-2")
    # Then the successor is the new one, and nobody asked for one more
    assert await ids(provider) == ["a-2"]
    assert deployment.replicas == len(cluster.pods) == 1


# -------------------------------------------------------------------------- statefulsets


async def test_a_statefulset_names_its_instances(
    provider: KubernetesProvider, cluster: KubernetesStub, statefulset: Workload
) -> None:
    for number in range(2):
        name = await provider.next_id(template("statefulset"))
        assert name == f"gw-{number}"
        await provider.spawn(template("statefulset"), name)
    assert await ids(provider) == ["gw-0", "gw-1"]
    assert statefulset.replicas == 2
    # A second spawn changes nothing, and no other name can be had
    await provider.spawn(template("statefulset"), "gw-1")
    for wrong in ("gw-3", "agents-1f00", "gw-01"):
        with pytest.raises(SpawnFailed, match="the next one is gw-2"):
            await provider.spawn(template("statefulset"), wrong)
    assert statefulset.replicas == 2


async def test_its_numbers_may_begin_elsewhere(
    provider: KubernetesProvider, cluster: KubernetesStub
) -> None:
    cluster.apply("statefulset", "gw", 1, Behaviour(), first=5)
    assert await provider.next_id(template("statefulset")) == "gw-6"
    await provider.spawn(template("statefulset"), "gw-6")
    await provider.remove("gw-6")
    assert set(cluster.pods) == {"gw-5"}


async def test_only_its_last_one_can_be_removed(
    provider: KubernetesProvider, cluster: KubernetesStub, statefulset: Workload
) -> None:
    for number in range(3):
        await provider.spawn(template("statefulset"), f"gw-{number}")
    # The provider says so before anybody tries
    assert provider.last_first(template("statefulset"))
    # And when somebody does
    with pytest.raises(Unsupported, match="last pod first, which is gw-2"):
        await provider.remove("gw-0")
    assert statefulset.replicas == 3
    for name in ("gw-2", "gw-1", "gw-1"):
        await provider.remove(name)
    assert set(cluster.pods) == {"gw-0"}
    assert statefulset.replicas == 1


async def test_one_that_is_just_away_is_removed_all_the_same(
    provider: KubernetesProvider, cluster: KubernetesStub, statefulset: Workload
) -> None:
    # Given a pod that was lost, and that the controller will make again in a while
    await provider.spawn(template("statefulset"), "gw-0")
    cluster.lag_s = 0.5
    del cluster.pods["gw-0"]
    statefulset.changed_at = time.monotonic()
    # When it is removed
    await provider.remove("gw-0")
    # Then it does not come back
    assert statefulset.replicas == 0


async def test_pods_that_were_there_before_are_left_out_and_alone(
    provider: KubernetesProvider, cluster: KubernetesStub, statefulset: Workload
) -> None:
    cluster.scale(statefulset, 2)
    await wait_until_async(cluster.settled, description="two pods")
    assert await ids(provider) == []
    await provider.spawn(template("statefulset"), "gw-2")
    assert await ids(provider) == ["gw-2"]


async def test_its_restarted_pod_has_the_same_name_and_its_notes(
    provider: KubernetesProvider, cluster: KubernetesStub, statefulset: Workload
) -> None:
    await provider.spawn(template("statefulset"), "gw-0")
    uid = cluster.pods["gw-0"].uid
    await provider.restart(config_of("gw-0"))
    assert cluster.pods["gw-0"].uid != uid
    assert await ids(provider) == ["gw-0"]


# -------------------------------------------------------------------------------- both


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
