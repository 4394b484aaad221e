"""Functions of lists (language.md section 8.2)."""

from __future__ import annotations

from math import isfinite, nan
from typing import Any

from drasi.engine.functions.arguments import integer, items
from drasi.values.equality import equals
from drasi.values.equivalence import GroupKey, group_key
from drasi.values.errors import EvaluationError, describe, invalid_value, out_of_range
from drasi.values.ordering import order_key

MAX_RANGE = 10_000_000
"""The longest list that ``range`` makes: one text must not take the container's memory."""


def head(values: Any) -> Any:
    """The first item."""
    return items("head", values)[0] if values else _nothing("head", values)


def last(values: Any) -> Any:
    """The last item."""
    return items("last", values)[-1] if values else _nothing("last", values)


def tail(values: Any) -> list[Any] | None:
    """All items but the first."""
    return None if values is None else items("tail", values)[1:]


def reverse(value: Any) -> Any:
    """A list or a string from the end to the beginning."""
    if value is None:
        return None
    if type(value) is list or type(value) is str:
        return value[::-1]
    raise invalid_value("reverse()", "a list or a string", value)


def range_(start: Any, end: Any, step: Any = 1) -> list[int] | None:
    """The integers from ``start`` to ``end``, both included; none in the wrong direction."""
    if start is None or end is None or step is None:
        return None
    for bound in (start, end, step):
        if type(bound) is not int:
            raise EvaluationError("ArgumentError", "InvalidArgumentType", f"range() takes integers, not {describe(bound)}")
    if step == 0:
        raise out_of_range("the step of range() is not 0")
    numbers = range(start, end + 1 if step > 0 else end - 1, step)
    # len() of a range itself stops at sys.maxsize.
    if (end - start) // step >= MAX_RANGE:
        raise out_of_range(f"range({start}, {end}, {step}) has more than {MAX_RANGE:,} items")
    return list(numbers)


def distinct(values: Any) -> list[Any] | None:
    """The items without repetition: the first of each class of equivalent values."""
    if values is None:
        return None
    first: dict[GroupKey, Any] = {}
    for value in items("coll.distinct", values):
        first.setdefault(group_key(value), value)
    return list(first.values())


def index_of(values: Any, item: Any) -> int | None:
    """The place of the first item that is equal; -1 if there is none."""
    if values is None or item is None:
        return None
    for place, value in enumerate(items("coll.indexOf", values)):
        if equals(value, item):
            return place
    return -1


def insert(values: Any, place: Any, item: Any) -> list[Any] | None:
    """The list with ``item`` before the place."""
    if values is None or place is None:
        return None
    old = items("coll.insert", values)
    if not 0 <= integer("coll.insert", place) <= len(old):
        raise out_of_range(f"coll.insert() takes an index from 0 to {len(old)}, the size of the list, not {place}")
    return [*old[:place], item, *old[place:]]


def list_max(value: Any) -> Any:
    """The greatest item by the order of values, nulls left out; a value that is no list is its own."""
    if type(value) is not list:
        return value
    present = [item for item in value if item is not None]
    return max(present, key=order_key) if present else None


def list_min(value: Any) -> Any:
    """The least item by the order of values, nulls left out; a value that is no list is its own."""
    if type(value) is not list:
        return value
    present = [item for item in value if item is not None]
    return min(present, key=order_key) if present else None


def population_deviation(values: Any) -> float | None:
    """``drasi.stdevp``: the deviation of the numbers from their mean, nulls left out; exact, rounded once."""
    if values is None:
        return None
    numbers: list[int | float] = []
    for value in items("drasi.stdevp", values):
        if type(value) is int or type(value) is float:
            numbers.append(value)
        elif value is not None:
            raise invalid_value("drasi.stdevp()", "a list of numbers", value)
    if not numbers:
        return None
    if not all(isfinite(x) for x in numbers):
        return nan
    # Imported here: the module costs at start, and few queries need it.
    from statistics import pstdev

    return float(pstdev(numbers))


def _nothing(name: str, values: Any) -> None:
    if values is not None:
        items(name, values)
