"""Which keys may remain, by the key table in the docstring of `godel_tasks/store/keys.py`.

The table is read, not repeated: a key that it does not name, or that lives longer than it says,
is a leak.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

import redis

from godel_tasks.store import keys as key_table

#: With nothing queued, held or unpublished these may stand: what lives as long as its tenant,
#: dispatcher, instance or session, and dead letters, which a person looks at.
QUIET = frozenset(
    {"tenant", "tenants", "meta", "leases", "gone", "batches", "settles", "sleepers"}
    | {"dead", "dead_at", "dead_classes", "decisions"}
    | {"scaling", "scaling_leader"}
    | {"info", "instances", "events", "cells"}
    | {"breaker", "breakers"}
    | {"pools"}
    | {"labels", "having", "generations", "lost", "probes"}
    | {"session", "sessions", "pinned"}
)


@dataclass(frozen=True, slots=True)
class KeyRule:
    """A row of the table: the key's first word, and whether it must expire."""

    name: str
    kind: str
    expires: bool


def rules() -> dict[str, KeyRule]:
    """Rules by the first word of the key's name, for the keys of a cell."""
    found: dict[str, KeyRule] = {}
    for line in (key_table.__doc__ or "").splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not line.startswith("|") or len(cells) != 6 or cells[0] in {"key", "---"}:
            continue
        names, kind, _, ttl, _, _ = cells
        for name, of in zip(
            names.split(", "), [*kind.split(", ")] * len(names.split(", ")), strict=False
        ):
            word = name.lstrip("~").split(":")[0]
            kinds = kind.split(", ")
            of = kinds[names.split(", ").index(name)] if len(kinds) > 1 else kinds[0]
            found[word] = KeyRule(word, of, bool(re.match(r"\d", ttl)))
    return found


#: Keys of instances and of the registry, described in the prose below the table.
_OTHERS = {
    "info": "hash",
    "slots": "hash",
    "orphans": "hash",
    "instances": "zset",
    "events": "stream",
    "cells": "hash",
    "breaker": "hash",
    "breakers": "set",
}


def _word(key: str) -> str:
    return re.sub(r"^godel:\{[^}]*\}:", "", key).split(":")[0]


def leaks(client: redis.Redis, *, quiet: bool = False) -> list[str]:
    """What is wrong with the keys that stand now, a line each.

    With `quiet`, nothing is queued, held or unpublished any more: then only `QUIET` may remain,
    and what expires by itself.
    """
    table, found = rules(), []
    for raw in sorted(client.keys("*")):
        key = raw.decode() if isinstance(raw, bytes) else raw
        ttl, of = client.pttl(raw), client.type(raw)
        kind = of.decode() if isinstance(of, bytes) else of
        if key.startswith("celery-task-meta-"):
            if ttl < 0:
                found.append(f"{key}: a result without TTL")
            continue
        word = _word(key)
        rule = table.get(word) or (KeyRule(word, _OTHERS[word], False) if word in _OTHERS else None)
        if rule is None:
            found.append(f"{key}: the key table does not know it")
        elif kind != rule.kind:
            found.append(f"{key}: a {kind}; the key table says {rule.kind}")
        elif rule.expires and ttl < 0:
            found.append(f"{key}: no TTL; the key table says it has one")
        elif quiet and ttl < 0 and word not in QUIET:
            found.append(f"{key}: left over, with nothing queued, held or unpublished")
    return found
