"""A user's module that sets OpenTelemetry up in a worker, for `celery worker -I`: at the signal
that `TRACES_AT` names, with the file that `TRACES_TO` names as exporter."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from celery import signals
from opentelemetry import trace
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import ConsoleSpanExporter, SimpleSpanProcessor

if "TRACES_AT" in os.environ:

    @getattr(signals, os.environ["TRACES_AT"]).connect
    def set_up(**_: Any) -> None:
        exporter = ConsoleSpanExporter(
            out=Path(os.environ["TRACES_TO"]).open("a", encoding="utf-8"),  # noqa: SIM115
            formatter=lambda span: span.to_json(indent=None) + "\n",
        )
        provider = TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        trace.set_tracer_provider(provider)
