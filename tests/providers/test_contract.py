"""What every provider that makes instances keeps to, whatever it makes them of."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest

from godel_tasks.errors import InstanceError, InvalidPool, UnknownInstance, Unsupported
from godel_tasks.instances.provider import Provider
from tests.helpers import wait_until_async
from tests.providers.every_site import STOPPING
from tests.providers.sites import ProviderSite


async def found(provider: Provider, pool: str = "") -> dict[str, bool]:
    """What it has made: id and whether that runs."""
    return {each.instance_id: each.running for each in await provider.provided(pool)}


async def test_an_instance_is_made_once_and_removed_with_all_that_it_was(
    site: ProviderSite,
) -> None:
    # When an instance is made, and made again
    provider = site.provider()
    await provider.spawn(site.template(), "p-1")
    (first,) = await provider.provided()
    await provider.spawn(site.template(), "p-1")
    # Then there is one, of its pool, and it is the first one still
    assert list(await provider.provided()) == [first]
    assert (first.instance_id, first.pool, first.running) == ("p-1", "p", True)
    assert first.detail
    # And removed it leaves nothing; once more is no error
    await provider.remove("p-1")
    await provider.remove("p-1")
    assert site.left() == []
    assert await found(provider) == {}


async def test_two_who_make_the_same_instance_make_one(site: ProviderSite) -> None:
    provider = site.provider()
    await asyncio.gather(*(provider.spawn(site.template(), "p-1") for _ in range(3)))
    assert await found(provider) == {"p-1": True}
    await provider.remove("p-1", grace_s=0)
    assert site.left() == []


async def test_instances_are_found_by_pool_by_a_godel_that_was_started_anew(
    site: ProviderSite,
) -> None:
    # Given instances of two pools
    await site.provider().spawn(site.template("p"), "p-1")
    await site.provider().spawn(site.template("q"), "q-1")
    # When another Godel looks
    anew = site.provider()
    # Then it finds them, and removes them
    assert await found(anew) == {"p-1": True, "q-1": True}
    assert await found(anew, "q") == {"q-1": True}
    await anew.remove("p-1", grace_s=0)
    assert await found(anew) == {"q-1": True}
    await anew.remove("q-1", grace_s=0)
    assert site.left() == []


async def test_it_is_stopped_started_and_restarted_as_it_was_made(site: ProviderSite) -> None:
    provider, config = site.provider(), site.config("p-1")
    await provider.spawn(site.template(), "p-1")
    if not site.stops:
        with pytest.raises(Unsupported, match="drain it, or remove it"):
            await provider.stop(config)
        return
    # When it is stopped, twice
    await provider.stop(config)
    await provider.stop(config)
    # Then it is there, and does not run
    assert await found(provider, "p") == {"p-1": False}
    # And started, twice, it runs; and so it does when it was restarted
    await provider.start(config)
    await provider.start(config)
    assert await found(provider) == {"p-1": True}
    await provider.restart(config)
    assert await found(provider) == {"p-1": True}
    await provider.remove("p-1")
    assert site.left() == []


@pytest.mark.parametrize("site", STOPPING, indirect=True)
async def test_one_that_was_killed_is_seen_started_again_and_removed(site: ProviderSite) -> None:
    provider = site.provider()
    await provider.spawn(site.template(), "p-1")
    await site.kill("p-1")
    assert await found(provider) == {"p-1": False}
    await provider.start(site.config("p-1"))
    assert await found(provider) == {"p-1": True}
    await site.kill("p-1")
    await provider.remove("p-1")
    assert site.left() == []


async def test_one_that_does_not_come_up_says_why_and_leaves_nothing(site: ProviderSite) -> None:
    with pytest.raises(InstanceError, match=site.words):
        await site.provider().spawn(site.broken(), "p-1")
    assert site.left() == []


async def test_one_that_never_gets_ready_is_given_up_and_leaves_nothing(
    site: ProviderSite,
) -> None:
    with pytest.raises(InstanceError, match=r"within 0\.\d s"):
        await site.provider().spawn(site.stuck(), "p-1")
    assert site.left() == []


async def test_a_spawn_that_is_given_up_leaves_nothing(site: ProviderSite) -> None:
    template = replace(site.stuck(), options=site.stuck().options | {"ready_s": "60"})
    spawning = asyncio.create_task(site.provider().spawn(template, "p-1"))
    await wait_until_async(site.left, description="it was begun", timeout=20)
    spawning.cancel()
    with pytest.raises(asyncio.CancelledError):
        await spawning
    assert site.left() == []


async def test_what_it_does_not_know_is_named(site: ProviderSite) -> None:
    provider = site.provider()
    # Unknown instances: removing one is no error, anything else is
    await provider.remove("nobody")
    for act in (provider.start, provider.stop, provider.restart):
        with pytest.raises(UnknownInstance, match="'nobody'"):
            await act(site.config("nobody"))
    assert await provider.last_words("nobody") == ""
    # And options, by the nearest name, before anything is made
    wrong, right = site.misspelt
    options = site.template().options | {wrong: "x"}
    template = replace(site.template(), options=options)
    with pytest.raises(InvalidPool, match=f"did you mean '{right}'"):
        provider.check(template)
    with pytest.raises(InvalidPool, match=f"did you mean '{right}'"):
        await provider.spawn(template, "p-1")
    assert site.left() == []
