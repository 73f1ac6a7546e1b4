"""The generated code is what the .proto files give, and values survive the wire."""

from __future__ import annotations

import runpy
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from godel_tasks.domain.attempt import Completion, Delivery, End
from godel_tasks.domain.instance import Health, HealthComponents, InstanceMetrics
from godel_tasks.instances.drivers import grpc_codec as codec
from godel_tasks.instances.drivers import grpc_wire as wire
from godel_tasks.instances.drivers._generated import instance_pb2 as pb

ROOT = Path(__file__).parents[2]

TEXT = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
NUMBERS = st.integers(0, 2**53)
DELIVERIES = st.builds(
    Delivery,
    task_id=TEXT,
    attempt=NUMBERS,
    instance_id=TEXT,
    generation=NUMBERS,
    tenant_id=TEXT,
    payload=st.binary(max_size=50),
    encoding=st.sampled_from(["json", "bytes"]),
    timeout_ms=NUMBERS,
    session_id=TEXT,
    correlation_id=TEXT,
    headers=st.dictionaries(TEXT, TEXT, max_size=3),
)
ENDED = st.builds(
    Completion,
    task_id=TEXT,
    attempt=NUMBERS,
    instance_id=TEXT,
    end=st.sampled_from([end for end in End if end is not End.OK]),
    error_type=TEXT,
    error_module=TEXT,
    error_message=TEXT,
    traceback=TEXT,
    run_ms=st.floats(0, 1e9),
    retryable=st.booleans(),
)
OK = st.builds(
    Completion,
    task_id=TEXT,
    attempt=NUMBERS,
    instance_id=TEXT,
    end=st.just(End.OK),
    result=st.binary(max_size=50),
    run_ms=st.floats(0, 1e9),
)


def test_the_committed_code_is_what_the_proto_files_give() -> None:
    protogen = runpy.run_path(str(ROOT / "scripts" / "protogen.py"))
    assert protogen["stale_files"]() == []


def test_every_method_of_the_service_is_served_and_called() -> None:
    service = pb.DESCRIPTOR.services_by_name["InstanceService"]
    assert service.full_name == wire.SERVICE
    unary = [m for m in vars(wire).values() if isinstance(m, wire.Method)]
    assert {m.name for m in unary} | {"Attach"} == {m.name for m in service.methods}
    for method in unary:
        described = service.methods_by_name[method.name]
        assert described.input_type is method.request.DESCRIPTOR
        assert described.output_type is method.response.DESCRIPTOR


@given(st.lists(DELIVERIES, max_size=5))
def test_deliveries_survive_the_wire(deliveries: list[Delivery]) -> None:
    requests = [
        pb.AttachRequest.FromString(request.SerializeToString())
        for request in codec.requests_of(deliveries)
    ]
    assert [d for request in requests for d in codec.deliveries_of(request)] == deliveries


@given(st.lists(OK | ENDED, max_size=5))
def test_completions_survive_the_wire(completions: list[Completion]) -> None:
    responses = [
        pb.AttachResponse.FromString(response.SerializeToString())
        for response in codec.responses_of(completions)
    ]
    assert [c for response in responses for c in codec.completions_of(response)] == completions


def test_large_batches_are_cut() -> None:
    payload = b"x" * (wire.BATCH_BYTES // 2 + 1)
    deliveries = [Delivery(f"t{n}", 1, "i", 1, "acme", payload) for n in range(3)]
    assert [len(r.deliveries) for r in codec.requests_of(deliveries)] == [1, 1, 1]
    completions = [Completion(f"t{n}", 1, "i", End.OK, payload) for n in range(3)]
    assert [len(r.completions) for r in codec.responses_of(completions)] == [1, 1, 1]


def test_an_end_from_a_later_version_leaves_open_what_happened() -> None:
    response = pb.AttachResponse()
    response.completions.add(task_id="t", attempt=1, instance_id="i", end=99)
    assert codec.completions_of(response)[0].end is End.LOST


def test_zero_and_unknown_are_told_apart() -> None:
    known = InstanceMetrics(cpu_usage=0.0, queued_tasks=0)
    assert codec.metrics_of(codec.metrics_message(known)) == known
    assert codec.metrics_of(pb.MetricsResponse()) == InstanceMetrics()
    components = codec.components_of(pb.HealthComponents(database=False, memory=True))
    assert components == HealthComponents(database=False, memory=True)
    assert codec.health_of(pb.HealthResponse()) is Health.UNHEALTHY
