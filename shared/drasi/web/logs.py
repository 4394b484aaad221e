"""Log lines of the process, one form for all: ours and those of the libraries. No secret stands in them (``drasi.redaction``)."""

from __future__ import annotations

import logging
import sys
from typing import TextIO

import structlog

from drasi import redaction


class Lines(structlog.stdlib.ProcessorFormatter):
    """Whole lines, tracebacks too, without secrets."""

    def format(self, record: logging.LogRecord) -> str:
        return redaction.clean(super().format(record))


def configure_logs_of_a_function() -> None:
    """The same for a process that others began (the functions framework), if it says nothing of its own about log lines."""
    if not structlog.is_configured() and not logging.getLogger().handlers:
        configure_logs()


def configure_logs(stream: TextIO | None = None, level: int = logging.INFO) -> None:
    """Sends everything to ``stream`` (standard error): coloured lines on a terminal, ``key=value`` elsewhere."""
    stream = stream or sys.stderr
    shared: list[structlog.typing.Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_logger_name,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True)
        if not stream.isatty()
        else structlog.processors.TimeStamper(fmt="%H:%M:%S", utc=False),
    ]
    structlog.configure(
        processors=[*shared, structlog.stdlib.ProcessorFormatter.wrap_for_formatter],
        logger_factory=structlog.stdlib.LoggerFactory(),
        wrapper_class=structlog.stdlib.BoundLogger,
        cache_logger_on_first_use=False,
    )
    renderer = structlog.dev.ConsoleRenderer(
        colors=stream.isatty(),
        pad_event_to=0,
        pad_level=False,
        exception_formatter=structlog.dev.plain_traceback,  # the pretty one prints local variables: rows, secrets
    )
    handler = logging.StreamHandler(stream)
    handler.setFormatter(
        Lines(foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, renderer])
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(level)
    for noisy in ("httpx", "httpcore", "uvicorn.access", "asyncio"):
        logging.getLogger(noisy).setLevel(logging.WARNING)
    logging.getLogger("uvicorn.error").setLevel(logging.WARNING)
