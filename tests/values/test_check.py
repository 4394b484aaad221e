"""What programs hand over as properties."""

from __future__ import annotations

import math
from collections import OrderedDict
from typing import Any

import pytest

from drasi.values.check import validate_properties, validate_value
from drasi.values.json import MAX_NESTING


def test_cypher_values_pass() -> None:
    deep: Any = 1
    for _ in range(MAX_NESTING):
        deep = {"a": deep}
    validate_properties(
        {
            "i": 2**63 - 1,
            "j": -(2**63),
            "f": math.nan,
            "s": "ä",
            "b": True,
            "gone": None,
            "l": [1, [{}]],
            "m": {"k": []},
            "ü": deep,
        },
        "node",
    )
    validate_value([1, {"a": None}], "parameter p")


@pytest.mark.parametrize(
    ("properties", "message"),
    [
        ({1: 2}, r"node db/a: the name of a property is a str, not an int \(1\)"),
        ({"a": 2**63}, "node db/a: a is beyond 64-bit integers"),
        ({"a": -(2**63) - 1}, "node db/a: a is beyond 64-bit integers"),
        ({"a": (1,)}, "node db/a: a is a tuple, which is no Cypher value"),
        ({"a": {1}}, "a is a set, which is no Cypher value"),
        ({"a": b"x"}, "a is a bytes, which is no Cypher value"),
        ({"a": object()}, "a is an object, which is no Cypher value"),
        ({"a": OrderedDict()}, "a is an OrderedDict, which is no Cypher value"),
        ({"a": [1, {"b": [2**64]}]}, r"node db/a: a\[1\]\.b\[0\] is beyond"),
        ({"a": {"b": {2: 1}}}, r"node db/a: a\.b: the key of a map is a str, not an int \(2\)"),
        ({"a": "\ud800"}, "a holds half of a surrogate pair"),
        ({"a": ["x\udfff"]}, r"a\[0\] holds half of a surrogate pair"),
        ({"a": {"\ud800": 1}}, "a holds half of a surrogate pair"),
        ([("a", 1)], "node db/a: properties are a dict, not a list"),
        (None, "node db/a: properties are a dict, not a NoneType"),
    ],
)
def test_anything_else_is_refused_with_its_place(properties: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        validate_properties(properties, "node db/a")


def test_names_are_text() -> None:
    with pytest.raises(ValueError, match="surrogate"):
        validate_properties({"\ud800": 1}, "node db/a")


def test_nesting_is_bounded() -> None:
    deep: Any = 1
    for _ in range(MAX_NESTING + 1):
        deep = [deep]
    with pytest.raises(ValueError, match="64 deep at most"):
        validate_properties({"a": deep}, "node db/a")


def test_a_loop_is_refused() -> None:
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ValueError, match="64 deep at most"):
        validate_properties({"a": loop}, "node db/a")
