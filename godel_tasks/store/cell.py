"""A cell's commands, built for one hash tag. Scripts' keys are filled in by the names in their
headers, so a face cannot name them in another order than the script does."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, TypeVar

from godel_tasks.store.command import Argument, Command, call
from godel_tasks.store.keys import CellKeys
from godel_tasks.store.script import load

T = TypeVar("T")


class CellCommands:
    """Base of the groups of commands: knows the cell's keys and the time that scripts get.

    `now_ms` is 0 in production (scripts ask Redis); a simulation gives its virtual time.
    """

    def __init__(self, cell: int = 0, now_ms: Callable[[], int] = lambda: 0) -> None:
        self.cell = cell
        self.keys = CellKeys.of(cell)
        self.now_ms = now_ms
        self._fixed: dict[str, dict[str, str]] = {}

    def _call(
        self,
        name: str,
        *args: Argument,
        decode: Callable[[Any], T],
        named: dict[str, str] | None = None,
        rest: Sequence[Argument] = (),
    ) -> Command[T]:
        """A script's call: `args` are all named ARGV but `now`, which is filled in."""
        script = load(name)
        keys = self._fixed.get(name)
        if keys is None:
            keys = self._fixed[name] = {key: self.keys.fixed(key) for key in script.keys}
        if named:
            # In the header's order: a name that is there already keeps its place.
            keys = keys | named
        values: list[Argument] = [self.now_ms()] if "now" in script.args else []
        values.extend(args)
        if len(values) != len(script.args):
            raise TypeError(f"{name}.lua takes {script.args}, got {len(values)} values")
        values.extend(rest)
        return call(name, keys=[*keys.values()], args=values, decode=decode)
