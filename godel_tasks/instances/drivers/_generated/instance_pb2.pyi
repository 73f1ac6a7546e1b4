from google.protobuf.internal import containers as _containers
from google.protobuf.internal import enum_type_wrapper as _enum_type_wrapper
from google.protobuf import descriptor as _descriptor
from google.protobuf import message as _message
from collections.abc import Iterable as _Iterable, Mapping as _Mapping
from typing import ClassVar as _ClassVar, Optional as _Optional, Union as _Union

DESCRIPTOR: _descriptor.FileDescriptor

class End(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
    __slots__ = ()
    END_UNSPECIFIED: _ClassVar[End]
    END_OK: _ClassVar[End]
    END_FAILED: _ClassVar[End]
    END_CANCELLED: _ClassVar[End]
    END_TIMED_OUT: _ClassVar[End]
    END_REJECTED: _ClassVar[End]
    END_LOST: _ClassVar[End]
END_UNSPECIFIED: End
END_OK: End
END_FAILED: End
END_CANCELLED: End
END_TIMED_OUT: End
END_REJECTED: End
END_LOST: End

class AttachRequest(_message.Message):
    __slots__ = ("deliveries", "cancels", "acks")
    DELIVERIES_FIELD_NUMBER: _ClassVar[int]
    CANCELS_FIELD_NUMBER: _ClassVar[int]
    ACKS_FIELD_NUMBER: _ClassVar[int]
    deliveries: _containers.RepeatedCompositeFieldContainer[Delivery]
    cancels: _containers.RepeatedCompositeFieldContainer[Cancel]
    acks: _containers.RepeatedCompositeFieldContainer[Ack]
    def __init__(self, deliveries: _Optional[_Iterable[_Union[Delivery, _Mapping]]] = ..., cancels: _Optional[_Iterable[_Union[Cancel, _Mapping]]] = ..., acks: _Optional[_Iterable[_Union[Ack, _Mapping]]] = ...) -> None: ...

class AttachResponse(_message.Message):
    __slots__ = ("hello", "completions")
    HELLO_FIELD_NUMBER: _ClassVar[int]
    COMPLETIONS_FIELD_NUMBER: _ClassVar[int]
    hello: Hello
    completions: _containers.RepeatedCompositeFieldContainer[Completion]
    def __init__(self, hello: _Optional[_Union[Hello, _Mapping]] = ..., completions: _Optional[_Iterable[_Union[Completion, _Mapping]]] = ...) -> None: ...

class Hello(_message.Message):
    __slots__ = ("boot_id", "instances")
    BOOT_ID_FIELD_NUMBER: _ClassVar[int]
    INSTANCES_FIELD_NUMBER: _ClassVar[int]
    boot_id: str
    instances: _containers.RepeatedCompositeFieldContainer[Served]
    def __init__(self, boot_id: _Optional[str] = ..., instances: _Optional[_Iterable[_Union[Served, _Mapping]]] = ...) -> None: ...

class Served(_message.Message):
    __slots__ = ("instance_id", "generation", "capacity")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    CAPACITY_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    generation: int
    capacity: int
    def __init__(self, instance_id: _Optional[str] = ..., generation: _Optional[int] = ..., capacity: _Optional[int] = ...) -> None: ...

class Delivery(_message.Message):
    __slots__ = ("task_id", "attempt", "instance_id", "generation", "tenant_id", "payload", "encoding", "timeout_ms", "session_id", "correlation_id", "headers")
    class HeadersEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    GENERATION_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    PAYLOAD_FIELD_NUMBER: _ClassVar[int]
    ENCODING_FIELD_NUMBER: _ClassVar[int]
    TIMEOUT_MS_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    CORRELATION_ID_FIELD_NUMBER: _ClassVar[int]
    HEADERS_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    attempt: int
    instance_id: str
    generation: int
    tenant_id: str
    payload: bytes
    encoding: str
    timeout_ms: int
    session_id: str
    correlation_id: str
    headers: _containers.ScalarMap[str, str]
    def __init__(self, task_id: _Optional[str] = ..., attempt: _Optional[int] = ..., instance_id: _Optional[str] = ..., generation: _Optional[int] = ..., tenant_id: _Optional[str] = ..., payload: _Optional[bytes] = ..., encoding: _Optional[str] = ..., timeout_ms: _Optional[int] = ..., session_id: _Optional[str] = ..., correlation_id: _Optional[str] = ..., headers: _Optional[_Mapping[str, str]] = ...) -> None: ...

class Cancel(_message.Message):
    __slots__ = ("instance_id", "keys")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    keys: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, instance_id: _Optional[str] = ..., keys: _Optional[_Iterable[str]] = ...) -> None: ...

class Ack(_message.Message):
    __slots__ = ("instance_id", "keys")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    KEYS_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    keys: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, instance_id: _Optional[str] = ..., keys: _Optional[_Iterable[str]] = ...) -> None: ...

class Completion(_message.Message):
    __slots__ = ("task_id", "attempt", "instance_id", "end", "result", "error", "run_ms")
    TASK_ID_FIELD_NUMBER: _ClassVar[int]
    ATTEMPT_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    END_FIELD_NUMBER: _ClassVar[int]
    RESULT_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    RUN_MS_FIELD_NUMBER: _ClassVar[int]
    task_id: str
    attempt: int
    instance_id: str
    end: End
    result: bytes
    error: Error
    run_ms: float
    def __init__(self, task_id: _Optional[str] = ..., attempt: _Optional[int] = ..., instance_id: _Optional[str] = ..., end: _Optional[_Union[End, str]] = ..., result: _Optional[bytes] = ..., error: _Optional[_Union[Error, _Mapping]] = ..., run_ms: _Optional[float] = ...) -> None: ...

class Error(_message.Message):
    __slots__ = ("type", "module", "message", "traceback", "not_retryable")
    TYPE_FIELD_NUMBER: _ClassVar[int]
    MODULE_FIELD_NUMBER: _ClassVar[int]
    MESSAGE_FIELD_NUMBER: _ClassVar[int]
    TRACEBACK_FIELD_NUMBER: _ClassVar[int]
    NOT_RETRYABLE_FIELD_NUMBER: _ClassVar[int]
    type: str
    module: str
    message: str
    traceback: str
    not_retryable: bool
    def __init__(self, type: _Optional[str] = ..., module: _Optional[str] = ..., message: _Optional[str] = ..., traceback: _Optional[str] = ..., not_retryable: _Optional[bool] = ...) -> None: ...

class HealthRequest(_message.Message):
    __slots__ = ("instance_id", "work_limit_ms")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    WORK_LIMIT_MS_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    work_limit_ms: int
    def __init__(self, instance_id: _Optional[str] = ..., work_limit_ms: _Optional[int] = ...) -> None: ...

class HealthResponse(_message.Message):
    __slots__ = ("status", "error", "components", "work", "work_detail")
    class Status(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        STATUS_UNSPECIFIED: _ClassVar[HealthResponse.Status]
        STATUS_HEALTHY: _ClassVar[HealthResponse.Status]
        STATUS_DEGRADED: _ClassVar[HealthResponse.Status]
        STATUS_UNHEALTHY: _ClassVar[HealthResponse.Status]
    STATUS_UNSPECIFIED: HealthResponse.Status
    STATUS_HEALTHY: HealthResponse.Status
    STATUS_DEGRADED: HealthResponse.Status
    STATUS_UNHEALTHY: HealthResponse.Status
    class Work(int, metaclass=_enum_type_wrapper.EnumTypeWrapper):
        __slots__ = ()
        WORK_UNSPECIFIED: _ClassVar[HealthResponse.Work]
        WORK_DONE: _ClassVar[HealthResponse.Work]
        WORK_BUSY: _ClassVar[HealthResponse.Work]
        WORK_FAILED: _ClassVar[HealthResponse.Work]
    WORK_UNSPECIFIED: HealthResponse.Work
    WORK_DONE: HealthResponse.Work
    WORK_BUSY: HealthResponse.Work
    WORK_FAILED: HealthResponse.Work
    STATUS_FIELD_NUMBER: _ClassVar[int]
    ERROR_FIELD_NUMBER: _ClassVar[int]
    COMPONENTS_FIELD_NUMBER: _ClassVar[int]
    WORK_FIELD_NUMBER: _ClassVar[int]
    WORK_DETAIL_FIELD_NUMBER: _ClassVar[int]
    status: HealthResponse.Status
    error: str
    components: HealthComponents
    work: HealthResponse.Work
    work_detail: str
    def __init__(self, status: _Optional[_Union[HealthResponse.Status, str]] = ..., error: _Optional[str] = ..., components: _Optional[_Union[HealthComponents, _Mapping]] = ..., work: _Optional[_Union[HealthResponse.Work, str]] = ..., work_detail: _Optional[str] = ...) -> None: ...

class HealthComponents(_message.Message):
    __slots__ = ("database", "memory", "agents", "channels")
    DATABASE_FIELD_NUMBER: _ClassVar[int]
    MEMORY_FIELD_NUMBER: _ClassVar[int]
    AGENTS_FIELD_NUMBER: _ClassVar[int]
    CHANNELS_FIELD_NUMBER: _ClassVar[int]
    database: bool
    memory: bool
    agents: bool
    channels: bool
    def __init__(self, database: _Optional[bool] = ..., memory: _Optional[bool] = ..., agents: _Optional[bool] = ..., channels: _Optional[bool] = ...) -> None: ...

class MetricsRequest(_message.Message):
    __slots__ = ("instance_id",)
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    def __init__(self, instance_id: _Optional[str] = ...) -> None: ...

class MetricsResponse(_message.Message):
    __slots__ = ("cpu_usage", "memory_usage", "active_sessions", "queued_tasks", "completed_tasks", "failed_tasks")
    CPU_USAGE_FIELD_NUMBER: _ClassVar[int]
    MEMORY_USAGE_FIELD_NUMBER: _ClassVar[int]
    ACTIVE_SESSIONS_FIELD_NUMBER: _ClassVar[int]
    QUEUED_TASKS_FIELD_NUMBER: _ClassVar[int]
    COMPLETED_TASKS_FIELD_NUMBER: _ClassVar[int]
    FAILED_TASKS_FIELD_NUMBER: _ClassVar[int]
    cpu_usage: float
    memory_usage: float
    active_sessions: int
    queued_tasks: int
    completed_tasks: int
    failed_tasks: int
    def __init__(self, cpu_usage: _Optional[float] = ..., memory_usage: _Optional[float] = ..., active_sessions: _Optional[int] = ..., queued_tasks: _Optional[int] = ..., completed_tasks: _Optional[int] = ..., failed_tasks: _Optional[int] = ...) -> None: ...

class InventoryRequest(_message.Message):
    __slots__ = ("instance_id",)
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    def __init__(self, instance_id: _Optional[str] = ...) -> None: ...

class InventoryResponse(_message.Message):
    __slots__ = ("keys",)
    KEYS_FIELD_NUMBER: _ClassVar[int]
    keys: _containers.RepeatedScalarFieldContainer[str]
    def __init__(self, keys: _Optional[_Iterable[str]] = ...) -> None: ...

class CreateSessionRequest(_message.Message):
    __slots__ = ("instance_id", "session_id", "tenant_id", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    session_id: str
    tenant_id: str
    labels: _containers.ScalarMap[str, str]
    def __init__(self, instance_id: _Optional[str] = ..., session_id: _Optional[str] = ..., tenant_id: _Optional[str] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...

class GetSessionRequest(_message.Message):
    __slots__ = ("instance_id", "session_id")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    session_id: str
    def __init__(self, instance_id: _Optional[str] = ..., session_id: _Optional[str] = ...) -> None: ...

class GetSessionResponse(_message.Message):
    __slots__ = ("session",)
    SESSION_FIELD_NUMBER: _ClassVar[int]
    session: Session
    def __init__(self, session: _Optional[_Union[Session, _Mapping]] = ...) -> None: ...

class TerminateSessionRequest(_message.Message):
    __slots__ = ("instance_id", "session_id")
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    instance_id: str
    session_id: str
    def __init__(self, instance_id: _Optional[str] = ..., session_id: _Optional[str] = ...) -> None: ...

class TerminateSessionResponse(_message.Message):
    __slots__ = ()
    def __init__(self) -> None: ...

class Session(_message.Message):
    __slots__ = ("session_id", "instance_id", "tenant_id", "created_ms", "labels")
    class LabelsEntry(_message.Message):
        __slots__ = ("key", "value")
        KEY_FIELD_NUMBER: _ClassVar[int]
        VALUE_FIELD_NUMBER: _ClassVar[int]
        key: str
        value: str
        def __init__(self, key: _Optional[str] = ..., value: _Optional[str] = ...) -> None: ...
    SESSION_ID_FIELD_NUMBER: _ClassVar[int]
    INSTANCE_ID_FIELD_NUMBER: _ClassVar[int]
    TENANT_ID_FIELD_NUMBER: _ClassVar[int]
    CREATED_MS_FIELD_NUMBER: _ClassVar[int]
    LABELS_FIELD_NUMBER: _ClassVar[int]
    session_id: str
    instance_id: str
    tenant_id: str
    created_ms: int
    labels: _containers.ScalarMap[str, str]
    def __init__(self, session_id: _Optional[str] = ..., instance_id: _Optional[str] = ..., tenant_id: _Optional[str] = ..., created_ms: _Optional[int] = ..., labels: _Optional[_Mapping[str, str]] = ...) -> None: ...
