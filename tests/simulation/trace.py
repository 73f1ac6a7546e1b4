"""What happened in a round, a line per command: for whoever looks for the cause of a problem."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from godel_tasks.store.command import Command
from tests.simulation.server import SimServer

#: Said all the time, and seldom of interest.
_CHATTER = {"fleet", "attend", "report", "HGETALL", "HLEN", "sleep", "due"}


def tell_commands(server: SimServer, tell: Callable[[str], None]) -> None:
    """Tell of every command that the server runs, but for chatter."""

    def on_command(sender: str, command: Command[Any], reply: Any) -> None:
        if command.name not in _CHATTER:
            script = command.script
            at = 3 + int(command.parts[2]) if script else 1
            args = [str(part)[:80] for part in command.parts[at:] if not isinstance(part, bytes)]
            tell(
                f"{server.loop.time():8.3f} {sender:12} {command.name:12} "
                f"{' '.join(args)} -> {str(reply)[:240]}"
            )

    server.watchers.append(on_command)
