"""The output of many processes in one place."""

from __future__ import annotations

import asyncio
import os
from collections.abc import Callable

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
    """A sink that writes `name │ line`, with a colour for each name."""

    def __init__(self, console: Console, *, width: int = 11) -> None:
        self._console = console
        self._width = width
        self._colours: dict[str, str] = {}

    def __call__(self, name: str, line: str) -> None:
        colour = self._colours.setdefault(name, COLOURS[len(self._colours) % len(COLOURS)])
        prefix = Text(f"{name:>{self._width}} │ ", style=colour)
        self._console.print(prefix + Text.from_ansi(line), soft_wrap=True)
