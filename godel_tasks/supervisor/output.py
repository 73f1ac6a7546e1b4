"""The output of many processes in one place."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable, Sequence

from rich.console import Console
from rich.text import Text

COLOURS = ("cyan", "green", "magenta", "yellow", "blue", "bright_cyan", "bright_green")
#: A line longer than this, in bytes, is cut into several.
MAX_LINE_BYTES = 65_536


async def copy_lines(fd: int, say: Callable[[str], None]) -> None:
    """Say each line that comes out of the pipe `fd`, until its end; closes it."""
    reader = asyncio.StreamReader()
    loop = asyncio.get_running_loop()
    transport, _ = await loop.connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), os.fdopen(fd, "rb", buffering=0)
    )
    rest = b""
    try:
        while chunk := await reader.read(MAX_LINE_BYTES):
            *lines, rest = (rest + chunk).split(b"\n")
            if len(rest) >= MAX_LINE_BYTES:
                lines.append(rest)
                rest = b""
            for line in lines:
                say(line.decode(errors="replace").rstrip("\r"))
    finally:
        if rest:
            say(rest.decode(errors="replace"))
        transport.close()


class PrefixedConsole:
    """A sink that writes `name │ line`, a colour for each name."""

    def __init__(self, console: Console, names: Sequence[str]) -> None:
        self._console = console
        self._width = max((len(name) for name in names), default=0)
        self._colours = {name: COLOURS[n % len(COLOURS)] for n, name in enumerate(names)}

    def __call__(self, name: str, line: str) -> None:
        prefix = Text(f"{name:>{self._width}} │ ", style=self._colours.get(name, "dim"))
        self._console.print(prefix + Text.from_ansi(line), soft_wrap=True)
