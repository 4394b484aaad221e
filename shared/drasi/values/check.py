"""Whether properties handed over by a program are Cypher values at all: asked at the edge, trusted within."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drasi.values.json import MAX_NESTING

_MIN = -(2**63)
_MAX = 2**63 - 1


def validate_properties(properties: Mapping[str, Any], where: str) -> None:
    """Refuses properties that hold anything but Cypher values.

    Args:
        properties: By name. null is allowed: it removes.
        where: Whose properties: ``node db/r1``.

    Raises:
        ValueError: Names the property, the path within it, and what is wrong.
    """
    if type(properties) is not dict:
        raise ValueError(f"{where}: properties are a dict, not {_type(properties)}")
    for key, value in properties.items():
        if type(key) is not str:
            raise ValueError(f"{where}: the name of a property is a str, not {_type(key)} ({key!r})")
        if not key.isascii():
            _check_text(key, where, key)
        kind = type(value)
        if kind is float or value is None or kind is bool:
            continue
        if kind is str:
            if value.isascii():
                continue
        elif kind is int and _MIN <= value <= _MAX:
            continue
        _check(value, where, key, 0)


def validate_value(value: Any, where: str) -> None:
    """The same for one value, such as a query's parameter."""
    _check(value, where, "", 0)


def _check(value: Any, where: str, path: str, depth: int) -> None:
    kind = type(value)
    if value is None or kind is bool or kind is float:
        return
    if kind is str:
        _check_text(value, where, path)
    elif kind is int:
        if not _MIN <= value <= _MAX:
            raise ValueError(f"{_place(where, path)} is beyond 64-bit integers; pass it as a float or a str")
    elif kind is list or kind is dict:
        if depth >= MAX_NESTING:
            raise ValueError(f"{_place(where, path)}: lists and maps may stand in each other {MAX_NESTING} deep at most")
        if kind is list:
            for place, item in enumerate(value):
                _check(item, where, f"{path}[{place}]", depth + 1)
        else:
            for key, item in value.items():
                if type(key) is not str:
                    raise ValueError(f"{_place(where, path)}: the key of a map is a str, not {_type(key)} ({key!r})")
                _check_text(key, where, path)
                _check(item, where, f"{path}.{key}" if path else key, depth + 1)
    else:
        raise ValueError(
            f"{_place(where, path)} is {_type(value)}, which is no Cypher value; take int, float, str, bool, None, list or dict"
        )


def _check_text(text: str, where: str, path: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{_place(where, path)} holds half of a surrogate pair ({text[:40]!r}), which is no text") from None


def _place(where: str, path: str) -> str:
    return f"{where}: {path}" if path else where


def _type(value: object) -> str:
    name = type(value).__name__
    return f"an {name}" if name[0] in "aeiouAEIOU" else f"a {name}"
