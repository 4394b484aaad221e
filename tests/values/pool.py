"""Values that nearly equal each other, and what the specification says of them in other words than the library's."""

from __future__ import annotations

import math
from typing import Any

from hypothesis import strategies as st

from drasi.values.elements import Node, Path, Relation

NAN = math.nan
A = Node("db", "a", ["L"], {"x": 1})
A_CHANGED = Node("db", "a", ["L"], {"x": 1.0})
A_ELSEWHERE = Node("other", "a", ["L"], {"x": 1})
B = Node("db", "b")
R = Relation("db", "r", ["T"], {}, 0, "a", "b")
S = Relation("db", "a", ["T"], {}, 0, "a", "b")

SCALARS: list[Any] = [
    None,
    False,
    True,
    0,
    1,
    -1,
    0.0,
    -0.0,
    1.0,
    1.5,
    2**53,
    2**53 + 1,
    float(2**53),
    2**63 - 1,
    -(2**63),
    float(2**63),
    1e300,
    5e-324,
    NAN,
    math.inf,
    -math.inf,
    "",
    "1",
    "1.0",
    "true",
    "null",
    "NaN",
    "a",
    "A",
    "ä",
    "\U0001f600",
]
NESTED: list[Any] = [
    [],
    [[]],
    [1],
    [1.0],
    [True],
    [None],
    [NAN],
    [-0.0],
    [0],
    ["1"],
    [1, 2],
    [1, None],
    [None, 1],
    {},
    {"a": 1},
    {"a": 1.0},
    {"a": True},
    {"a": None},
    {"b": 1},
    {"a": 1, "b": 2},
    {"b": 2, "a": 1},
    {"a": [NAN]},
    [{"a": 1}],
    [{"a": 1.0}],
]
ELEMENTS: list[Any] = [
    A,
    A_CHANGED,
    A_ELSEWHERE,
    B,
    R,
    S,
    Path([A], []),
    Path([A_CHANGED], []),
    Path([A, B], [R]),
    Path([B, A], [R]),
]
POOL = SCALARS + NESTED + ELEMENTS

leaves = st.sampled_from(SCALARS) | st.integers(-(2**63), 2**63 - 1) | st.floats() | st.text(max_size=3) | st.sampled_from(ELEMENTS)
values = st.sampled_from(POOL) | st.recursive(
    leaves, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from("abc"), inner, max_size=3), max_leaves=6
)


def equivalent(a: Any, b: Any) -> bool:
    """Section 7.4, pair by pair."""
    if type(a) in (int, float) and type(b) in (int, float):
        return bool(a == b) or (math.isnan(a) and math.isnan(b))
    if type(a) is not type(b):
        return False
    match a:
        case list():
            return len(a) == len(b) and all(equivalent(x, y) for x, y in zip(a, b, strict=True))
        case dict():
            return set(a) == set(b) and all(equivalent(a[key], b[key]) for key in a)
        case Node() | Relation():
            return (a.source, a.id) == (b.source, b.id)
        case Path():
            return equivalent(list(a.nodes), list(b.nodes)) and equivalent(list(a.relationships), list(b.relationships))
    return bool(a == b)


def has_null_or_nan(value: Any) -> bool:
    if isinstance(value, list | dict):
        return any(has_null_or_nan(item) for item in (value if isinstance(value, list) else value.values()))
    return value is None or (isinstance(value, float) and math.isnan(value))
