"""From type to type: ``toInteger``, ``toFloat``, ``toBoolean``, ``toString``, ``cast`` (language.md section 8.1).

A string that does not read as the type gives null; a value of a type that cannot be converted is the row's error, or
null under the ``…OrNull`` names.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from decimal import Decimal
from math import inf, isfinite, nan
from typing import Any, TypeVar

from drasi.values.errors import EvaluationError, integer_overflow, invalid_value
from drasi.values.text import number_text

_Result = TypeVar("_Result")

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}").fullmatch
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,9})?").fullmatch
# What toString writes, toFloat reads.
_NOT_FINITE = {"NaN": nan, "Infinity": inf, "-Infinity": -inf}
_BELOW = -(2**63) - 1
_ABOVE = 2**63


def to_integer(value: Any) -> int | None:
    """The value as an integer; what is behind the point is dropped; null for NaN and the infinities."""
    if value is None:
        return None
    kind = type(value)
    if kind is int:
        return value  # type: ignore[no-any-return]
    if kind is float:
        if not isfinite(value):
            return None
        if not _BELOW < value < _ABOVE:
            raise integer_overflow(f"toInteger({number_text(value)})")
        return int(value)
    if kind is str:
        return _read_integer(value.strip())
    if kind is bool:
        return 1 if value else 0
    raise invalid_value("toInteger()", "a number, a string or a boolean", value)


def to_float(value: Any) -> float | None:
    """The value as a float."""
    if value is None:
        return None
    kind = type(value)
    if kind is float:
        return value  # type: ignore[no-any-return]
    if kind is int:
        return float(value)
    if kind is str:
        text = value.strip()
        return _NOT_FINITE.get(text) if not _NUMBER(text) else float(text)
    raise invalid_value("toFloat()", "a number or a string", value)


def to_boolean(value: Any) -> bool | None:
    """The value as a boolean: ``'true'`` and ``'false'`` in any case; 0 is false, other integers true."""
    if value is None or value is True or value is False:
        return value
    if type(value) is str:
        return {"true": True, "false": False}.get(value.strip().lower())
    if type(value) is int:
        return value != 0
    raise invalid_value("toBoolean()", "a boolean, a string or an integer", value)


def to_string(value: Any) -> str | None:
    """The value as text."""
    if value is None:
        return None
    kind = type(value)
    if kind is str:
        return value  # type: ignore[no-any-return]
    if kind is int or kind is float:
        return number_text(value)
    if kind is bool:
        return "true" if value else "false"
    raise invalid_value("toString()", "a number, a string or a boolean", value)


def to_integer_or_null(value: Any) -> int | None:
    """As ``toInteger``, with null for every error."""
    return _or_null(to_integer, value)


def to_float_or_null(value: Any) -> float | None:
    """As ``toFloat``, with null for every error."""
    return _or_null(to_float, value)


def to_boolean_or_null(value: Any) -> bool | None:
    """As ``toBoolean``, with null for every error."""
    return _or_null(to_boolean, value)


def to_string_or_null(value: Any) -> str | None:
    """As ``toString``, with null for every error."""
    return _or_null(to_string, value)


CASTS: dict[str, Callable[[Any], Any]] = {
    "STRING": to_string,
    "INTEGER": to_integer,
    "INT": to_integer,
    "FLOAT": to_float,
    "BOOLEAN": to_boolean,
    "BOOL": to_boolean,
}


def cast(value: Any, to: Any) -> Any:
    """``cast(value, 'T')``, as the conversion to T."""
    if value is None or to is None:
        return None
    convert = CASTS.get(to.upper()) if type(to) is str else None
    if convert is None:
        raise invalid_value("cast()", "a type out of " + ", ".join(CASTS), to)
    return convert(value)


def _or_null(convert: Callable[[Any], _Result], value: Any) -> _Result | None:
    try:
        return convert(value)
    except EvaluationError:
        return None


def _read_integer(text: str) -> int | None:
    if _INTEGER(text):
        return int(text)
    if not _NUMBER(text):
        return None
    exact = Decimal(text)
    if not _BELOW < exact < _ABOVE:
        raise integer_overflow(f"toInteger({text[:40]!r})")
    return int(exact)
