"""Traces are on where the process has a tracer provider, and free of cost elsewhere."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from godel_tasks.events import AttemptEnded, EventBus, TaskClaimed, TaskPublished
from godel_tasks.telemetry.traces import start_traces
from tests.world import World

SETUP = ("-I", "tests.telemetry.setting_up")


@pytest.mark.parametrize("at", ["worker_init", "worker_process_init"])
def test_a_worker_that_sets_up_opentelemetry_is_traced(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, at: str
) -> None:
    # Given a dispatcher whose user sets a tracer provider up at one of Celery's signals
    exported = tmp_path / "spans.jsonl"
    monkeypatch.setenv("TRACES_AT", at)
    monkeypatch.setenv("TRACES_TO", str(exported))
    dispatcher = world.dispatcher(f"d-{at}", *SETUP)
    # When a task runs, and the dispatcher ends
    headers = world.submit("acme", {}).get(timeout=20)["headers"]
    dispatcher.terminate()
    assert dispatcher.wait() == 0
    # Then it said that traces are on, and its spans are exported
    assert "traces.on" in dispatcher.text()
    spans = [json.loads(line) for line in exported.read_text().splitlines()]
    names = sorted(span["name"].partition(" ")[0] for span in spans)
    assert names == ["deliver", "process", "publish", "queued", "settle"]
    assert {span["context"]["trace_id"][2:] for span in spans} == {
        headers["traceparent"].split("-")[1]
    }


def test_without_a_provider_nothing_is_built(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given a process without a tracer provider, where nobody asked for traces
    for name in ("OTEL_TRACES_EXPORTER", "OTEL_EXPORTER_OTLP_ENDPOINT"):
        monkeypatch.delenv(name, raising=False)
    bus = EventBus()
    # When a dispatcher starts
    tracer = start_traces(bus, "d1")
    # Then nobody wants the events that spans are made of, and nothing is said
    assert tracer is None
    assert not any(bus.wanted(kind) for kind in (TaskClaimed, AttemptEnded, TaskPublished))
    assert capsys.readouterr().out == ""


def test_who_asks_for_traces_in_vain_is_told_why(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    # Given OpenTelemetry's own variable, and no tracer provider
    monkeypatch.setenv("OTEL_TRACES_EXPORTER", "otlp")
    # When a dispatcher starts
    assert start_traces(EventBus(), "d1") is None
    # Then the log says why it is not traced, and what to do
    said = capsys.readouterr().out
    assert "traces.off" in said
    assert "opentelemetry-instrument" in said
    # But not when the SDK is switched off on purpose
    monkeypatch.setenv("OTEL_SDK_DISABLED", "true")
    assert start_traces(EventBus(), "d1") is None
    assert capsys.readouterr().out == ""
