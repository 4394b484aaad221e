"""Equivalence: which values form one group, are one for DISTINCT, one member of a set (language.md section 7.4).

As ``=``, but null is equivalent to null and NaN to NaN. The classes are represented by plain hashable keys, made of
strings, numbers, None and tagged tuples: fit for a dictionary, a snapshot and, through `drasi.values.canonical`, a row id.
"""

from __future__ import annotations

from typing import Any, TypeAlias

from drasi.values.elements import Node, Path, Relation

GroupKey: TypeAlias = str | int | float | tuple[Any, ...] | None

# Tuples, since a bare True would equal 1 and a NaN would equal nothing.
TRUE_KEY = ("bool", "true")
FALSE_KEY = ("bool", "false")
NAN_KEY = ("NaN",)


def group_key(value: Any) -> GroupKey:
    """A hashable key: two are ``==`` exactly when the values are equivalent.

    Strings, integers, floats that are numbers, and null are their own keys: 1 and 1.0, 0.0 and -0.0 are equal and hash
    alike in Python too. A caller may therefore leave the call out for a ``str`` or an ``int`` (not for a ``bool``).
    """
    kind = type(value)
    if kind is str or kind is int or value is None:
        return value  # type: ignore[no-any-return]
    if kind is float:
        return value if value == value else NAN_KEY
    if kind is bool:
        return TRUE_KEY if value else FALSE_KEY
    if kind is list:
        return ("list", *[group_key(item) for item in value])
    if kind is dict:
        return ("map", *[(key, group_key(value[key])) for key in sorted(value)])
    if kind is Node:
        return ("node", value.source, value.id)
    if kind is Relation:
        return ("relation", value.source, value.id)
    if kind is Path:
        return ("path", *value.key)
    raise TypeError(f"no Cypher value: {value!r}")
