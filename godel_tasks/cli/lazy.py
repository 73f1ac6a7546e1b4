"""A group of commands that are imported when they are called, not when `godel --help` is."""

from __future__ import annotations

import importlib
import importlib.util
import os
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import typer
from typer.core import TyperCommand, TyperGroup
from typer.main import get_command

from godel_tasks.cli.exit_codes import USAGE, exit_code
from godel_tasks.cli.output import USAGE_ERROR, show_error


@dataclass(frozen=True, slots=True)
class LazyCommand:
    """Where a command is, as "module:name", and its line in the help."""

    target: str
    help: str

    @property
    def exists(self) -> bool:
        """Whether this installation has it."""
        return importlib.util.find_spec(self.target.partition(":")[0]) is not None

    def load(self, name: str) -> Any:
        """The command, from a Typer app or a function."""
        module, _, attribute = self.target.partition(":")
        found = getattr(importlib.import_module(module), attribute)
        if not isinstance(found, typer.Typer):
            app = typer.Typer(add_completion=False)
            app.command(name)(found)
            found = app
        command = get_command(found)
        command.name = name
        return command


class LazyGroup(TyperGroup):
    """Knows its commands' names and help; turns errors into messages and exit codes."""

    lazy: ClassVar[Mapping[str, LazyCommand]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for name, command in self.lazy.items():
            if command.exists:
                self.commands[name] = TyperCommand(name=name, help=command.help)

    def resolve_command(self, ctx: Any, args: list[str]) -> tuple[str | None, Any, list[str]]:
        name, command, rest = super().resolve_command(ctx, args)
        if name is not None and name in self.lazy:
            command = self.lazy[name].load(name)
        return name, command, rest

    def main(  # type: ignore[override]  # what is not named here goes through `extra`
        self, args: Sequence[str] | None = None, prog_name: str | None = None, **extra: Any
    ) -> Any:
        """Run the command that `args` name and end the process with its exit code."""
        argv = list(sys.argv[1:] if args is None else args)
        try:
            code = super().main(argv, prog_name, **{**extra, "standalone_mode": False})
        except (Exception, KeyboardInterrupt) as error:
            as_json = "--json" in argv
            show_error(error, as_json=as_json, debug=os.environ.get("GODEL_DEBUG") == "1")
            code = USAGE if isinstance(error, USAGE_ERROR) else exit_code(error)
        sys.exit(code if isinstance(code, int) else 0)
