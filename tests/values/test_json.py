"""JSON in and out."""

from __future__ import annotations

import json
import struct
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from drasi.values.elements import Path
from drasi.values.identity import same
from drasi.values.json import MAX_NESTING, normalise, to_json
from tests.values.pool import NAN, A, B, R

NODE_A = '{"source":"db","id":"a","labels":["L"],"properties":{"x":1}}'
NODE_B = '{"source":"db","id":"b","labels":[],"properties":{}}'
RELATION = (
    '{"source":"db","id":"r","type":"T","labels":["T"],"properties":{},'
    '"start":{"source":"db","id":"a"},"end":{"source":"db","id":"b"}}'
)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (None, "null"),
        (True, "true"),
        (1, "1"),
        (2**63 - 1, "9223372036854775807"),
        (-(2**63), "-9223372036854775808"),
        (1.0, "1.0"),
        (-0.0, "-0.0"),
        (1e16, "1e16"),
        (1e22, "1e22"),
        (5e-324, "5e-324"),
        (NAN, '"NaN"'),
        (float("inf"), '"Infinity"'),
        (float("-inf"), '"-Infinity"'),
        ("ä\n", '"ä\\n"'),
        ([1, [NAN]], '[1,["NaN"]]'),
        ({"b": 1, "a": {"c": float("inf")}}, '{"b":1,"a":{"c":"Infinity"}}'),
        (A, NODE_A),
        (R, RELATION),
        (Path([A, B], [R]), f'{{"nodes":[{NODE_A},{NODE_B}],"relations":[{RELATION}]}}'),
        ([{"n": B}], f'[{{"n":{NODE_B}}}]'),
    ],
)
def test_out(value: Any, text: str) -> None:
    assert to_json(value) == text


@given(
    st.floats(allow_nan=False, allow_infinity=False)
    | st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack("d", bits.to_bytes(8, "little"))[0])
)
def test_floats_come_back_and_stay_floats(value: float) -> None:
    if value == value and abs(value) != float("inf"):
        text = to_json(value)
        assert "." in text or "e" in text
        assert same(json.loads(text), value)
        assert same(msgspec.json.decode(text), value)


def test_integers_beyond_int64_become_floats() -> None:
    decoded = {"a": [1, 2**63, {"b": -(2**63) - 1}], "c": 2**63 - 1}
    expected = {"a": [1, 2.0**63, {"b": -(2.0**63)}], "c": 2**63 - 1}
    assert same(normalise(decoded), expected)
    assert same(decoded, {"a": [1, 2**63, {"b": -(2**63) - 1}], "c": 2**63 - 1})
    assert same(normalise([2**63, 2**64, 5]), [2.0**63, 2.0**64, 5])


def test_what_needs_no_change_stays_the_same_object() -> None:
    value = {"a": [1, 2.5, None, {"b": "c"}], "d": True}
    assert normalise(value) is value


def nested(depth: int) -> Any:
    value: Any = 1
    for _ in range(depth):
        value = [value]
    return value


def test_nesting_is_bounded() -> None:
    assert normalise(nested(MAX_NESTING)) == nested(MAX_NESTING)
    with pytest.raises(ValueError, match="p: lists and maps may stand in each other 64 deep at most"):
        normalise(nested(MAX_NESTING + 1), "p")
    with pytest.raises(ValueError, match="64 deep"):
        normalise({"a": nested(MAX_NESTING)})


def test_a_number_beyond_floats_is_refused() -> None:
    with pytest.raises(ValueError, match="p: the number has 401 digits"):
        normalise(10**400, "p")
