"""Cypher's ``=`` and ``<>``: three-valued (language.md section 7.3).

null makes the answer null; numbers are equal by exact value whatever their type; values of other different types are
not equal; lists and maps go item by item; nodes, relations and paths go by identity.
"""

from __future__ import annotations

from typing import Any

from drasi.values.elements import Node, Path, Relation


def equals(a: Any, b: Any) -> bool | None:
    """``a = b``: True, False, or None for null. Symmetric; not reflexive, because of null and NaN."""
    if a is None or b is None:
        return None
    kind = type(a)
    other = type(b)
    if kind is not other:
        # Python compares an int and a float exactly.
        return bool(a == b) if (kind is int and other is float) or (kind is float and other is int) else False
    if kind is list:
        return _lists(a, b)
    if kind is dict:
        return _maps(a, b)
    if kind is Node or kind is Relation:
        return bool(a.id == b.id and a.source == b.source)
    if kind is Path:
        return bool(a.key == b.key)
    return bool(a == b)


def not_equals(a: Any, b: Any) -> bool | None:
    """``a <> b``."""
    answer = equals(a, b)
    return None if answer is None else not answer


def _lists(a: list[Any], b: list[Any]) -> bool | None:
    if len(a) != len(b):
        return False
    answer: bool | None = True
    for x, y in zip(a, b, strict=True):
        item = equals(x, y)
        if item is False:
            return False
        if item is None:
            answer = None
    return answer


def _maps(a: dict[str, Any], b: dict[str, Any]) -> bool | None:
    if a.keys() != b.keys():
        return False
    answer: bool | None = True
    for key, x in a.items():
        item = equals(x, b[key])
        if item is False:
            return False
        if item is None:
            answer = None
    return answer
