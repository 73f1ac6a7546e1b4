"""Commands of Godel's own, as `celery inspect --list` and `celery control --list` show them.

The `celery` command checks a command's name and arguments against Celery's registry before it asks
any worker, so the registry has to know them in that process too.
"""

from __future__ import annotations

import sys
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Described:
    """`kind` is "inspect" or "control", `argument` the name of its one argument, or ""."""

    kind: str
    help: str
    argument: str = ""


OWN_COMMANDS = {
    "godel_instances": Described("inspect", "The fleet as each dispatcher sees it."),
    "godel_drain": Described(
        "control", "Drain an instance: it finishes what it runs and gets nothing new.", "instance"
    ),
    "godel_undrain": Described("control", "Take a drained instance back.", "instance"),
    "godel_pause": Described("control", "Let dispatchers claim nothing new; what runs goes on."),
    "godel_resume": Described("control", "Let paused dispatchers claim again."),
}


def describe_commands() -> None:
    """Make them known to Celery, in a process that has its registry of commands: a worker, or the
    `celery` command. A producer has none, and does not pay for one."""
    control = sys.modules.get("celery.worker.control")
    if control is None:
        return
    for name, own in OWN_COMMANDS.items():
        control.Panel.meta[name] = control.controller_info_t(
            alias=None,
            type=own.kind,
            visible=True,
            default_timeout=1.0,
            help=own.help,
            signature=f"<{own.argument}>" if own.argument else None,
            args=[(own.argument, str)] if own.argument else None,
            variadic=None,
        )
