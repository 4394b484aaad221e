"""Property values as the wire wants them (wire.md section 9)."""

from __future__ import annotations

from typing import Any


def in_range(value: Any) -> Any:
    """The decoded JSON value with integers beyond int64 as floats, and those beyond floats as infinity."""
    if type(value) is int:
        if -(2**63) <= value < 2**63:
            return value
        try:
            return float(value)
        except OverflowError:
            return "Infinity" if value > 0 else "-Infinity"
    if type(value) is dict:
        return {name: in_range(item) for name, item in value.items()}
    if type(value) is list:
        return [in_range(item) for item in value]
    return value
