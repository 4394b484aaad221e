"""The text of numbers, as ``toString`` and ``+`` with a string write it."""

from __future__ import annotations

from math import isfinite

import msgspec

_encode = msgspec.json.Encoder().encode


def number_text(value: int | float) -> str:
    """``1``, ``1.0``, ``1.5e300``, ``NaN``, ``-Infinity``: as in JSON, the shortest digits that read back equal."""
    if type(value) is int:
        return str(value)
    if isfinite(value):
        return _encode(value).decode()
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
