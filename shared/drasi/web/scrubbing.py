"""Tokens in addresses stay out of the log lines of servers and libraries, which write addresses whole."""

from __future__ import annotations

import logging
import re
from typing import Any, Final

LOGGERS: Final = (
    "uvicorn",
    "uvicorn.access",
    "uvicorn.error",
    "uvicorn.asgi",
    "gunicorn.access",
    "gunicorn.error",
    "httpx",
    "websockets",
)

_TOKEN = re.compile(r"((?:access_token|token)(?:=|%3D))[^&\s\"'#]+", re.IGNORECASE)
_BEARER = re.compile(r"(bearer\s+)[\w.~+/=-]{16,}", re.IGNORECASE)


class Scrub(logging.Filter):
    """Replaces tokens in a record's text and arguments."""

    def filter(self, record: logging.LogRecord) -> bool:
        record.msg = scrubbed(record.msg)
        if isinstance(record.args, tuple):
            record.args = tuple(scrubbed(argument) for argument in record.args)
        elif isinstance(record.args, dict):
            record.args = {name: scrubbed(argument) for name, argument in record.args.items()}
        return True


def scrubbed(value: Any) -> Any:
    """A text without tokens; other values as they are, unless their text has one."""
    if isinstance(value, int | float | bool | type(None)):
        return value
    text = value if isinstance(value, str) else str(value)
    clean = _BEARER.sub(r"\1***", _TOKEN.sub(r"\1***", text))
    return value if clean == text else clean


def scrub_logs() -> None:
    """Lets the loggers of servers and clients write no tokens. Calling it again changes nothing."""
    for name in LOGGERS:
        logger = logging.getLogger(name)
        if not any(isinstance(found, Scrub) for found in logger.filters):
            logger.addFilter(Scrub())
