"""What the demo with gateways consists of: gateways, turns, made-up prices. Values only."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from godel_tasks.demo.plan import TENANTS, InstancePlan

#: Turns of all tenants together. A gateway does about two turns a second, and two of them fill two
#: cores.
DEFAULT_TASKS = 60
#: With fewer there is nothing left to kill a gateway at.
LEAST_TASKS = 45
MOST_GATEWAYS = 8
#: Seconds that the work may take, if nobody says so.
SECONDS_CAP = 240.0
#: Turns that a gateway runs at once. It could do more; so the tenants wait for each other.
CAPACITY = 4
#: Seconds that a long turn waits for its "model": longer than a dispatcher's lease, so that it
#: still runs when another dispatcher takes it over.
LONG_S = 8.0
#: Seconds that any other turn waits for it.
SHORT_S = 0.3
#: Words of an answer.
ANSWER_WORDS = 20
#: Words of the text that a prompt carries.
PROMPT_WORDS = 24
#: Prices of a million tokens, in dollars: made up, as the answers are.
PRICE_IN, PRICE_OUT = 1.0, 5.0
#: Every fifth turn of a tenant is long, and two of five belong to a session.
_CYCLE = ("long", "plain", "session", "plain", "session")


@dataclass(frozen=True, slots=True)
class GatewaysPlan:
    """`tasks` are of all tenants together."""

    gateways: int
    tasks: int = DEFAULT_TASKS

    @property
    def each(self) -> int:
        """Tasks of one tenant."""
        return self.tasks // len(TENANTS)

    def instances(self) -> list[InstancePlan]:
        return [InstancePlan(f"gw-{n + 1}", "local", CAPACITY) for n in range(self.gateways)]


def turns(plan: GatewaysPlan, texts: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The tasks, tenants taking turns; fields of `submit_task.delay`.

    No two prompts are the same, so that the calls of each can be counted. A session's turns name
    the gateway that it lives on: Godel does not keep sessions in place by itself.
    """
    for number in range(plan.each):
        kind = _CYCLE[number % len(_CYCLE)]
        for tenant in TENANTS:
            text = " ".join(texts[number % len(texts)].split()[:PROMPT_WORDS]).replace("[[", "[ [")
            wait_s = LONG_S if kind == "long" else SHORT_S
            prompt = (
                f"Summarise text {number + 1} of {tenant}: {text} "
                f"[[latency={wait_s:g}]] [[tokens={ANSWER_WORDS}]]"
            )
            fields = {"task_id": f"{tenant}-{number + 1:03d}", "tenant_id": tenant}
            yield fields | {"payload": prompt} | _session(kind, number, plan)


def is_long(item: dict[str, Any]) -> bool:
    return f"[[latency={LONG_S:g}]]" in item["payload"]


def _session(kind: str, number: int, plan: GatewaysPlan) -> dict[str, str]:
    if kind != "session":
        return {}
    # The how-manieth turn of a session this is: they take turns with the gateways.
    before = sum(_CYCLE[earlier % len(_CYCLE)] == kind for earlier in range(number))
    gateway = f"gw-{before % plan.gateways + 1}"
    return {"session_id": f"talk-on-{gateway}", "instance": gateway}
