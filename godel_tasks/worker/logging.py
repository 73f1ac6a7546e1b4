"""Celery's own logging set-up, replaced by ours in Godel's workers only (never in a program that
merely imports `godel_tasks`)."""

from __future__ import annotations

from typing import Any

from celery import signals
from celery.app.log import Logging

from godel_tasks.telemetry.logs import configure_logs


class GodelLogging(Logging):  # type: ignore[misc]
    """`app.log` of Godel's apps. A log file, or a `setup_logging` receiver of the user's, wins."""

    def setup_logging_subsystem(self, loglevel: Any = None, logfile: Any = None, **kw: Any) -> Any:
        if logfile or signals.setup_logging.receivers:
            return super().setup_logging_subsystem(loglevel=loglevel, logfile=logfile, **kw)
        if not self.already_setup:
            Logging._setup = True
            settings = self.app.godel.settings
            configure_logs(settings.log_level, settings.log_format)
        return None
