"""One error tree.

Every error says what was wrong (`message`), what to do (`hint`) and whether trying the very same
call again may help (`retryable`).

    GodelError
    ├── SettingsError          the configuration is wrong (all problems in one error)
    ├── SubmitError            refused at the door; nothing was written
    │   ├── InvalidTask        a field is out of range or of the wrong kind
    │   │   ├── PayloadTooLarge
    │   │   └── PayloadNotSerializable
    │   ├── UnknownTenant
    │   ├── QueueFull          depth, limit, retry_after_s
    │   ├── TaskConflict       the id is taken by another task
    │   ├── SessionEnded       its session is being ended
    │   └── Unroutable         no registered instance could ever run it
    ├── TaskError              about one task that was accepted
    │   ├── TaskNotFound
    │   ├── TaskFailed         the handler raised; its type and text are kept
    │   ├── TaskTimedOut       an attempt ran longer than `timeout`, or past the `deadline`
    │   ├── AttemptUncertain   an attempt may have run, and `on_uncertain` says fail or hold
    │   ├── TaskUnroutable     buried: nobody could run it within `unroutable_after`
    │   ├── SessionInstanceLost  buried: the one instance that its session runs on did not come back
    │   ├── TaskStateConflict  the act does not fit the task's state
    │   ├── TaskNotSettled     whoever waited for its end has waited long enough
    │   └── ResultExpired      settled, but its result is no longer kept
    ├── TenantError            about a tenant's settings
    │   ├── InvalidTenant
    │   └── TenantExists
    ├── PoolError              about a pool's declaration
    │   ├── InvalidPool
    │   ├── UnknownPool
    │   └── PoolExists
    ├── SessionError           about a session
    │   ├── InvalidSession
    │   └── UnknownSession
    ├── InstanceError          about an instance, or the way to it
    │   ├── InstanceUnavailable
    │   ├── UnknownInstance
    │   ├── UnknownDriver
    │   ├── NoHealthyInstancesError  asked to route, and no instance can take it now
    │   ├── GatewayRefused     it answers, and will not have us: token, pairing, protocol
    │   ├── MissingScope       its credentials do not allow that
    │   ├── InstallFailed      OpenClaw could not be installed here, or is not
    │   ├── GatewayFailed      its process did not come up, or would not end
    │   ├── SpawnFailed        an instance was made and did not come up; nothing of it is left
    │   ├── ProviderRefused    the engine or the cluster behind a provider would not do it
    │   ├── RolloutStopped     a rolling restart does not go on by itself
    │   └── Unsupported        this driver or provider cannot do that
    ├── ScalingError           about the scaling of a pool
    │   ├── InvalidScalingPolicy
    │   └── UnknownScalingPolicy
    ├── BreakerError           about a circuit breaker
    │   ├── InvalidBreaker     a setting of it is out of range
    │   ├── UnknownBreaker
    │   └── CircuitOpenError   it lets nothing through now: retry_after_s, fallback
    ├── StoreError             Redis
    │   ├── StoreUnavailable
    │   ├── StoreVersionError
    │   └── StaleWriter        the writer's lease or generation is over; it must stop
    └── WorkerError            a worker was started in a way that cannot work
"""

from __future__ import annotations

from typing import Any


class GodelError(Exception):
    """Base of every error that Godel raises.

    `message` is one sentence; `hint` says what to do next; `retryable` says whether the same call
    may succeed later without any change.
    """

    retryable = False

    def __init__(
        self, message: str, *, hint: str | None = None, retryable: bool | None = None
    ) -> None:
        super().__init__(message)
        self.message = message
        self.hint = hint
        if retryable is not None:
            self.retryable = retryable

    def __str__(self) -> str:
        return f"{self.message} ({self.hint})" if self.hint else self.message

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), self.args, self.__dict__.copy())


def _rebuild(cls: type[GodelError], args: tuple[Any, ...], state: dict[str, Any]) -> GodelError:
    error = cls.__new__(cls)
    error.args = args
    error.__dict__.update(state)
    return error


class SettingsError(GodelError):
    """The configuration is wrong. `problems` lists every one of them, a line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("the settings are wrong:\n  " + "\n  ".join(problems))
        self.problems = problems


class SubmitError(GodelError):
    """A task was refused at the door; nothing was written."""


class InvalidTask(SubmitError):
    """A field of the task is out of range or of the wrong kind."""


class PayloadTooLarge(InvalidTask):
    """The payload is larger than the cap (`GODEL_PAYLOAD_LIMIT_BYTES`)."""


class PayloadNotSerializable(InvalidTask):
    """The payload is neither bytes nor something that JSON can carry."""


class UnknownTenant(SubmitError):
    """No tenant of that name exists."""


class QueueFull(SubmitError):
    """The tenant's queue is at its limit. `depth` and `limit` count tasks; try again after
    `retry_after_s` seconds."""

    retryable = True

    def __init__(self, tenant_id: str, *, depth: int, limit: int, retry_after_s: float) -> None:
        super().__init__(
            f"the queue of tenant {tenant_id!r} is full: {depth} tasks wait, the limit is {limit}",
            hint=f"try again in {retry_after_s:.1f} s, or raise the tenant's max_queue",
        )
        self.tenant_id = tenant_id
        self.depth = depth
        self.limit = limit
        self.retry_after_s = retry_after_s


class TaskConflict(SubmitError):
    """The task id is taken by a task with another tenant or body."""


class SessionEnded(SubmitError):
    """The task's session is being ended; once it is gone, a new one begins under its id."""

    retryable = True


class Unroutable(SubmitError):
    """`require_routable=True`, and no registered instance could ever run the task."""

    retryable = True


class TaskError(GodelError):
    """About one task that was accepted."""


class TaskNotFound(TaskError):
    """No task of that id is waiting, running or remembered."""


class TaskFailed(TaskError):
    """The handler raised. The message carries the type and text of what it raised."""


class TaskTimedOut(TaskError):
    """An attempt ran longer than `timeout`, or the task did not end before its `deadline`."""


class AttemptUncertain(TaskError):
    """An attempt may have run to an unknown end, and `on_uncertain` forbids another one."""


class TaskUnroutable(TaskError):
    """Nobody could run the task within `GODEL_UNROUTABLE_AFTER_S`."""


class SessionInstanceLost(TaskError):
    """The task's session runs on one instance only, and that did not serve for too long."""


class TaskStateConflict(TaskError):
    """The act does not fit the state that the task is in."""


class TaskNotSettled(TaskError):
    """It did not end within the time that somebody wanted to wait; it goes on."""

    retryable = True


class ResultExpired(TaskError):
    """The task was settled, and its result is no longer kept."""


class TenantError(GodelError):
    """About a tenant's settings."""


class InvalidTenant(TenantError):
    """A setting of the tenant is out of range or of the wrong kind."""


class TenantExists(TenantError):
    """A tenant of that name exists already."""


class PoolError(GodelError):
    """About a pool's declaration."""


class InvalidPool(PoolError):
    """A field of the pool, or an option of its template, is out of range or of the wrong kind."""


class UnknownPool(PoolError):
    """No pool of that name was declared."""


class PoolExists(PoolError):
    """A pool of that name was declared already, or changed meanwhile."""


class SessionError(GodelError):
    """About a session."""


class InvalidSession(SessionError):
    """A field of a session is out of range or of the wrong kind."""


class UnknownSession(SessionError):
    """The tenant has no session of that id."""


class InstanceError(GodelError):
    """About an instance, or the way to it."""


class InstanceUnavailable(InstanceError):
    """The instance cannot be reached now."""

    retryable = True


class UnknownInstance(InstanceError):
    """No instance of that id is registered."""


class UnknownDriver(InstanceError):
    """No driver of that name exists."""


class NoHealthyInstancesError(InstanceError):
    """Asked to route directly, and no instance can take it now. A task that is queued waits, and
    says why (`godel tasks explain`). `filtered` pairs each instance with what stands against it."""

    retryable = True

    def __init__(self, wanted: str, filtered: list[tuple[str, str]]) -> None:
        first = "; ".join(f"{name}: {reason}" for name, reason in filtered[:3])
        more = f"; and {len(filtered) - 3} more" if len(filtered) > 3 else ""
        super().__init__(
            f"no instance can take it now ({wanted}): {first + more or 'none is registered'}",
            hint="submit it instead: a queued task waits for one that can",
        )
        self.filtered = filtered


class GatewayRefused(InstanceError):
    """The gateway answers, and will not have us: somebody has to change something."""


class MissingScope(InstanceError):
    """The credentials that an instance was registered with do not allow this. `scope` is what the
    gateway asks for."""

    def __init__(self, scope: str, act: str) -> None:
        super().__init__(
            f"{act} needs the scope {scope}, which the gateway did not grant",
            hint="admin is asked for only where Godel runs the gateway (provider process)"
            if scope.endswith("admin")
            else "give credentials that may read and write",
        )
        self.scope = scope


class InstallFailed(InstanceError):
    """What runs instances could not be installed here, or is not installed."""


class GatewayFailed(InstanceError):
    """A gateway's process did not come up, or would not end. The message carries its last words."""


class SpawnFailed(InstanceError):
    """An instance was to be made and did not come up, or would not end. The message carries its
    last words."""


class ProviderRefused(InstanceError):
    """The engine or the cluster behind a provider answered, and would not do it. `status` is that
    of HTTP."""

    def __init__(self, message: str, *, status: int, hint: str | None = None) -> None:
        super().__init__(message, hint=hint)
        self.status = status


class RolloutStopped(InstanceError):
    """A rolling restart does not go on by itself: one did not come back, or too few take work."""


class Unsupported(InstanceError):
    """This driver or provider cannot do that."""


class ScalingError(GodelError):
    """About the scaling of a pool."""


class InvalidScalingPolicy(ScalingError):
    """A scaling policy is wrong. `problems` lists every one of them, a line each."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__(
            "the scaling policy is wrong:\n  " + "\n  ".join(problems),
            hint="correct what is listed; nothing was changed",
        )
        self.problems = problems


class UnknownScalingPolicy(ScalingError):
    """No scaling policy is set for that pool."""


class BreakerError(GodelError):
    """About a circuit breaker."""


class InvalidBreaker(BreakerError):
    """A setting of the breaker is out of range."""


class UnknownBreaker(BreakerError):
    """No breaker of that name is known."""


class CircuitOpenError(BreakerError):
    """The breaker lets nothing through now; the operation was not begun. `fallback` is what the
    breaker was told to say meanwhile; `retry_after_s` is 0.0 where it is not known."""

    retryable = True

    def __init__(
        self, name: str, reason: str, *, retry_after_s: float = 0.0, fallback: str = ""
    ) -> None:
        super().__init__(
            fallback or f"the circuit breaker {name!r} lets nothing through: {reason}",
            hint=f"try again in {retry_after_s:.1f} s" if retry_after_s else "try again later",
        )
        self.name = name
        self.reason = reason
        self.retry_after_s = retry_after_s
        self.fallback = fallback


class StoreError(GodelError):
    """About Redis."""


class StoreUnavailable(StoreError):
    """Redis did not answer."""

    retryable = True


class StoreVersionError(StoreError):
    """The server is older than Redis 6.2."""


class StaleWriter(StoreError):
    """The writer's lease or generation is over: somebody else took over, and it must stop."""


class WorkerError(GodelError):
    """A worker was started in a way that cannot work."""
