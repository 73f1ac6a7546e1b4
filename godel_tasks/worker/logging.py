"""Celery's own logging set-up, replaced by ours in Godel's workers only (never in a program that
merely imports `godel_tasks`)."""

from __future__ import annotations

from typing import Any, cast

from celery import signals
from celery.app.log import Logging
from celery.utils.nodenames import node_format

from godel_tasks.runtime import runtime_of
from godel_tasks.telemetry.logs import configure_logs


class GodelLogging(Logging):
    """`app.log` of Godel's apps. A `setup_logging` receiver of the user's wins."""

    def setup_logging_subsystem(
        self, loglevel: Any = None, logfile: Any = None, *args: Any, **kwargs: Any
    ) -> Any:
        if signals.setup_logging.receivers:
            return super().setup_logging_subsystem(loglevel, logfile, *args, **kwargs)
        if not self.already_setup:
            # Celery has no public way to say that logging is set up for every app.
            cast("Any", Logging)._setup = True  # noqa: SLF001
            settings = runtime_of(self.app).settings
            node = kwargs.get("hostname")
            file = node_format(logfile, node) if logfile and node else logfile
            configure_logs(settings.log_level, settings.log_format, file or "")
        return None
