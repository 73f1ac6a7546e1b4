"""The Celery app, found by `celery -A godel_tasks`.

Making it reads no settings and opens no connection: both happen when they are first needed.
"""

from __future__ import annotations

import importlib.util
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any, cast

from celery import Celery
from celery.local import PromiseProxy
from kombu import Exchange, Queue

from godel_tasks.canvas.sending import SendsOnce
from godel_tasks.events import EventBus
from godel_tasks.results import GodelResult
from godel_tasks.runtime import Runtime
from godel_tasks.settings import load_settings
from godel_tasks.tasks import SUBMIT_TASK, SubmitTask, refuse_to_run
from godel_tasks.worker.commands import describe_commands
from godel_tasks.worker.jobs import QUEUE, register_jobs, schedule

#: Threads for control jobs beside the dispatcher's loop.
CONTROL_THREADS = 4


def _celeryconfig() -> ModuleType:
    """config/celeryconfig.py of the repository, or the copy that the wheel carries."""
    package = Path(__file__).parent
    for path in (package.parent / "config" / "celeryconfig.py", package / "_celeryconfig.py"):
        if not path.is_file():
            continue
        spec = importlib.util.spec_from_file_location("godel_celeryconfig", path)
        if spec is not None and spec.loader is not None:
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    raise FileNotFoundError("celeryconfig.py is neither in config/ nor in the package")


class GuestTask(SubmitTask):
    """`submit_task` in an app that is not Godel's: it submits as `home` does. Messages by name are
    for Godel's intake, and fail in the other app's workers."""

    abstract = True
    Strategy = "celery.worker.strategy:default"
    home: GodelCelery

    @property
    def _runtime(self) -> Runtime:
        return self.home.godel

    def AsyncResult(self, task_id: str, **_kwargs: Any) -> GodelResult:  # noqa: N802 - Celery's name
        return GodelResult(task_id, backend=self.home.backend, app=self.home, task_name=self.name)


class GodelCelery(SendsOnce):
    """A Celery app with Godel's runtime."""

    log_cls = "godel_tasks.worker.logging:GodelLogging"
    #: Its workers dispatch and do nothing else.
    only_dispatch = False
    #: Whose result backend it uses in this process.
    _host: Celery | None = None

    @cached_property
    def job_events(self) -> EventBus:
        """What its control jobs tell."""
        return EventBus()

    @cached_property
    def godel(self) -> Runtime:
        """Raises: SettingsError."""
        return Runtime(load_settings())

    @property
    def backend(self) -> Any:
        """Celery waits for the results of a group on one backend object."""
        return super().backend if self._host is None else self._host.backend

    def add_to(self, other: Celery) -> SubmitTask:
        """Make `submit_task` a task of another app, too: then tasks of both mix in canvas, and the
        other app's workers can go on with it (the next of a chain, a chord's body, a callback).
        Both must be on the same Redis, for broker and for results.
        """
        self._host = self._host or other
        task = other.task(
            base=GuestTask, name=SUBMIT_TASK, bind=True, typing=False, shared=False, lazy=False,
            home=self,
        )(refuse_to_run)  # fmt: skip
        return cast("SubmitTask", task)

    def finalize(self, auto: bool = False) -> None:
        """Celery's, which cannot be made good once it has failed half-way: so first what may fail.

        Raises: SettingsError, StoreUnavailable.
        """
        if not self.finalized:  # type: ignore[attr-defined]
            _ = self.godel.urls
        super().finalize(auto)

    def _load_config(self) -> Any:
        """As `finalize`."""
        _ = self.godel.urls
        return super()._load_config()  # type: ignore[misc]

    def server_settings(self) -> dict[str, Any]:
        """Celery's settings that hang on where Godel's servers are."""
        urls = self.godel.urls
        return {
            "broker_url": urls.broker,
            "result_backend": urls.result,
            "redbeat_redis_url": urls.redbeat,
            "result_expires": int(self.godel.settings.result_expires_s),
        }

    def queues(self) -> dict[str, Any]:
        """The queues of workers that run control jobs: clients' messages come with them."""
        names = (QUEUE, self.godel.settings.intake_queue)
        return {"task_queues": [Queue(name, Exchange(name), routing_key=name) for name in names]}


def make_app(
    name: str = "godel_tasks", *, dispatch: bool = True, control: bool = True
) -> GodelCelery:
    """A new app: URLs and settings are looked up when Celery first asks for its configuration.

    Its workers dispatch, or run control jobs, or both.
    """
    app = GodelCelery(name, set_as_current=name == "godel_tasks")
    app.config_from_object(_celeryconfig())
    app.add_defaults(app.server_settings)
    app.only_dispatch = dispatch and not control
    app.add_defaults(
        lambda: {
            # No prefork children: event loops, gRPC channels and locks do not survive a fork.
            "worker_pool": "solo" if app.only_dispatch else "threads",
            "worker_concurrency": CONTROL_THREADS,
            # Workers that only dispatch consume nothing; Celery wants a queue all the same.
            "task_default_queue": QUEUE if control else f"{QUEUE}.none",
            "beat_schedule": schedule(),
        }
    )
    if control:
        app.add_defaults(app.queues)
    app.steps["worker"].add("godel_tasks.worker.remote:RemoteStep")
    if dispatch:
        app.steps["worker"].add("godel_tasks.worker.tracing:TraceStep")
        app.steps["worker"].add("godel_tasks.worker.step:DispatchStep")
        app.steps["consumer"].add("godel_tasks.worker.heart:HeartStep")
    app.steps["worker"].add("godel_tasks.worker.signalling:SignalStep")
    app.steps["worker"].add("godel_tasks.worker.mirror:MirrorStep")
    if control:
        app.steps["worker"].add("godel_tasks.worker.scaling:ScalingStep")
    register_jobs(app, app.job_events)
    # Lazy, as all Celery tasks: looked up when it is first used.
    submit = app.task(base=SubmitTask, name=SUBMIT_TASK, bind=True, typing=False, shared=False)
    submit(refuse_to_run)
    return app


def add_to(other: Celery) -> SubmitTask:
    """`GodelCelery.add_to` of this package's app."""
    return app.add_to(other)


app = make_app()
describe_commands()
submit_task: SubmitTask = PromiseProxy(lambda: app.tasks[SUBMIT_TASK])  # type: ignore[assignment]
