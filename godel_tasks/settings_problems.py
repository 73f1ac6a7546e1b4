"""How a wrong setting is told: which key, what was expected, what came, the nearest legal name."""

from __future__ import annotations

import difflib
import itertools
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError

#: Names that begin like a setting's and mean something else.
OTHER_NAMES = frozenset({"CONFIG", "DEBUG", "DEMO_HOLD", "INSTANCE_FOLDER", "OPENCLAW_DIR"})


class WrongKind(ValueError):
    """A value that its own validator refuses; the text is what was expected."""


class Disagreement(ValueError):
    """Settings that are fine alone and wrong together; `lines` begin with the key to correct."""

    def __init__(self, lines: list[str]) -> None:
        super().__init__("; ".join(lines))
        self.lines = lines


@dataclass(frozen=True, slots=True)
class Origin:
    """Where values came from, so that a problem names the place to correct."""

    prefix: str
    celery_names: Mapping[str, str]
    environ: Mapping[str, str]
    given: Mapping[str, Any]
    in_file: Mapping[str, Any]
    file: Path

    def name(self, key: str) -> str:
        """The key as its author wrote it."""
        if key in self.given:
            return key
        names = {name.upper() for name in self.environ}
        for name in (self.prefix + key.upper(), self.celery_names.get(key)):
            if name is not None and name in names:
                return name
        return f"{key} in {self.file}" if key in self.in_file else self.prefix + key.upper()


def unknown_names(environ: Mapping[str, str], prefix: str, *, legal: list[str]) -> list[str]:
    """A line for each environment name that begins with `prefix` and is no setting."""
    names = {prefix + key.upper() for key in legal} | {prefix + name for name in OTHER_NAMES}
    return [
        f"{name}: expected the name of a setting{nearest(name.upper(), names)}"
        for name in sorted(environ)
        if name.upper().startswith(prefix) and name.upper() not in names
    ]


def unknown_keys(in_file: Iterable[str], file: Path, *, legal: list[str]) -> list[str]:
    """A line for each key of the file that is no setting."""
    return [
        f"{key} in {file}: expected the name of a setting{nearest(key, legal)}"
        for key in in_file
        if key not in legal
    ]


def nearest(word: str, legal: Iterable[str]) -> str:
    """`; did you mean ...?` if a legal word is near, else nothing."""
    match = difflib.get_close_matches(word, list(legal), n=1, cutoff=0.6)
    return f"; did you mean {match[0]!r}?" if match else ""


def out_of_order(settings: BaseModel, *keys: str) -> list[str]:
    """A line for each neighbouring pair of `keys` whose values do not rise."""
    return [
        f"{low}: expected less than {high} ({getattr(settings, high)}), "
        f"got {getattr(settings, low)}"
        for low, high in itertools.pairwise(keys)
        if getattr(settings, low) >= getattr(settings, high)
    ]


def lines(error: ValidationError, model: type[BaseModel], origin: Origin) -> list[str]:
    """pydantic's errors in our words, a line each."""
    found: list[str] = []
    for item in error.errors(include_url=False):
        reason = item.get("ctx", {}).get("error")
        if isinstance(reason, Disagreement):
            parts = (line.partition(":") for line in reason.lines)
            found += [f"{origin.name(key)}:{rest}" for key, _, rest in parts]
        else:
            found.append(_line(item, model, origin))
    return found


def _line(item: Mapping[str, Any], model: type[BaseModel], origin: Origin) -> str:
    key = str(item["loc"][0])
    name = origin.name(key)
    if item["type"] == "extra_forbidden":
        return f"{name}: expected the name of a setting{nearest(key, model.model_fields)}"
    legal = _choices(model, key)
    hint = nearest(str(item["input"]), legal) if legal else ""
    return f"{name}: expected {_expected(item, model, key)}, got {_shown(item['input'])}{hint}"


def _expected(item: Mapping[str, Any], model: type[BaseModel], key: str) -> str:
    legal = _choices(model, key)
    if legal:
        return "one of " + ", ".join(legal)
    reason = item.get("ctx", {}).get("error")
    if isinstance(reason, WrongKind):
        return str(reason)
    limits = {
        name: getattr(limit, name)
        for limit in model.model_fields[key].metadata
        for name in ("gt", "ge", "le")
        if getattr(limit, name, None) is not None
    }
    annotation: Any = model.model_fields[key].annotation
    kind = {int: "a whole number", float: "a number", str: "a text"}.get(annotation, "a path")
    words = {"gt": "above", "ge": "from", "le": "to"}
    return " ".join([kind, *(f"{words[name]} {limit}" for name, limit in limits.items())])


def _choices(model: type[BaseModel], key: str) -> list[str]:
    return [choice for choice in get_args(model.model_fields[key].annotation) if choice]


def _shown(value: object) -> str:
    """The value, without the password that a URL may hold."""
    return re.sub(r"//[^/@]*@", "//***@", repr(value))
