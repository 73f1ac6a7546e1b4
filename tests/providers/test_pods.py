"""Pods as instances, over a stub of the API that knows its published description."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest

from godel_tasks.errors import (
    SpawnFailed,
    Unsupported,
)
from godel_tasks.instances.providers.kubernetes import KubernetesProvider
from tests.helpers import wait_until_async
from tests.providers.cluster import INSTANCE, config_of, ids, template
from tests.providers.stubs.kubernetes import KubernetesStub
from tests.providers.stubs.pods import Behaviour, Workload

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
