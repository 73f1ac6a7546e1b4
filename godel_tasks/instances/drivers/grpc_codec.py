"""Values to protobuf messages and back. The hot loops build messages in place: it is twice as fast
as building a list of them and handing it over."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from godel_tasks.domain.attempt import Completion, Delivery, End
from godel_tasks.domain.instance import (
    Health,
    HealthComponents,
    InstanceMetrics,
    Work,
    WorkProbe,
)
from godel_tasks.domain.session import Session
from godel_tasks.instances.drivers._generated import instance_pb2 as pb
from godel_tasks.instances.drivers.grpc_wire import BATCH_BYTES

_END_NUMBERS: dict[End, pb.End] = {
    End.OK: pb.END_OK,
    End.FAILED: pb.END_FAILED,
    End.CANCELLED: pb.END_CANCELLED,
    End.TIMED_OUT: pb.END_TIMED_OUT,
    End.REJECTED: pb.END_REJECTED,
    End.LOST: pb.END_LOST,
}
_ENDS = {int(number): end for end, number in _END_NUMBERS.items()}

_HEALTH_NUMBERS = {
    Health.HEALTHY: pb.HealthResponse.STATUS_HEALTHY,
    Health.DEGRADED: pb.HealthResponse.STATUS_DEGRADED,
    Health.UNHEALTHY: pb.HealthResponse.STATUS_UNHEALTHY,
}
_HEALTHS = {int(number): health for health, number in _HEALTH_NUMBERS.items()}


def requests_of(deliveries: Sequence[Delivery]) -> Iterator[pb.AttachRequest]:
    """Deliveries in as few messages as their sizes allow."""
    request = pb.AttachRequest()
    add, size = request.deliveries.add, 0
    for delivery in deliveries:
        payload = delivery.payload
        if size and size + len(payload) > BATCH_BYTES:
            yield request
            request = pb.AttachRequest()
            add, size = request.deliveries.add, 0
        size += len(payload)
        message = add()
        message.task_id = delivery.task_id
        message.attempt = delivery.attempt
        message.instance_id = delivery.instance_id
        message.generation = delivery.generation
        message.tenant_id = delivery.tenant_id
        message.payload = payload
        if delivery.encoding != "json":
            message.encoding = delivery.encoding
        if delivery.timeout_ms:
            message.timeout_ms = delivery.timeout_ms
        if delivery.session_id:
            message.session_id = delivery.session_id
        if delivery.correlation_id:
            message.correlation_id = delivery.correlation_id
        if delivery.headers:
            message.headers.update(delivery.headers)
    yield request


def deliveries_of(request: pb.AttachRequest) -> list[Delivery]:
    return [
        Delivery(
            message.task_id,
            message.attempt,
            message.instance_id,
            message.generation,
            message.tenant_id,
            message.payload,
            message.encoding or "json",
            message.timeout_ms,
            message.session_id,
            message.correlation_id,
            dict(headers) if (headers := message.headers) else {},
        )
        for message in request.deliveries
    ]


def responses_of(completions: Sequence[Completion]) -> Iterator[pb.AttachResponse]:
    """Completions in as few messages as their sizes allow."""
    response = pb.AttachResponse()
    add, size = response.completions.add, 0
    for completion in completions:
        result = completion.result
        if size and size + len(result) > BATCH_BYTES:
            yield response
            response = pb.AttachResponse()
            add, size = response.completions.add, 0
        size += len(result)
        message = add()
        message.task_id = completion.task_id
        message.attempt = completion.attempt
        message.instance_id = completion.instance_id
        message.end = _END_NUMBERS[completion.end]
        message.run_ms = completion.run_ms
        if completion.end is End.OK:
            message.result = result
        else:
            error = message.error
            error.type = completion.error_type
            error.module = completion.error_module
            error.message = completion.error_message
            error.traceback = completion.traceback
            error.not_retryable = not completion.retryable
    yield response


def completions_of(response: pb.AttachResponse) -> list[Completion]:
    return [
        Completion(
            message.task_id,
            message.attempt,
            message.instance_id,
            End.OK,
            message.result,
            run_ms=message.run_ms,
        )
        if message.end == pb.END_OK
        else _completion_with_error(message)
        for message in response.completions
    ]


def _completion_with_error(message: pb.Completion) -> Completion:
    error = message.error
    return Completion(
        message.task_id,
        message.attempt,
        message.instance_id,
        # An end that this version does not know leaves it open what the attempt did.
        _ENDS.get(message.end, End.LOST),
        error_type=error.type,
        error_module=error.module,
        error_message=error.message,
        traceback=error.traceback,
        run_ms=message.run_ms,
        retryable=not error.not_retryable,
    )


_WORK_NUMBERS = {
    Work.DONE: pb.HealthResponse.WORK_DONE,
    Work.BUSY: pb.HealthResponse.WORK_BUSY,
    Work.FAILED: pb.HealthResponse.WORK_FAILED,
}
_WORKS = {int(number): work for work, number in _WORK_NUMBERS.items()}


def health_message(health: Health, error: str, work: WorkProbe | None) -> pb.HealthResponse:
    message = pb.HealthResponse(status=_HEALTH_NUMBERS[health], error=error)
    if work is not None:
        message.work = _WORK_NUMBERS[work.outcome]
        message.work_detail = work.detail
    return message


def work_of(message: pb.HealthResponse) -> WorkProbe | None:
    """None when the instance cannot say."""
    work = _WORKS.get(message.work)
    return WorkProbe(work, message.work_detail) if work else None


def health_of(message: pb.HealthResponse) -> Health:
    return _HEALTHS.get(message.status, Health.UNHEALTHY)


def components_of(message: pb.HealthComponents) -> HealthComponents:
    def known(name: str) -> bool | None:
        return bool(getattr(message, name)) if message.HasField(name) else None

    return HealthComponents(
        database=known("database"),
        memory=known("memory"),
        agents=known("agents"),
        channels=known("channels"),
    )


_METRICS = (
    "cpu_usage",
    "memory_usage",
    "active_sessions",
    "queued_tasks",
    "completed_tasks",
    "failed_tasks",
)


def metrics_message(metrics: InstanceMetrics) -> pb.MetricsResponse:
    known = {name: getattr(metrics, name) for name in _METRICS}
    return pb.MetricsResponse(**{name: value for name, value in known.items() if value is not None})


def metrics_of(message: pb.MetricsResponse) -> InstanceMetrics:
    known = {field.name: value for field, value in message.ListFields() if field.name in _METRICS}
    # A field that was set to 0 is set: ListFields tells presence for `optional` ones.
    return InstanceMetrics(**known)


def session_message(session: Session) -> pb.Session:
    return pb.Session(
        session_id=session.session_id,
        instance_id=session.instance_id,
        tenant_id=session.tenant_id,
        created_ms=session.created_ms,
        labels=session.labels,
    )


def session_of(message: pb.Session) -> Session:
    return Session(
        session_id=message.session_id,
        instance_id=message.instance_id,
        tenant_id=message.tenant_id,
        created_ms=message.created_ms,
        labels=dict(message.labels),
    )
