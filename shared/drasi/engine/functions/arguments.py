"""What a function may ask of its arguments, and the errors it answers with."""

from __future__ import annotations

from typing import Any

from drasi.values.errors import invalid_value


def string(name: str, value: Any) -> str:
    """The argument, a string."""
    if type(value) is str:
        return value
    raise invalid_value(f"{name}()", "a string", value)


def integer(name: str, value: Any) -> int:
    """The argument, an integer."""
    if type(value) is int:
        return value
    raise invalid_value(f"{name}()", "an integer", value)


def number(name: str, value: Any) -> int | float:
    """The argument, an integer or a float."""
    if type(value) is float or type(value) is int:
        return value
    raise invalid_value(f"{name}()", "a number", value)


def items(name: str, value: Any) -> list[Any]:
    """The argument, a list."""
    if type(value) is list:
        return value
    raise invalid_value(f"{name}()", "a list", value)
