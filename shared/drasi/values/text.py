"""The text of numbers, as ``toString`` and ``+`` with a string write it."""

from __future__ import annotations

from math import isfinite


def number_text(value: int | float) -> str:
    """``1``, ``1.0``, ``1e+22``, ``NaN``, ``-Infinity``: of a float the shortest digits that read back equal."""
    if type(value) is int or isfinite(value):
        return repr(value)
    return "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
