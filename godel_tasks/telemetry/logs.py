"""Logs: one format for our lines and for everybody else's, on a terminal or as JSON."""

from __future__ import annotations

import logging
import sys
from logging.handlers import WatchedFileHandler

import structlog

#: Loggers with a line or more a second about nothing: beat's jobs sent, received and succeeded.
#: Failures are warnings and errors, and stay. GODEL_LOG_LEVEL=DEBUG shows all of it.
CHATTER = ("celery.beat", "celery.worker.strategy", "celery.app.trace", "redis")


def configure_logs(level: str = "INFO", form: str = "console", file: str = "") -> None:
    """Send every record of this process to stderr, or to the end of a file, one line each. `form`
    is "console" or "json"."""
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.PositionalArgumentsFormatter(),
        structlog.processors.TimeStamper(fmt="iso", utc=True),
    ]
    renderer: structlog.typing.Processor
    if form == "json":
        shared.append(structlog.processors.format_exc_info)
        renderer = structlog.processors.JSONRenderer()
    else:
        renderer = structlog.dev.ConsoleRenderer(
            colors=not file and sys.stderr.isatty(), pad_event_to=0
        )
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=True,
    )
    # A file that logrotate has moved away is opened anew.
    handler = WatchedFileHandler(file) if file else logging.StreamHandler(sys.stderr)
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared,
            processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer],
        )
    )
    root = logging.getLogger()
    root.handlers = [handler]
    root.setLevel(level)
    if root.level > logging.DEBUG:
        for name in CHATTER:
            logging.getLogger(name).setLevel(max(logging.WARNING, root.level))
