"""Reaching into values: properties, items, slices, labels, membership, parts of strings (language.md section 7.2)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from drasi.values.elements import Node, Relation
from drasi.values.equality import equals
from drasi.values.errors import EvaluationError, describe, invalid_type, invalid_value


def property_of(value: Any, key: str) -> Any:
    """``value.key`` of a map, a node or a relation: null if it is missing, or on null."""
    if value is None:
        return None
    kind = type(value)
    if kind is Node or kind is Relation:
        return value.properties.get(key)
    if kind is dict:
        return value.get(key)
    raise EvaluationError("TypeError", "InvalidArgumentType", f".{key} takes a node, a relation or a map, not {describe(value)}")


def index(value: Any, key: Any) -> Any:
    """``value[key]``: an item of a list, from 0 or from the end; a property of a map, a node or a relation."""
    if value is None or key is None:
        return None
    kind = type(value)
    if kind is list:
        if type(key) is not int:
            raise invalid_type("the index of a list", "an integer", key)
        return value[key] if -len(value) <= key < len(value) else None
    if kind is dict or kind is Node or kind is Relation:
        if type(key) is not str:
            raise EvaluationError(
                "TypeError", "MapElementAccessByNonString", f"a property is named by a string, not by {describe(key)}"
            )
        return value.get(key) if kind is dict else value.properties.get(key)
    raise invalid_type("[…]", "a list, a map, a node or a relation", value)


def slice_(value: Any, start: Any = 0, end: Any = 2**63 - 1) -> Any:
    """``value[start..end]``: clipped to the list; a null bound gives null; negative bounds count from the end."""
    if value is None or start is None or end is None:
        return None
    if type(value) is not list:
        raise invalid_value("[… .. …]", "a list", value)
    for bound in (start, end):
        if type(bound) is not int:
            raise invalid_value("the bound of a slice", "an integer", bound)
    return value[start:end]


def in_list(item: Any, values: Any) -> bool | None:
    """``item IN values``: true if some item is equal; else null if some comparison is."""
    if values is None:
        return None
    if type(values) is not list:
        raise invalid_value("IN", "a list on its right side", values)
    answer: bool | None = False
    for value in values:
        equal = equals(item, value)
        if equal:
            return True
        if equal is None:
            answer = None
    return answer


def has_labels(value: Any, labels: Sequence[str]) -> bool | None:
    """``value:A:B``: whether a node has all the labels, a relation all the types; null on null."""
    if value is None:
        return None
    if type(value) is not Node and type(value) is not Relation:
        raise invalid_value(":" + ":".join(labels), "a node or a relation", value)
    own = value.labels
    return all(label in own for label in labels)


def starts_with(text: Any, part: Any) -> bool | None:
    """``text STARTS WITH part``: null if either is null or no string."""
    return text.startswith(part) if type(text) is str and type(part) is str else None


def ends_with(text: Any, part: Any) -> bool | None:
    """``text ENDS WITH part``: null if either is null or no string."""
    return text.endswith(part) if type(text) is str and type(part) is str else None


def contains(text: Any, part: Any) -> bool | None:
    """``text CONTAINS part``: null if either is null or no string."""
    return part in text if type(text) is str and type(part) is str else None
