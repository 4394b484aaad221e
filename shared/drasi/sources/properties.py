"""Property values as the wire wants them (wire.md section 9)."""

from __future__ import annotations

from typing import Any


def in_range(value: Any) -> Any:
    """The decoded JSON value with integers beyond int64 as floats."""
    if type(value) is int:
        return value if -(2**63) <= value < 2**63 else float(value)
    if type(value) is dict:
        return {name: in_range(item) for name, item in value.items()}
    if type(value) is list:
        return [in_range(item) for item in value]
    return value
