"""Eager: a task's handler is run right here, with no Redis, dispatcher or instance.

For `task_always_eager` and `apply()`. The handler is the one that `GODEL_EAGER_HANDLER` names. The
payload goes through the same checks and the same JSON, attempts follow each other without a pause,
and what fails raises what `get()` would raise.
"""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Callable
from typing import Any

import msgspec

from godel_tasks.domain.attempt import Delivery, End
from godel_tasks.domain.task import decode_body
from godel_tasks.errors import PayloadNotSerializable, TaskTimedOut, WorkerError
from godel_tasks.instances.handlers import Handler, TaskContext, load_handler
from godel_tasks.instances.server.outcome import payload_of, returned
from godel_tasks.policy.admission import AdmissionRules, TaskRequest, admit
from godel_tasks.settings import Settings

#: The instance that handlers see in their context.
INSTANCE = "eager"


def run_here(request: TaskRequest, task_id: str, settings: Settings, rules: AdmissionRules) -> Any:
    """What the handler returned, as JSON brings it back.

    Raises:
        SubmitError: as submit does, but for what only Redis knows (tenants, full queues).
        WorkerError: no handler is configured, or there is none of that name.
        Exception: what the handler raised in its last attempt.
    """
    if not settings.eager_handler:
        raise WorkerError(
            "a task is to run in this process, and no handler is configured",
            hint="set GODEL_EAGER_HANDLER=module:function, the one that your instances run",
        )
    handler = load_handler(settings.eager_handler)
    body = decode_body(admit(request, task_id, rules).body)
    limit = body.max_attempts or settings.max_attempts
    timeout_ms = body.timeout_ms or int(settings.attempt_timeout_s * 1000)
    attempt = 1
    while True:
        delivery = Delivery(
            task_id,
            attempt,
            INSTANCE,
            0,
            request.tenant_id,
            body.payload,
            body.encoding,
            timeout_ms,
            body.session_id,
            body.correlation_id,
            body.headers,
        )
        try:
            result = _call(handler, delivery)
        except Exception as error:
            if attempt >= limit or getattr(error, "retryable", True) is False:
                raise
            attempt += 1
            continue
        ended = returned(delivery, result, 0.0)
        if ended.end is not End.OK:
            raise PayloadNotSerializable(ended.error_message)
        return msgspec.json.decode(ended.result)


def _call(handler: Handler, delivery: Delivery) -> Any:
    arguments: tuple[Any, ...] = (payload_of(delivery),)
    if handler.takes_context:
        arguments += (TaskContext(delivery),)
    if not handler.is_async:
        return handler.function(*arguments)
    return _on_a_loop(lambda: _within(handler.function(*arguments), delivery.timeout_ms))


async def _within(work: Any, timeout_ms: int) -> Any:
    limit = asyncio.timeout(timeout_ms / 1000)
    try:
        async with limit:
            return await work
    except TimeoutError:
        if not limit.expired():
            raise  # the handler's own
        raise TaskTimedOut(f"the attempt ran longer than {timeout_ms} ms", retryable=True) from None


def _on_a_loop(make: Callable[[], Any]) -> Any:
    """Run a coroutine on a loop of its own, on a thread: the caller may have a loop that runs."""
    ended: list[tuple[Any, BaseException | None]] = []

    def run() -> None:
        try:
            ended.append((asyncio.run(make()), None))
        except BaseException as error:
            ended.append((None, error))

    thread = threading.Thread(target=contextvars.copy_context().run, args=(run,))
    thread.start()
    thread.join()
    ((result, error),) = ended
    if error is not None:
        raise error
    return result
