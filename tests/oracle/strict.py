"""Equal in type and value: the equality by which a difference tells an update from nothing (language.md section 5).

``strict`` gives a text that is equal exactly for such values; 1, 1.0 and true differ, 0.0 and -0.0 differ, NaN equals NaN,
elements go by full content, by the names of their fields alone: the oracle's and the library's elements give one text.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from tests.oracle.values import Bag


def strict(value: Any, *, bags: bool = False, identity: bool = False) -> str:
    """The text of a value.

    Args:
        value: Of the oracle or of the library.
        bags: Whether lists are written without their order.
        identity: Whether elements are written as their identity alone.
    """
    match value:
        case None:
            return "null"
        case bool():
            return "true" if value else "false"
        case int():
            return f"int {value}"
        case float():
            return f"float {value!r}"
        case str():
            return repr(value)
        case list() | tuple():
            items = [strict(item, bags=bags, identity=identity) for item in value]
            return f"[{', '.join(sorted(items) if bags else items)}]"
        case dict():
            entries = (f"{name!r}: {strict(item, bags=bags, identity=identity)}" for name, item in sorted(value.items()))
            return "{" + ", ".join(entries) + "}"
    return element(value, bags, identity)


def element(value: Any, bags: bool, identity: bool) -> str:
    name = f"{value.source!r}/{value.id!r}"
    start, end = getattr(value, "start", None), getattr(value, "end", None)
    if identity:
        return f"({name})" if start is None else f"-[{name}]-"
    properties = strict(dict(value.properties), bags=bags)
    labels = list(value.labels)
    if start is None or end is None:
        return f"({name} :{labels} {properties})"
    ends = [(value.source, place) if isinstance(place, str) else tuple(place) for place in (start, end)]
    return f"-[{name} :{labels} {properties} from {ends[0]} to {ends[1]}]-"


def strict_row(row: Mapping[str, Any], bag_columns: Iterable[str] = ()) -> str:
    """The text of a row, columns in their order; the lists in ``bag_columns`` without theirs."""
    bags = set(bag_columns)
    return ", ".join(f"{name}: {strict(value, bags=name in bags)}" for name, value in row.items())


def holds_bag(value: Any) -> bool:
    """Whether the order of some list in the value is open."""
    if isinstance(value, Bag):
        return True
    if isinstance(value, Mapping):
        return any(holds_bag(item) for item in value.values())
    return isinstance(value, list) and any(holds_bag(item) for item in value)
