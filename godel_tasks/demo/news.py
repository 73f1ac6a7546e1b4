"""What the registry tells while the demo runs: who is lost or sick, which breaker moved."""

from __future__ import annotations

from godel_tasks.domain.instance import HealthEvent
from godel_tasks.fleet.registry import InstanceRegistry
from godel_tasks.runtime import Runtime

#: Events that a spectator is shown; the others are about what the demo shows anyway.
TOLD = frozenset(
    {"instance.lost", "instance.degraded", "instance.unhealthy", "instance.recovered"}
    | {"breaker.opened", "breaker.half_opened", "breaker.closed"}
)


class News:
    """Follows the registry's stream; `take` gives what has come, in words."""

    def __init__(self, runtime: Runtime) -> None:
        self._runtime = runtime
        self._lines: list[str] = []

    async def run(self) -> None:
        async with InstanceRegistry.opened(self._runtime) as registry:
            async for event in registry.monitor_health():
                if event.event in TOLD:
                    self._lines.append(in_words(event))

    def take(self) -> list[str]:
        """Lines that came since the last call."""
        lines, self._lines = self._lines, []
        return lines


def in_words(event: HealthEvent) -> str:
    """As "eu-1: breaker opened (5 failures in 30 s)"."""
    subject, _, what = event.event.partition(".")
    words = what.replace("_", "-") if subject == "instance" else f"breaker {what.replace('_', '-')}"
    return f"{event.instance_id}: {words}" + (f" ({event.reason})" if event.reason else "")
