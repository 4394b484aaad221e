"""Values as JSON (wire.md section 9): out in rows, in as properties."""

from __future__ import annotations

from math import isfinite
from typing import Any

import msgspec

from drasi.values.elements import Node, Path, Relation

MAX_NESTING = 64
"""How deep lists and maps may stand in each other within one property or parameter."""

_MIN = -(2**63)
_MAX = 2**63 - 1

# msgspec writes floats by the shortest digits that read back equal, always with a point or an exponent.
_encode = msgspec.json.Encoder().encode


def to_json(value: Any) -> str:
    """The JSON text of a Cypher value, as rows carry it.

    Integers are exact; floats always have ``.`` or ``e``; NaN and the infinities are strings.
    """
    return _encode(to_wire(value)).decode()


def to_wire(value: Any) -> Any:
    """A Cypher value as plain JSON-able Python."""
    kind = type(value)
    if kind is float:
        return value if isfinite(value) else "NaN" if value != value else "Infinity" if value > 0 else "-Infinity"
    if kind is list:
        return [to_wire(item) for item in value]
    if kind is dict:
        return {key: to_wire(item) for key, item in value.items()}
    if kind is Node:
        return {
            "source": value.source,
            "id": value.id,
            "labels": list(value.labels),
            "properties": to_wire(value.properties),
        }
    if kind is Relation:
        return {
            "source": value.source,
            "id": value.id,
            "type": value.type,
            "labels": list(value.labels),
            "properties": to_wire(value.properties),
            "start": _end(value.start_key),
            "end": _end(value.end_key),
        }
    if kind is Path:
        return {
            "nodes": [to_wire(node) for node in value.nodes],
            "relations": [to_wire(relation) for relation in value.relationships],
        }
    return value


def normalise(value: Any, where: str = "value") -> Any:
    """Decoded JSON as a Cypher value: an integer beyond int64 becomes a float.

    Args:
        value: What a JSON decoder gave: plain Python.
        where: What the value is, for the error.

    Returns:
        The same object when nothing changes, else a copy; the argument is never altered.

    Raises:
        ValueError: Lists and maps stand in each other deeper than `MAX_NESTING`.
    """
    return _normalise(value, where, 0)


def _normalise(value: Any, where: str, depth: int) -> Any:
    kind = type(value)
    if kind is int:
        return value if _MIN <= value <= _MAX else _float(value, where)
    if kind is list:
        if depth >= MAX_NESTING:
            raise ValueError(f"{where}: lists and maps may stand in each other {MAX_NESTING} deep at most")
        for place, item in enumerate(value):
            changed = _normalise(item, where, depth + 1)
            if changed is not item:
                rest = [_normalise(other, where, depth + 1) for other in value[place + 1 :]]
                return [*value[:place], changed, *rest]
        return value
    if kind is dict:
        if depth >= MAX_NESTING:
            raise ValueError(f"{where}: lists and maps may stand in each other {MAX_NESTING} deep at most")
        for item in value.values():
            if _normalise(item, where, depth + 1) is not item:
                return {key: _normalise(other, where, depth + 1) for key, other in value.items()}
        return value
    return value


def _float(value: int, where: str) -> float:
    try:
        return float(value)
    except OverflowError:
        raise ValueError(f"{where}: the number has {len(str(value))} digits and fits no float") from None


def _end(key: tuple[str, str] | None) -> dict[str, str] | None:
    return None if key is None else {"source": key[0], "id": key[1]}
