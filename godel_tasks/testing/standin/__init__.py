"""A stand-in for the model behind OpenClaw gateways. Nothing picks it but by name.

    async with StandInModel() as model:
        ...                             # gateways whose provider's base URL is model.url
        assert len(model.calls_of("write the report [[latency=2]]")) == 1

It speaks OpenAI's chat completions, and answers as the directives in a prompt say: see `script`.
"""

from __future__ import annotations

from godel_tasks.testing.standin.calls import Call, Ending
from godel_tasks.testing.standin.model import StandInModel, serve
from godel_tasks.testing.standin.script import Turn, parse

__all__ = ["Call", "Ending", "StandInModel", "Turn", "parse", "serve"]
