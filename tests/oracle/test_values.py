"""The oracle's own equality, order and equivalence: the facts of language.md sections 7.3 and 7.4, and the laws they obey."""

from __future__ import annotations

import itertools
import math
from typing import Any

import pytest

from tests.oracle.changes import POOL
from tests.oracle.strict import strict
from tests.oracle.values import compare, equals, equivalence, order

VALUES: list[Any] = [*POOL, math.inf, -math.inf, [], {}, "", {"a": None}, {"b": 1}, [1, 2], [[1]], "X"]


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (1, 1.0, True),
        (1, True, False),
        (1, "1", False),
        (0.0, -0.0, True),
        (math.nan, math.nan, False),
        (None, None, None),
        (2**53 + 1, float(2**53), False),
        (2**53, float(2**53), True),
        ([1], [1.0], True),
        ([1], [True], False),
        ([None], [1], None),
        ([None, 1], [1, 2], False),
        ([None], [], False),
        ({"a": 1}, {"a": 1.0}, True),
        ({"a": None}, {"a": None}, None),
        ({"a": None}, {}, False),
    ],
)
def test_equality(left: Any, right: Any, expected: bool | None) -> None:
    assert equals(left, right) is expected
    assert equals(right, left) is expected


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [(1, 2.5, -1), (1, 1.0, 0), ("a", "B", 1), (False, True, -1), (1, "1", None), ([1], [1, 0], -1), ([1, "a"], [1, None], None),
     ([1, 2], [3, None], -1), (math.nan, 1, "NaN"), ({}, {}, None), (1, True, None)],
)  # fmt: skip
def test_comparison(left: Any, right: Any, expected: Any) -> None:
    assert compare(left, right) == expected


def test_the_order_is_total() -> None:
    for a, b, c in itertools.product(VALUES, repeat=3):
        assert order(a, b) == -order(b, a)
        if order(a, b) <= 0 and order(b, c) <= 0:
            assert order(a, c) <= 0


def test_the_kinds_ascend() -> None:
    ascending = [{}, [], "", False, math.nan, None]
    assert all(order(a, b) < 0 for a, b in itertools.pairwise(ascending))
    assert order(False, -math.inf) < order(math.inf, math.inf) < order(math.nan, math.inf)


def test_equivalence_is_equality_with_null_and_nan_alike() -> None:
    for a, b in itertools.product(VALUES, repeat=2):
        same = equivalence(a) == equivalence(b)
        assert same == (order(a, b) == 0)
        if equals(a, b) is not None:
            nan = "nan" in strict(a) and "nan" in strict(b)
            assert same == equals(a, b) or nan


def test_strict_tells_types_apart() -> None:
    assert len({strict(value) for value in (1, 1.0, True, "1", 0.0, -0.0, 0, math.nan, None, [1], [1.0], [True])}) == 12
    assert strict(math.nan) == strict(float("nan"))
