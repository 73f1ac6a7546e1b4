"""Traces are on where the process has a tracer provider of OpenTelemetry's, and cost nothing else.

Godel configures none: `opentelemetry-instrument` does, or the user's own code.
"""

from __future__ import annotations

import os
from importlib.metadata import version
from typing import TYPE_CHECKING

import structlog

from godel_tasks.events import EventBus

if TYPE_CHECKING:
    from godel_tasks.telemetry.spans import AttemptTracer

log = structlog.get_logger("godel.traces")

#: Who sets one of these expects traces.
_ASKED_BY = (
    "OTEL_TRACES_EXPORTER",
    "OTEL_EXPORTER_OTLP_ENDPOINT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT",
)


def start_traces(bus: EventBus, node: str) -> AttemptTracer | None:
    """Trace what `bus` tells, if the process has a tracer provider; the caller stops it. `node` is
    the dispatcher's name in spans."""
    try:
        from opentelemetry import trace
    except ImportError:
        _say_off("opentelemetry is not installed", "pip install 'godel-tasks[otel]'")
        return None
    provider = trace.get_tracer_provider()
    if isinstance(provider, trace.ProxyTracerProvider | trace.NoOpTracerProvider):
        _say_off(
            "this process has no tracer provider",
            "start it by `opentelemetry-instrument celery ...`, or set one at worker_init",
        )
        return None
    from godel_tasks.telemetry.spans import AttemptTracer

    tracer = AttemptTracer(provider.get_tracer("godel_tasks", version("godel-tasks")), node)
    tracer.watch(bus)
    tracer.start()
    log.info("traces.on", provider=type(provider).__name__)
    return tracer


def _say_off(why: str, hint: str) -> None:
    """Only to those who seem to want traces."""
    if os.environ.get("OTEL_SDK_DISABLED", "").lower() == "true":
        return
    if any(os.environ.get(name, "none") not in ("", "none") for name in _ASKED_BY):
        log.warning("traces.off", why=why, hint=hint)
