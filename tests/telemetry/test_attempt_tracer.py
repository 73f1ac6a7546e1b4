"""What the tracer makes of events, one by one."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.sampling import ALWAYS_OFF, Sampler, SamplingResult
from opentelemetry.trace import StatusCode

from godel_tasks.events import (
    AttemptEnded,
    EventBus,
    TaskAdopted,
    TaskClaimed,
    TaskPublished,
    TaskStarted,
)
from godel_tasks.telemetry.spans import AttemptTracer
from tests.telemetry.conftest import Spans

WHO = ("t1", "acme", 1, "gw")
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
S = 1_000_000_000


class Told:
    """A tracer with its clock (in seconds) in the test's hand."""

    def __init__(self, provider: TracerProvider) -> None:
        self.now_s = 100.0
        self.bus = EventBus()
        self.tracer = AttemptTracer(provider.get_tracer("test"), "d1", lambda: int(self.now_s * S))
        self.tracer.watch(self.bus)
        self.tracer.start()

    def claimed(self, at_s: float, headers: dict[str, str]) -> None:
        self.now_s = at_s
        self.bus.emit(TaskClaimed(*WHO, at_s, 2.0, "", headers))

    def adopted(self, at_s: float, headers: dict[str, str]) -> None:
        self.now_s = at_s
        self.bus.emit(TaskAdopted(*WHO, at_s, "", headers))

    def started(self, at_s: float) -> None:
        self.now_s = at_s
        self.bus.emit(TaskStarted(*WHO, at_s))

    def ended(self, ended_s: float, at_s: float, outcome: str, error_type: str = "") -> None:
        self.now_s = at_s
        self.bus.emit(AttemptEnded(*WHO, outcome, "because", error_type, ended_s, at_s))

    def published(self, at_s: float, state: str = "SUCCEEDED") -> None:
        self.now_s = at_s
        self.bus.emit(TaskPublished(*WHO, state, 0.1, at_s, "", b"1", "", "", "", ""))


@pytest.fixture
def told(spans: Spans) -> Iterator[Told]:
    found = Told(spans.provider)
    yield found
    found.tracer.stop()


def times(spans: Spans) -> dict[str, tuple[float, float]]:
    return {s.name: ((s.start_time or 0) / S, (s.end_time or 0) / S) for s in spans.all()}


def outcomes(spans: Spans) -> list[Any]:
    return [(s.attributes or {})["godel.outcome"] for s in spans.named("process godel", "t1")]


def test_spans_last_as_long_as_what_they_stand_for(told: Told, spans: Spans) -> None:
    # Given an attempt whose steps take a second each, after two seconds in the queue
    told.claimed(100, {})
    told.started(101)
    told.ended(102, 103, "succeeded")
    told.published(104)
    # When all is told
    told.tracer.stop()
    # Then each step's span lasts that long
    assert times(spans) == {
        "queued godel": (98, 100),
        "process godel": (100, 104),
        "deliver godel": (101, 102),
        "settle godel": (102, 103),
        "publish godel": (103, 104),
    }


def test_a_task_without_a_trace_begins_one(told: Told, spans: Spans) -> None:
    # Given a producer that is not instrumented
    headers: dict[str, str] = {}
    # When its task is claimed and handed back
    told.claimed(100, headers)
    told.ended(101, 101, "handed_back")
    told.tracer.stop()
    # Then the attempt is the root of a trace of its own, which goes to the instance
    (attempt,) = spans.named("process godel", "t1")
    assert attempt.parent is None
    assert len({(s.context.trace_id if s.context else 0) for s in spans.all()}) == 1
    assert attempt.context is not None
    assert headers["traceparent"].split("-")[1] == f"{attempt.context.trace_id:032x}"


@pytest.mark.parametrize(
    ("outcome", "status"),
    [
        ("retried", StatusCode.ERROR),
        ("held", StatusCode.ERROR),
        ("handed_back", StatusCode.UNSET),
        ("taken_over", StatusCode.UNSET),
    ],
)
def test_an_attempt_that_ends_no_task_ends_its_span(
    told: Told, spans: Spans, outcome: str, status: StatusCode
) -> None:
    # Given an attempt
    told.claimed(100, {"traceparent": PARENT})
    # When it ends so
    told.ended(101, 102, outcome)
    told.tracer.stop()
    # Then its span ends then, and nothing was delivered or published
    assert outcomes(spans) == [outcome]
    assert spans.named("process godel", "t1")[0].status.status_code is status
    assert times(spans).keys() == {"queued godel", "process godel", "settle godel"}


def test_an_adopted_attempt_goes_on_in_the_same_trace(told: Told, spans: Spans) -> None:
    # Given an attempt that another dispatcher began, and that this one lost and found again
    told.adopted(100, {"traceparent": PARENT})
    told.adopted(105, {"traceparent": PARENT})
    # When it ends, and the dispatcher before the task is published
    told.ended(106, 107, "succeeded")
    told.tracer.stop()
    # Then both spans are in the producer's trace, and say what became of them
    first, second = spans.named("process godel", "t1")
    assert {f"{s.parent.span_id:016x}" for s in (first, second) if s.parent} == {PARENT[36:52]}
    assert outcomes(spans) == ["left", "left"]
    assert (first.attributes or {})["godel.adopted"] is True
    assert not spans.named("queued godel", "t1")


def test_an_end_of_another_attempt_is_not_taken_for_it(told: Told, spans: Spans) -> None:
    # Given no attempt of ours
    # When ends are told that a dead dispatcher left, or a job
    told.ended(101, 102, "succeeded")
    told.published(103)
    told.tracer.stop()
    # Then there is no span
    assert not spans.all()


def test_what_is_not_sampled_costs_no_spans_and_says_so() -> None:
    # Given a sampler that takes nothing
    spans = Spans(TracerProvider(sampler=ALWAYS_OFF))
    told = Told(spans.provider)
    headers: dict[str, str] = {}
    # When an attempt comes and goes
    told.claimed(100, headers)
    told.started(101)
    told.ended(102, 103, "succeeded")
    told.published(104)
    told.tracer.stop()
    # Then nothing is exported, and the instance is told not to sample either
    assert not spans.all()
    assert not int(headers["traceparent"].split("-")[3], 16) & 1
    spans.provider.shutdown()


def test_a_sampler_that_raises_stops_no_task(capsys: pytest.CaptureFixture[str]) -> None:
    # Given a sampler that raises
    class Broken(Sampler):
        def should_sample(self, *args: Any, **kwargs: Any) -> SamplingResult:
            raise RuntimeError("broken sampler")

        def get_description(self) -> str:
            return "broken"

    spans = Spans(TracerProvider(sampler=Broken()))
    told = Told(spans.provider)
    headers = {"own": "h"}
    # When an attempt is claimed
    told.claimed(100, headers)
    told.ended(102, 103, "succeeded")
    told.tracer.stop()
    # Then the dispatcher goes on, with the headers as they were, and the log says why
    assert headers == {"own": "h"}
    assert "broken sampler" in capsys.readouterr().out
    spans.provider.shutdown()
