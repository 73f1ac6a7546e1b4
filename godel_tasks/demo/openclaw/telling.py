"""What is said about the demo with gateways, before and after."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from godel_tasks.demo.openclaw.plan import CAPACITY, LONG_S, GatewaysPlan

STANDIN = (
    "A STAND-IN ANSWERS IN PLACE OF A MODEL: no key is needed, nothing leaves this machine; all "
    "answers are made up, and tokens and prices are the stand-in's. The gateways are real."
)
INSTALLING = "OpenClaw is not installed yet: that takes a minute and 1 GB, this once."
READ_ON = "Read on: `godel openclaw --help`, docs/explanation/at-least-once.md (the reruns)."


def before(plan: GatewaysPlan) -> str:
    return (
        "A whole Godel comes up in a folder of its own (Valkey, two dispatchers, control, beat), "
        f"and {_gateways(plan.gateways)} behind it. Three tenants of weight 4, 2 and 1 submit "
        f"{plan.each} turns each; a fifth of them take {LONG_S:g} s, two fifths belong to a "
        f"session, which stays on one gateway; a gateway runs {CAPACITY} at once. A dispatcher is "
        "killed with kill -9 while it holds long turns, then a gateway, which is started again at "
        "once."
    )


def shown(report: Mapping[str, Any]) -> str:
    """What the report means, in words."""
    killed = report["killed"]
    kept = report["submitted"] - report["lost"]
    return (
        f"Shown: {kept} of {report['submitted']} accepted turns have a result, "
        f"{report['duplicates']} have two, although {killed['dispatcher']} and "
        f"{killed['instance']} were killed at work. {report['adopted']} turns that ran were "
        "adopted from the dispatcher: one attempt each, one call of the model. "
        f"{report['reruns']} calls were made again, for what ended with the gateway; "
        f"{report['aborted_after_restart']} turns that it resumed by itself were aborted before it "
        f"was given new ones. {report['tokens']:,} tokens for ${report['cost_usd']:.4f}, by the "
        "stand-in's count."
    )


def _gateways(count: int) -> str:
    return "one real OpenClaw gateway" if count == 1 else f"{count} real OpenClaw gateways"
