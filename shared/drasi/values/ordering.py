"""Comparison (``<``, three-valued, within one type) and order (total, over all values): language.md sections 7.3, 7.4.

Laws: order keys are totally ordered; two keys are equal exactly when the values are equivalent (`drasi.values.equivalence`);
where ``a < b`` is true, the key of a is below the key of b.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from drasi.values.elements import Node, Path, Relation

OrderKey: TypeAlias = tuple[Any, ...]

# Ranks 5 to 10 are those of datetime, localdatetime, date, time, localtime and duration.
MAP, NODE, RELATION, LIST, PATH = range(5)
STRING, BOOLEAN, NUMBER, NAN, NULL = range(11, 16)

_NAN_KEY: OrderKey = (NAN,)
_NULL_KEY: OrderKey = (NULL,)
# What `_compare` says where every comparison is false, for NaN.
_UNORDERED = 2


def less(a: Any, b: Any) -> bool | None:
    """``a < b``: True, False, or None for null."""
    order = _compare(a, b)
    return None if order is None else order == -1


def less_equal(a: Any, b: Any) -> bool | None:
    """``a <= b``: True, False, or None for null."""
    order = _compare(a, b)
    return None if order is None else order <= 0


def greater(a: Any, b: Any) -> bool | None:
    """``a > b``: True, False, or None for null."""
    order = _compare(b, a)
    return None if order is None else order == -1


def greater_equal(a: Any, b: Any) -> bool | None:
    """``a >= b``: True, False, or None for null."""
    order = _compare(b, a)
    return None if order is None else order <= 0


def order_key(value: Any) -> OrderKey:
    """A key whose Python order is the total order of values: ascending, null last.

    Maps are ordered as lists of their pairs of key and value, by key; nodes and relations by source and id.
    """
    kind = type(value)
    if kind is int:
        return (NUMBER, value)
    if kind is float:
        return (NUMBER, value) if value == value else _NAN_KEY
    if kind is str:
        return (STRING, value)
    if value is None:
        return _NULL_KEY
    if kind is bool:
        return (BOOLEAN, value)
    if kind is list:
        return (LIST, tuple([order_key(item) for item in value]))
    if kind is dict:
        return (MAP, tuple([(key, order_key(value[key])) for key in sorted(value)]))
    if kind is Node:
        return (NODE, value.source, value.id)
    if kind is Relation:
        return (RELATION, value.source, value.id)
    if kind is Path:
        return (PATH, value.key)
    raise TypeError(f"no Cypher value: {value!r}")


def _compare(a: Any, b: Any) -> int | None:
    if a is None or b is None:
        return None
    kind = type(a)
    other = type(b)
    if kind is int or kind is float:
        if other is not int and other is not float:
            return None
    elif kind is not other:
        return None
    elif kind is list:
        return _compare_lists(a, b)
    elif kind is not str and kind is not bool:
        return None
    if a < b:
        return -1
    if a > b:
        return 1
    return 0 if a == b else _UNORDERED


def _compare_lists(a: list[Any], b: list[Any]) -> int | None:
    for x, y in zip(a, b, strict=False):
        order = _compare(x, y)
        if order != 0:
            return order
    return (len(a) > len(b)) - (len(a) < len(b))
