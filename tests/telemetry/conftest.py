"""Spans in memory, and Celery's own instrumentation in the producer."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from opentelemetry.instrumentation.celery import CeleryInstrumentor
from opentelemetry.sdk.trace import ReadableSpan, TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from godel_tasks.events import EventBus
from godel_tasks.telemetry.spans import AttemptTracer
from tests.inprocess import dispatching
from tests.world import World


class Spans:
    """What was exported."""

    def __init__(self, provider: TracerProvider | None = None) -> None:
        self.exporter = InMemorySpanExporter()
        self.provider = provider or TracerProvider()
        self.provider.add_span_processor(SimpleSpanProcessor(self.exporter))

    def all(self) -> list[ReadableSpan]:
        return list(self.exporter.get_finished_spans())

    def of(self, task_id: str) -> list[ReadableSpan]:
        """Spans of a task, those of its producer included."""
        return [
            s for s in self.all() if (s.attributes or {}).get("messaging.message.id") == task_id
        ]

    def named(self, name: str, task_id: str) -> list[ReadableSpan]:
        """Spans of a task that are called so, in the order of their starts."""
        found = [span for span in self.of(task_id) if span.name == name]
        return sorted(found, key=lambda span: span.start_time or 0)


@pytest.fixture
def spans() -> Iterator[Spans]:
    found = Spans()
    yield found
    found.provider.shutdown()


@pytest.fixture
def instrumented(spans: Spans) -> Iterator[None]:
    """The producer's side, as its users have it."""
    instrumentor = CeleryInstrumentor()  # type: ignore[no-untyped-call]
    instrumentor.instrument(tracer_provider=spans.provider)
    yield
    instrumentor.uninstrument()


@pytest.fixture(scope="module")
def world(tmp_path_factory: pytest.TempPathFactory) -> Iterator[World]:
    """One instance whose handler answers the headers that it got, and no dispatcher."""
    settings = {"backoff_base_s": 0.05, "backoff_max_s": 0.1, "max_attempts": 2}
    with World(tmp_path_factory.mktemp("traces"), **settings) as found:
        found.instance("gw", "tests.telemetry.handlers:echo_trace", "--capacity", "8")
        found.tenant("acme")
        yield found


@pytest.fixture
def dispatched(world: World, spans: Spans) -> Iterator[AttemptTracer]:
    """A dispatcher in this process, traced; when it is over all spans are exported."""
    bus = EventBus()
    tracer = AttemptTracer(spans.provider.get_tracer("godel_tasks"), "d1@here")
    tracer.watch(bus)
    tracer.start()
    with dispatching(world.runtime, bus):
        yield tracer
    tracer.stop()
