"""What commands print: one JSON object, or tables for people; errors with what to do next."""

from __future__ import annotations

import json
import sys
import traceback
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated, Any

import typer

from godel_tasks.cli.exit_codes import UNEXPECTED, USAGE
from godel_tasks.errors import GodelError, SettingsError

if TYPE_CHECKING:
    from rich.console import Console, RenderableType
    from rich.table import Table

#: The parameter that every command has.
AsJson = Annotated[bool, typer.Option("--json", help="Print one JSON object and nothing else.")]

#: Columns of a pipe or a file, where there is no terminal to ask.
_WIDTH_WITHOUT_TERMINAL = 200

#: Typer's error about the command line, whichever click it stands on.
USAGE_ERROR: Any = typer.BadParameter.__bases__[0]


def console() -> Console:
    """Standard output."""
    from rich.console import Console

    return Console(
        width=None if sys.stdout.isatty() else _WIDTH_WITHOUT_TERMINAL, highlight=False, emoji=False
    )


def notes() -> Console:
    """Standard error: what is said beside the answer."""
    from rich.console import Console

    return Console(stderr=True, highlight=False, emoji=False)


def answer(as_json: bool, data: Mapping[str, Any], *human: RenderableType) -> None:
    """The command's answer: `data`, or what people read instead."""
    if as_json:
        print(json.dumps(data, ensure_ascii=False, default=_plain), flush=True)
        return
    out = console()
    for part in human:
        if part != "":
            out.print(part, markup=False)


def _plain(value: object) -> Any:
    if isinstance(value, datetime):
        return when(value)
    return str(value)


def table(*columns: str, rows: Sequence[Sequence[object]]) -> Table:
    """A plain table. Long words are folded rather than cut: ids are copied from here."""
    from rich.table import Table

    grid = Table(box=None, pad_edge=False, header_style="bold")
    for column in columns:
        name = column.removesuffix(">")
        grid.add_column(name, justify="right" if column != name else "left", overflow="fold")
    for row in rows:
        grid.add_row(*("" if cell is None else str(cell) for cell in row))
    return grid


def facts(pairs: Mapping[str, object]) -> Table:
    """One thing's properties, a line each; those that are None or empty are left out."""
    from rich.table import Table
    from rich.text import Text

    grid = Table(box=None, pad_edge=False, show_header=False)
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for name, value in pairs.items():
        if value is not None and value != "":
            grid.add_row(name, Text(str(value)))
    return grid


def moment(ms: int | None) -> datetime | None:
    """A stored time (ms since the epoch), None for none."""
    return datetime.fromtimestamp(ms / 1000, UTC) if ms else None


def when(at: datetime | None) -> str | None:
    """A time as JSON and tables show it: UTC, to the millisecond."""
    return at.strftime("%Y-%m-%dT%H:%M:%S.") + f"{at.microsecond // 1000:03d}Z" if at else None


def dollars(amount: float) -> str:
    """An amount of money for people: cents, or what is left of them in tasks that cost less."""
    return f"${amount:,.2f}" if amount >= 1 else f"${amount:.6f}".rstrip("0").rstrip(".")


def span(ms: float) -> str:
    """A duration for people."""
    seconds = ms / 1000
    if seconds < 10:
        return f"{seconds:.1f} s"
    if seconds < 120:
        return f"{seconds:.0f} s"
    if seconds < 7200:
        return f"{seconds / 60:.0f} min"
    return f"{seconds / 3600:.0f} h"


def error_dict(error: BaseException) -> dict[str, Any]:
    """An error as `--json` and result files show it."""
    if isinstance(error, SettingsError):
        hint = "correct them all and try again; `docs/reference/settings.md` lists every name"
        return {"type": "SettingsError", "message": error.message, "hint": hint}
    if isinstance(error, GodelError):
        return {"type": type(error).__name__, "message": error.message, "hint": error.hint}
    if isinstance(error, USAGE_ERROR):
        return {"type": "UsageError", "message": _usage(error), "hint": _help_of(error)}
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        return {"type": "Interrupted", "message": "Interrupted.", "hint": None}
    return {
        "type": type(error).__name__,
        "message": f"This is a fault in Godel: {error}",
        "hint": "Set GODEL_DEBUG=1 to see where, and report it.",
    }


def _usage(error: Any) -> str:
    if type(error).__name__ == "NoArgsIsHelpError":
        return "A command is missing."
    return str(error.format_message())


def _help_of(error: Any) -> str | None:
    return f"See `{error.ctx.command_path} --help`." if error.ctx is not None else None


def show_error(error: BaseException, *, as_json: bool, debug: bool) -> None:
    """Say what was wrong and what to do next; the traceback only when it is asked for."""
    if debug and not isinstance(error, KeyboardInterrupt | typer.Abort):
        traceback.print_exception(error, file=sys.stderr)
    told = error_dict(error)
    if as_json:
        print(json.dumps({"error": told}, ensure_ascii=False), flush=True)
        return
    if type(error).__name__ == "NoArgsIsHelpError":
        error.show()  # type: ignore[attr-defined]
        return
    from rich.text import Text

    out = notes()
    out.print(Text.assemble(("error: ", "bold red"), sentence(told["message"])), soft_wrap=True)
    if told["hint"]:
        out.print(Text.assemble(("hint:  ", "bold"), sentence(told["hint"])), soft_wrap=True)


def sentence(text: str) -> str:
    """With a capital and a full stop, whatever the library's style of messages is."""
    text = text.strip()
    if not text:
        return text
    if text.split()[0].isalpha():  # not a file's or a setting's name
        text = text[0].upper() + text[1:]
    return text if text[-1] in ".!?:" or "\n" in text else text + "."


def counted(number: int, noun: str) -> str:
    """`1 task`, `2 tasks`."""
    return f"{number:,} {noun}" if number == 1 else f"{number:,} {noun}s"


__all__ = [
    "UNEXPECTED",
    "USAGE",
    "USAGE_ERROR",
    "AsJson",
    "answer",
    "console",
    "counted",
    "error_dict",
    "facts",
    "moment",
    "notes",
    "sentence",
    "show_error",
    "span",
    "table",
    "when",
]
