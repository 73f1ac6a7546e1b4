"""A command's way to the manager of instances."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import TYPE_CHECKING, TypeVar

from godel_tasks.cli.session import opened

if TYPE_CHECKING:
    from godel_tasks.domain.member import Member
    from godel_tasks.fleet.manager import InstanceManager

T = TypeVar("T")


def managed(act: Callable[[InstanceManager], Awaitable[T]]) -> T:
    """Do it with a manager on an event loop of its own.

    Raises:
        SettingsError, StoreUnavailable: as `opened`.
    """
    from godel_tasks.fleet.manager import open_manager

    with opened() as runtime:

        async def run() -> T:
            async with open_manager(runtime) as manager:
                return await act(manager)

        return asyncio.run(run())


def member_as_data(member: Member) -> dict[str, object]:
    """An instance of a pool as JSON shows it. `made` is false for one that came by itself."""
    return {
        "instance": member.instance_id,
        "pool": member.pool,
        "state": member.state.value,
        "provider": member.provider,
        "driver": member.driver,
        "made": member.made is not None,
        "wanted": member.made.wanted.value if member.made else None,
        "endpoint": member.record.config.endpoint if member.record else None,
        "slots_used": member.slots_used,
        "detail": member.provided.detail if member.provided else None,
    }
