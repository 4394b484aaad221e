"""Comparison within types (TCK expressions/comparison/Comparison2), order across all of them (clauses/with-orderBy)."""

from __future__ import annotations

import random
from itertools import product
from math import inf
from typing import Any

import pytest
from hypothesis import given

from drasi.values.elements import Node, Path, Relation
from drasi.values.ordering import greater, greater_equal, less, less_equal, order_key
from tests.values.pool import NAN, POOL, A, B, R, equivalent, values


@pytest.mark.parametrize(
    ("left", "right", "expected"),
    [
        (1, 2, "<"),
        (1, 3.14, "<"),
        (1, 1.0, "="),
        (2**53, 2**53 + 1, "<"),
        (float(2**53), 2**53 + 1, "<"),
        (-inf, -(2**63), "<"),
        (0.0, -0.0, "="),
        ("B", "a", "<"),
        ("\uffff", "\U00010000", "<"),
        ("a", "ab", "<"),
        (False, True, "<"),
        (True, True, "="),
        ([], [1], "<"),
        ([1, 0], [1], ">"),
        ([1, None], [1], ">"),
        ([1, 2], [3, None], "<"),
        ([1, 2], [1, None], None),
        ([1, "a"], [1, None], None),
        ([1], ["a"], None),
        ([[1]], [[2]], "<"),
        ([NAN], [1], "unordered"),
        (NAN, 1, "unordered"),
        (NAN, NAN, "unordered"),
        (NAN, "a", None),
        (1, "a", None),
        (1, True, None),
        (1, None, None),
        (None, None, None),
        ([1], 1, None),
        ({}, {}, None),
        (A, A, None),
        (R, R, None),
    ],
)
def test_comparison(left: Any, right: Any, expected: str | None) -> None:
    answers = (less(left, right), less_equal(left, right), greater(left, right), greater_equal(left, right))
    assert (
        answers
        == {
            "<": (True, True, False, False),
            "=": (False, True, False, True),
            ">": (False, False, True, True),
            "unordered": (False, False, False, False),
            None: (None, None, None, None),
        }[expected]
    )


def test_order_of_types() -> None:
    ascending: list[Any] = [
        {},
        {"a": 1},
        Node("a", "a"),
        A,
        Relation("a", "a", ["T"]),
        R,
        [],
        [{}],
        [1],
        Path([A], []),
        Path([B], []),
    ]
    ascending += ["", "1", "a", False, True, -inf, -1, 0.5, 1, 2**53, 2**53 + 1, inf, NAN, None]
    for seed in range(5):
        shuffled = ascending.copy()
        random.Random(seed).shuffle(shuffled)
        assert [repr(value) for value in sorted(shuffled, key=order_key)] == [repr(value) for value in ascending]


def test_lists_as_the_tck_sorts_them() -> None:
    ascending = [[], ["a"], ["a", 1], [1], [1, "a"], [1, None], [None, 1], [None, 2]]
    assert sorted(ascending, key=order_key) == ascending


def test_total_on_the_pool() -> None:
    keys = [order_key(value) for value in POOL]
    for a, b in product(keys, keys):
        assert (a < b) + (a == b) + (b < a) == 1
    for a, b, c in product(keys, keys, keys):
        assert not (a < b and b < c) or a < c


@given(values, values)
def test_keys_are_equal_exactly_for_equivalent_values(a: Any, b: Any) -> None:
    assert (order_key(a) == order_key(b)) is equivalent(a, b)


@given(values, values)
def test_order_continues_comparison(a: Any, b: Any) -> None:
    if less(a, b):
        assert order_key(a) < order_key(b)
    assert less(a, b) is greater(b, a)
    assert less_equal(a, b) is greater_equal(b, a)
    assert (less(a, b) is None) == (less_equal(a, b) is None)
    assert not (less(a, b) and less(b, a))


def test_what_is_no_value_is_refused() -> None:
    with pytest.raises(TypeError, match="no Cypher value"):
        order_key({1, 2})
