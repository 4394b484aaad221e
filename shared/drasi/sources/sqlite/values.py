"""Values of SQLite as properties (connectors.md section 3.3): the declared type decides, not what a row happens to hold."""

from __future__ import annotations

import base64
import math
import re
from collections.abc import Callable
from typing import Any

from drasi.sources.json_text import NotJson, is_too_deep, read_json
from drasi.sources.properties import in_range

Convert = Callable[[Any], Any]

_DATETIME = re.compile(r"\d{4}-\d\d-\d\d \d\d:\d\d(:\d\d(\.\d+)?)?(Z|[+-]\d\d:?\d\d)?")


def converter(declared: str, *, decimals: str = "float") -> Convert:
    """The function from values of a column declared so to properties."""
    words = declared.upper()
    if "BOOL" in words:
        return _boolean
    if "JSON" in words:
        return _json
    if "DATETIME" in words or "TIMESTAMP" in words:
        return _datetime
    if any(word in words for word in ("DECIMAL", "NUMERIC", "MONEY")):
        return _decimal_text if decimals == "string" else _decimal
    return plain


def plain(value: Any) -> Any:
    """A value as SQLite holds it: blobs as base64, infinities as text."""
    if isinstance(value, bytes):
        return base64.b64encode(value).decode()
    if isinstance(value, float) and math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return value


def key_text(value: Any) -> str:
    """A part of a key in an id."""
    if isinstance(value, bytes):
        text = base64.b64encode(value).decode()
    elif isinstance(value, float):
        text = repr(value)
    else:
        text = str(value)
    return text.replace("%", "%25").replace(":", "%3A")


def _boolean(value: Any) -> Any:
    return bool(value) if value in (0, 1) else plain(value)


def _json(value: Any) -> Any:
    if isinstance(value, str):
        try:
            decoded = read_json(value)
        except NotJson:
            return value
        return value if is_too_deep(decoded) else in_range(decoded)
    return plain(value)


def _datetime(value: Any) -> Any:
    if isinstance(value, str) and _DATETIME.fullmatch(value):
        return value.replace(" ", "T", 1)
    return plain(value)


def _decimal(value: Any) -> Any:
    return float(value) if isinstance(value, int) else plain(value)


def _decimal_text(value: Any) -> Any:
    return str(value) if isinstance(value, int | float) else plain(value)
