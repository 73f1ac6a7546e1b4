"""Pools as people write them: a table's values checked and put together. Pure.

A table has the fields of a pool and those of its template side by side: `provider`, `driver`,
`capacity`, `region`, `capabilities`, `options`; `min_available`, `replace`, `replace_after_s`.
"""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from godel_tasks.domain.pool import InstanceTemplate, PoolConfig
from godel_tasks.domain.tenant import is_name
from godel_tasks.errors import InvalidPool

_TEMPLATE = ("provider", "driver", "capacity", "region", "capabilities", "options")
_POOL = ("min_available", "replace", "replace_after_s")
_KINDS: dict[str, tuple[tuple[type, ...], str]] = {
    "provider": ((str,), "a provider's name"),
    "driver": ((str,), "a driver's name"),
    "capacity": ((int,), "a whole number from 1"),
    "region": ((str,), "a name"),
    "capabilities": ((Mapping,), "names with values"),
    "options": ((Mapping,), "names with values"),
    "min_available": ((int,), "a whole number from 0"),
    "replace": ((bool,), "true or false"),
    "replace_after_s": ((int, float), "seconds from 0"),
}


def declared(name: str, table: Mapping[str, Any]) -> PoolConfig:
    """A pool from its table. It has a template when the table says anything of one.

    Raises:
        InvalidPool: with every problem there is.
    """
    return changed(PoolConfig(name), table)


def changed(known: PoolConfig, table: Mapping[str, Any]) -> PoolConfig:
    """The pool with what the table says. Options and capabilities are changed one by one; one with
    the value "" is taken away.

    Raises:
        InvalidPool: with every problem there is.
    """
    problems = _problems(known.name, table)
    if problems:
        raise InvalidPool(
            f"pool {known.name!r} is wrong:\n  " + "\n  ".join(problems),
            hint="correct them all and try again",
        )
    template = known.template
    about_template = {key: value for key, value in table.items() if key in _TEMPLATE}
    if about_template:
        template = template or InstanceTemplate(known.name)
        for key in ("capabilities", "options"):
            if key in about_template:
                about_template[key] = _merged(getattr(template, key), about_template[key])
        template = replace(template, **about_template)
    about_pool = {key: value for key, value in table.items() if key in _POOL}
    return replace(known, template=template, **about_pool)


def tables_of(document: Mapping[str, Any]) -> dict[str, Mapping[str, Any]]:
    """The tables `[pools.NAME]` of a document, by name.

    Raises:
        InvalidPool: there is none, or something else.
    """
    tables = document.get("pools")
    problems = [f"{key}: not known here; write [pools.NAME]" for key in document if key != "pools"]
    if not isinstance(tables, Mapping) or not tables:
        problems.append("expected at least one table [pools.NAME]")
        tables = {}
    problems += [
        f"pools.{name}: expected a table, got {table!r}"
        for name, table in tables.items()
        if not isinstance(table, Mapping)
    ]
    if problems:
        raise InvalidPool(
            "the file is wrong:\n  " + "\n  ".join(problems), hint="correct them all and try again"
        )
    return dict(tables)


def _problems(name: str, table: Mapping[str, Any]) -> Sequence[str]:
    found = []
    if not is_name(name):
        found.append("name: expected letters, digits and . _ - @, at most 64")
    for key, value in table.items():
        if key not in _KINDS:
            near = difflib.get_close_matches(key, _KINDS, n=1)
            advice = f"did you mean {near[0]!r}?" if near else f"it takes {', '.join(_KINDS)}"
            found.append(f"{key}: not known; {advice}")
            continue
        kinds, words = _KINDS[key]
        wrong_kind = not isinstance(value, kinds) or (isinstance(value, bool) and bool not in kinds)
        least = 1 if key == "capacity" else 0
        too_low = not wrong_kind and not isinstance(value, str | Mapping) and not value >= least
        if wrong_kind or too_low:
            found.append(f"{key}: expected {words}, got {value!r}")
        elif isinstance(value, Mapping):
            found += [
                f"{key}.{inner}: expected a text, a number, true or false, got {each!r}"
                for inner, each in value.items()
                if not isinstance(each, str | int | float)
            ]
    if isinstance(table.get("region"), str) and table["region"] and not is_name(table["region"]):
        found.append(f"region: expected a name, got {table['region']!r}")
    return found


def _merged(known: Mapping[str, str], given: Mapping[str, Any]) -> dict[str, str]:
    merged = {**known, **{name: _text(value) for name, value in given.items()}}
    return {name: value for name, value in merged.items() if value != ""}


def _text(value: Any) -> str:
    return str(value).lower() if isinstance(value, bool) else str(value)
