"""``=`` and ``<>``: the tables of the TCK (expressions/comparison/Comparison1) and laws."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given

from drasi.values.elements import Path
from drasi.values.equality import equals, not_equals
from tests.values.pool import A_CHANGED, A_ELSEWHERE, NAN, A, B, R, S, equivalent, has_null_or_nan, values


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (None, None, None),
        (None, 1, None),
        (1, 1.0, True),
        (2**53, float(2**53), True),
        (2**53 + 1, float(2**53), False),
        (0.0, -0.0, True),
        (True, 1, False),
        (1.0, "1.0", False),
        ("1", 1, False),
        (NAN, NAN, False),
        (NAN, "a", False),
        ([1, 2], [1], False),
        ([None], [1], None),
        ([NAN], [NAN], False),
        (["a"], [1], False),
        ([[1]], [[1], [None]], False),
        ([[1], [2]], [[1], [None]], None),
        ([[1], [2, 3]], [[1], [None]], False),
        ([None, 1], [None, 2], False),
        ([], {}, False),
        ({}, {}, True),
        ({"k": 1}, {"k": 1.0}, True),
        ({"k": True}, {"k": 1}, False),
        ({}, {"k": None}, False),
        ({"k": 1}, {"k": 1, "l": None}, False),
        ({"k": None}, {"k": None}, None),
        ({"k": 1, "l": None}, {"k": None, "l": 1}, None),
        ({"k": 1, "l": None}, {"k": 2, "l": 1}, False),
        (A, A_CHANGED, True),
        (A, A_ELSEWHERE, False),
        (A, B, False),
        (A, S, False),
        (R, S, False),
        (Path([A, B], [R]), Path([A_CHANGED, B], [R]), True),
        (Path([A, B], [R]), Path([B, A], [R]), False),
    ],
)
def test_equality(left: Any, right: Any, expected: bool | None) -> None:
    assert equals(left, right) is expected
    assert not_equals(left, right) is (None if expected is None else not expected)


@given(values, values)
def test_symmetric(a: Any, b: Any) -> None:
    assert equals(a, b) is equals(b, a)


@given(values, values)
def test_without_null_and_nan_it_is_equivalence(a: Any, b: Any) -> None:
    if not has_null_or_nan(a) and not has_null_or_nan(b):
        assert equals(a, b) is equivalent(a, b)


@given(values)
def test_reflexive_but_for_null_and_nan(a: Any) -> None:
    if not has_null_or_nan(a):
        assert equals(a, a) is True
    else:
        assert equals(a, a) is not True
