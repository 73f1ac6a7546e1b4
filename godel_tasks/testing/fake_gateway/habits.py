"""Habits: what may differ between one fake gateway and another; changed while it runs, too."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Literal

from godel_tasks.testing.standin.script import Turn

#: Given a message and its session's key, what the turn does.
Script = Callable[[str, str], Turn]


@dataclass
class Habits:
    """Prices are in dollars per million tokens."""

    #: Turns at once in its lane `main`; further ones wait.
    lanes: int = 8
    #: "auto" approves every device at once, "manual" waits for `FakeGateway.approve`.
    pairing: Literal["auto", "manual"] = "auto"
    agents: tuple[str, ...] = ("main",)
    provider: str = "standin"
    model: str = "standin-1"
    input_price: float = 1.0
    output_price: float = 2.0
    #: Bytes of the final answer that nobody reads; the real one sends so many.
    filler_bytes: int = 7000
    #: How often, and how long after, it asks a failing model again.
    retries: int = 2
    retry_delay_s: float = 0.05
    #: Before it goes on, by itself, with what a crash interrupted.
    resume_after_s: float = 0.2
    #: How long `gateway.restart.request` keeps it away.
    restart_s: float = 0.2
    tick_s: float = 30.0
    #: What messages do that do not say so themselves.
    defaults: Turn = field(default_factory=Turn)
    #: Instead of what messages say.
    script: Script | None = None
