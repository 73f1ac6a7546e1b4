"""A template's options, read by the provider that they are for: all that is wrong in one error."""

from __future__ import annotations

import difflib
import re
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from godel_tasks.domain.pool import InstanceTemplate
from godel_tasks.errors import InvalidPool

#: What begins an option that is a variable of the instance's environment.
ENV = "env:"
_VARIABLE = re.compile(r"[A-Za-z_][A-Za-z0-9_]*")
_YES, _NO = ("true", "yes", "1"), ("false", "no", "0", "")


@dataclass(slots=True)
class Options:
    """Reads options one by one and collects what is wrong; `done()` raises it."""

    template: InstanceTemplate
    known: Collection[str]
    problems: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for name in self.template.options:
            if name not in self.known and not name.startswith(ENV):
                near = difflib.get_close_matches(name, self.known, n=1)
                legal = ", ".join(sorted(self.known)) + f" and {ENV}NAME"
                hint = f"; did you mean {near[0]!r}?" if near else f"; known: {legal}"
                self.problems.append(f"{name}: no option of this provider{hint}")

    def text(self, name: str, default: str = "", *, required: bool = False) -> str:
        value = self.template.options.get(name, default)
        if required and not value:
            self.problems.append(f"{name}: missing")
        return value

    def number(self, name: str, default: float, *, least: float = 0.0) -> float:
        given = self.template.options.get(name, "")
        try:
            value = float(given) if given else default
        except ValueError:
            value = -1.0
        if not least <= value < float("inf"):
            self.problems.append(f"{name}: expected a number from {least:g}, got {given!r}")
            return default
        return value

    def flag(self, name: str) -> bool:
        given = self.template.options.get(name, "").lower()
        if given not in (*_YES, *_NO):
            self.problems.append(f"{name}: expected true or false, got {given!r}")
        return given in _YES

    def env(self) -> Mapping[str, str]:
        """The variables of `env:NAME` options."""
        found = {
            name.removeprefix(ENV): value
            for name, value in self.template.options.items()
            if name.startswith(ENV)
        }
        for name in found:
            if not _VARIABLE.fullmatch(name):
                self.problems.append(f"{ENV}{name}: {name!r} is not a variable's name")
        return found

    def done(self) -> None:
        """Raises: InvalidPool with every problem there is."""
        if self.problems:
            raise InvalidPool(
                f"the template of pool {self.template.pool!r} is wrong for the provider "
                f"{self.template.provider!r}:\n  " + "\n  ".join(self.problems),
                hint="correct them all and try again",
            )
