"""Equal as columns: type and value, deep."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from hypothesis import given

from drasi.values.elements import Node, Path, Relation
from drasi.values.equivalence import group_key
from drasi.values.identity import same
from drasi.values.ordering import order_key
from tests.values.pool import A_CHANGED, NAN, POOL, A, R, values


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (1, 1.0),
        (True, 1),
        (False, 0),
        (0.0, -0.0),
        ("1", 1),
        (None, False),
        ([1], [1.0]),
        ([0.0], [-0.0]),
        ([1], [1, None]),
        ({"a": 1}, {"a": True}),
        ({"a": 1}, {"b": 1}),
        ({"a": None}, {}),
        ([], {}),
        (A, A_CHANGED),
        ([{"a": [A]}], [{"a": [A_CHANGED]}]),
        (Node("db", "a"), Node("db", "a", ["L"])),
        (Node("db", "a"), Node("db", "a", (), {"x": None})),
        (Path([A], []), Path([A_CHANGED], [])),
        (R, Relation("db", "r", ["T"], {}, 0, "a", "c")),
        (R, Relation("db", "r", ["T"], {}, 0, ("other", "a"), "b")),
        (Node("db", "a", ["T"]), Relation("db", "a", ["T"])),
    ],
)
def test_differ(a: Any, b: Any) -> None:
    assert not same(a, b)
    assert not same(b, a)


@pytest.mark.parametrize(
    ("a", "b"),
    [
        (NAN, float("nan")),
        ([NAN], [float("nan")]),
        ({"a": NAN}, {"a": float("nan")}),
        ({"a": 1, "b": 2}, {"b": 2, "a": 1}),
        ("ab", "".join(["a", "b"])),
        (Node("db", "a", ["L"], {"x": NAN}), Node("db", "a", ("L",), {"x": float("nan")}, 7)),
        (R, Relation("db", "r", ["T"], {}, 9, ("db", "a"), ("db", "b"))),
        (Path([A], []), Path((Node("db", "a", ["L"], {"x": 1}),), ())),
    ],
)
def test_are_the_same(a: Any, b: Any) -> None:
    assert same(a, b)
    assert same(b, a)


def test_an_equivalence_relation_on_the_pool() -> None:
    for a in POOL:
        assert same(a, a)
    for a, b in product(POOL, POOL):
        assert same(a, b) == same(b, a)
        if same(a, b):
            assert all(same(a, c) == same(b, c) for c in POOL)


@given(values, values)
def test_the_same_are_equivalent_and_stand_at_one_place(a: Any, b: Any) -> None:
    if same(a, b):
        assert group_key(a) == group_key(b)
        assert order_key(a) == order_key(b)
