"""Who is in a pool: the registry, what was written down, and what providers see, joined by id."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from godel_tasks.domain.member import Member
from godel_tasks.domain.pool import ProvidedInstance, Wanted
from godel_tasks.errors import GodelError
from godel_tasks.fleet.records import Look
from godel_tasks.instances.provider import Provider
from godel_tasks.policy.lifecycle import state_of


@dataclass(frozen=True, slots=True)
class Provided:
    """What providers see: instances by id, who made each, and who did not answer."""

    instances: dict[str, ProvidedInstance]
    makers: dict[str, str]
    silent: dict[str, GodelError]


async def asked(providers: Mapping[str, Provider]) -> Provided:
    """Ask each of them what it has made."""
    found = Provided({}, {}, {})
    for name, provider in sorted(providers.items()):
        try:
            for each in await provider.provided():
                found.instances[each.instance_id] = each
                found.makers[each.instance_id] = name
        except GodelError as error:
            found.silent[name] = error
    return found


def member_of(look: Look, name: str, provided: ProvidedInstance | None) -> Member:
    """One instance, by what is known of it."""
    stored, view = look.made.get(name), look.views.get(name)
    made = stored.value if stored else None
    config = view.config if view else None
    other = look.superseded.get(name)
    source = made or config or provided
    return Member(
        name,
        pool=source.pool if source else "",
        state=state_of(
            look.now_ms,
            made,
            view.status if view else None,
            superseded=other is not None and other.wanted is Wanted.UP,
        ),
        provider=made.provider if made else config.provider if config else "",
        driver=made.driver if made else config.driver if config else "",
        slots_used=view.slots_used if view else 0,
        record=view.record if view else None,
        made=made,
        provided=provided,
    )
