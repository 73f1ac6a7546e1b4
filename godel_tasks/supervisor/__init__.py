"""Many processes kept running on one machine: what `godel up` and `godel demo` stand on."""

from godel_tasks.supervisor.child import Child
from godel_tasks.supervisor.keeper import ServerKeeper
from godel_tasks.supervisor.output import PrefixedConsole
from godel_tasks.supervisor.spec import ProcessSpec, RestartDelays, Sink, discard
from godel_tasks.supervisor.supervisor import Supervisor

__all__ = [
    "Child",
    "PrefixedConsole",
    "ProcessSpec",
    "RestartDelays",
    "ServerKeeper",
    "Sink",
    "Supervisor",
    "discard",
]
