"""Equality, order and equivalence of Cypher values, written from language.md sections 7.3 and 7.4 alone.

Values are None, bool, int, float, str, list, dict and graph elements.
"""

from __future__ import annotations

import math
from fractions import Fraction
from functools import cmp_to_key
from typing import Any

from tests.oracle.graph import Element

Value = Any
LOWEST, HIGHEST = -(2**63), 2**63 - 1


class Raised(Exception):
    """An expression raised: the row, or the group, is in error."""

    def __init__(self, type: str, detail: str, message: str = "") -> None:  # noqa: A002 -- the TCK's word
        super().__init__(f"{type}: {detail}: {message}")
        self.type = type
        self.detail = detail


class Bag(list[Any]):
    """A list whose order the language leaves open (``collect`` without ORDER BY, ``keys``, ``labels``)."""


def type_error(message: str) -> Raised:
    return Raised("TypeError", "InvalidArgumentValue", message)


def is_integer(value: Value) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def is_number(value: Value) -> bool:
    return is_integer(value) or isinstance(value, float)


def is_nan(value: Value) -> bool:
    return isinstance(value, float) and math.isnan(value)


KINDS = ("map", "node", "relation", "list", "string", "boolean", "number", "NaN", "null")


def kind(value: Value) -> str:
    """The kind of a value, in terms of the ascending order of section 7.4."""
    match value:
        case None:
            return "null"
        case bool():
            return "boolean"
        case int():
            return "number"
        case float():
            return "NaN" if math.isnan(value) else "number"
        case str():
            return "string"
        case list():
            return "list"
        case dict():
            return "map"
        case Element():
            return "relation" if value.is_relation else "node"
    raise AssertionError(f"no Cypher value: {value!r}")


def exact(number: int | float) -> Fraction | float:
    """The number as a fraction; infinities stay what they are (both compare with each other exactly)."""
    return number if isinstance(number, float) and math.isinf(number) else Fraction(number)


def conjunction(parts: list[bool | None]) -> bool | None:
    if False in parts:
        return False
    return None if None in parts else True


def equals(left: Value, right: Value) -> bool | None:
    """``=``."""
    if left is None or right is None:
        return None
    if is_number(left) and is_number(right):
        return not is_nan(left) and not is_nan(right) and exact(left) == exact(right)
    if kind(left) != kind(right):
        return False
    if isinstance(left, list):
        return False if len(left) != len(right) else conjunction([equals(a, b) for a, b in zip(left, right, strict=True)])
    if isinstance(left, dict):
        return False if left.keys() != right.keys() else conjunction([equals(left[name], right[name]) for name in left])
    if isinstance(left, Element):
        return bool(left.key == right.key)
    return bool(left == right)


def sign(left: Any, right: Any) -> int:
    return int(left > right) - int(left < right)


def compare(left: Value, right: Value) -> int | str | None:
    """-1, 0 or 1; None where ``<`` gives null; "NaN" where a NaN makes every comparison false."""
    if left is None or right is None:
        return None
    if is_number(left) and is_number(right):
        if is_nan(left) or is_nan(right):
            return "NaN"
        a, b = exact(left), exact(right)
        return sign(a, b)
    if kind(left) != kind(right):
        return None
    if isinstance(left, str | bool):
        return sign(left, right)
    if isinstance(left, list):
        for a, b in zip(left, right, strict=False):
            result = compare(a, b)
            if result != 0:
                return result
        return sign(len(left), len(right))
    return None


def order(left: Value, right: Value) -> int:
    """The total order: -1, 0, 1."""
    a, b = KINDS.index(kind(left)), KINDS.index(kind(right))
    if a != b:
        return sign(a, b)
    if isinstance(left, list):
        for x, y in zip(left, right, strict=False):
            if (result := order(x, y)) != 0:
                return result
        return sign(len(left), len(right))
    if isinstance(left, dict):
        return order([[name, left[name]] for name in sorted(left)], [[name, right[name]] for name in sorted(right)])
    if isinstance(left, Element):
        return sign(left.key, right.key)
    result_ = compare(left, right)
    return result_ if isinstance(result_, int) else 0


order_key = cmp_to_key(order)


def equivalence(value: Value) -> Any:
    """A hashable: equal for equivalent values and no others."""
    kind_ = kind(value)
    match value:
        case None:
            return (kind_,)
        case bool():
            return (kind_, "true" if value else "false")
        case int() | float():
            return (kind_,) if kind_ == "NaN" else (kind_, exact(value))
        case str():
            return (kind_, value)
        case list():
            return (kind_, tuple(equivalence(item) for item in value))
        case dict():
            return (kind_, tuple(sorted((name, equivalence(item)) for name, item in value.items())))
        case Element():
            return (kind_, *value.key)
    raise AssertionError(value)


def text(value: Value) -> str:
    """``toString`` of a number, string or boolean."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float):
        if math.isnan(value):
            return "NaN"
        return ("Infinity" if value > 0 else "-Infinity") if math.isinf(value) else repr(value)
    return str(value)
