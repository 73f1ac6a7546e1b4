"""From the error tree to exit codes: the one table.

| code | what it means | what to do |
|---|---|---|
| 0 | done | |
| 1 | an error that no other code is for | read the message |
| 2 | the command line is wrong | read `--help` |
| 3 | the settings are wrong | correct what is listed |
| 4 | refused: a value is wrong; nothing was written | correct it |
| 5 | no such task, tenant, session, pool, instance or breaker | look at the list |
| 6 | it does not fit what is there (taken, in another state) | look with `show` |
| 7 | not now: a full queue, nothing that could run it, not settled yet | try again later |
| 8 | a task ended without success | look with `godel tasks show` |
| 9 | settled, and its result is no longer kept | |
| 10 | an instance, or the way to it | look with `godel instances show` |
| 11 | Redis does not answer, or nothing runs | start it |
| 12 | Redis answers, and refuses | read the message |
| 13 | a worker cannot work like this | read the message |
| 130 | interrupted | |
"""

from __future__ import annotations

import typer

from godel_tasks import errors

UNEXPECTED = 1
USAGE = 2
INTERRUPTED = 130

#: The nearest class of an error's ancestry decides.
EXIT_CODES: dict[type[BaseException], int] = {
    KeyboardInterrupt: INTERRUPTED,
    typer.Abort: INTERRUPTED,
    errors.GodelError: UNEXPECTED,
    errors.SettingsError: 3,
    errors.SubmitError: 4,
    errors.InvalidTenant: 4,
    errors.BreakerError: 4,
    errors.InvalidSession: 4,
    errors.ScalingError: 4,
    errors.PoolError: 4,
    errors.UnknownTenant: 5,
    errors.UnknownSession: 5,
    errors.TaskNotFound: 5,
    errors.UnknownInstance: 5,
    errors.UnknownScalingPolicy: 5,
    errors.UnknownPool: 5,
    errors.UnknownBreaker: 5,
    errors.TaskConflict: 6,
    errors.TaskStateConflict: 6,
    errors.TenantExists: 6,
    errors.PoolExists: 6,
    errors.SessionError: 6,
    errors.QueueFull: 7,
    errors.CircuitOpenError: 7,
    errors.Unroutable: 7,
    errors.TaskNotSettled: 7,
    errors.TaskError: 8,
    errors.ResultExpired: 9,
    errors.InstanceError: 10,
    errors.StoreUnavailable: 11,
    errors.StoreError: 12,
    errors.WorkerError: 13,
}

TASK_ENDED_BADLY = EXIT_CODES[errors.TaskError]


def exit_code(error: BaseException) -> int:
    """The code to end with because of `error`."""
    for cls in type(error).__mro__:
        if cls in EXIT_CODES:
            return EXIT_CODES[cls]
    return UNEXPECTED
