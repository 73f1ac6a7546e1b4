"""The Celery app, found by `celery -A godel_tasks`.

Making it reads no settings and opens no connection: both happen when they are first needed.
"""

from __future__ import annotations

import importlib.util
from functools import cached_property
from pathlib import Path
from types import ModuleType
from typing import Any

from celery import Celery
from celery.local import PromiseProxy

from godel_tasks.runtime import Runtime
from godel_tasks.settings import load_settings
from godel_tasks.tasks import SUBMIT_TASK, SubmitTask, refuse_to_run


def _celeryconfig() -> ModuleType:
    """config/celeryconfig.py of the repository, or the copy that the wheel carries."""
    package = Path(__file__).parent
    for path in (package.parent / "config" / "celeryconfig.py", package / "_celeryconfig.py"):
        if path.is_file():
            spec = importlib.util.spec_from_file_location("godel_celeryconfig", path)
            assert spec is not None and spec.loader is not None
            module = importlib.util.module_from_spec(spec)
            spec.loader.exec_module(module)
            return module
    raise FileNotFoundError("celeryconfig.py is neither in config/ nor in the package")


class GodelCelery(Celery):  # type: ignore[misc]
    """A Celery app with Godel's runtime."""

    @cached_property
    def godel(self) -> Runtime:
        """Raises: SettingsError."""
        return Runtime(load_settings())

    def _urls(self) -> dict[str, Any]:
        urls = self.godel.urls
        return {
            "broker_url": urls.broker,
            "result_backend": urls.result,
            "redbeat_redis_url": urls.redbeat,
            "result_expires": int(self.godel.settings.result_expires_s),
        }


def make_app(name: str = "godel_tasks") -> GodelCelery:
    """A new app: URLs and settings are looked up when Celery first asks for its configuration."""
    app = GodelCelery(name, set_as_current=name == "godel_tasks")
    app.config_from_object(_celeryconfig())
    app.add_defaults(app._urls)
    # Lazy, as all Celery tasks: looked up when it is first used.
    app.task(refuse_to_run, base=SubmitTask, name=SUBMIT_TASK, typing=False, ignore_result=False)
    return app


app = make_app()
submit_task: SubmitTask = PromiseProxy(lambda: app.tasks[SUBMIT_TASK])  # type: ignore[assignment]
