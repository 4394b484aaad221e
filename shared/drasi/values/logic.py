"""Three-valued AND, OR, XOR, NOT: null stands for unknown (language.md section 7.2).

AND and OR are decided from the left: after ``false AND`` and ``true OR`` the other side may be anything.
"""

from __future__ import annotations

from typing import Any

from drasi.values.errors import invalid_value


def and_(a: Any, b: Any) -> bool | None:
    """``a AND b``: false wins over null."""
    if a is False:
        return False
    if a is None:
        _check(b, "AND")
        return False if b is False else None
    _check(a, "AND")
    _check(b, "AND")
    return b  # type: ignore[no-any-return]


def or_(a: Any, b: Any) -> bool | None:
    """``a OR b``: true wins over null."""
    if a is True:
        return True
    if a is None:
        _check(b, "OR")
        return True if b is True else None
    _check(a, "OR")
    _check(b, "OR")
    return b  # type: ignore[no-any-return]


def xor(a: Any, b: Any) -> bool | None:
    """``a XOR b``: null if either is."""
    _check(a, "XOR")
    _check(b, "XOR")
    return None if a is None or b is None else a is not b


def not_(a: Any) -> bool | None:
    """``NOT a``."""
    _check(a, "NOT")
    return None if a is None else not a


def boolean(value: Any, where: str = "WHERE") -> bool | None:
    """The value of a condition: true, false or null; a type error for anything else."""
    _check(value, where)
    return value  # type: ignore[no-any-return]


def _check(value: Any, what: str) -> None:
    if value is not None and value is not True and value is not False:
        raise invalid_value(what, "a boolean", value)
