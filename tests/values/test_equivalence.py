"""Group keys and their texts: equal exactly for equivalent values."""

from __future__ import annotations

from itertools import combinations
from typing import Any

import pytest
from hypothesis import given

from drasi.values.canonical import canonical_text
from drasi.values.elements import Node, Path, Relation
from drasi.values.equivalence import group_key
from tests.values.pool import NAN, POOL, A, B, R, equivalent, values


@given(values, values)
def test_key_and_text_agree_with_equivalence(a: Any, b: Any) -> None:
    key_a, key_b = group_key(a), group_key(b)
    assert (key_a == key_b) is equivalent(a, b)
    assert (canonical_text(key_a) == canonical_text(key_b)) is equivalent(a, b)
    if key_a == key_b:
        assert hash(key_a) == hash(key_b)


def test_over_all_pairs_of_near_equals() -> None:
    for a, b in combinations(POOL, 2):
        assert (group_key(a) == group_key(b)) is equivalent(a, b), (a, b)
        assert (canonical_text(group_key(a)) == canonical_text(group_key(b))) is equivalent(a, b), (a, b)


def test_plain_values_are_their_own_keys() -> None:
    for value in ("a", 5, None, 2.5):
        assert group_key(value) is value


@given(values)
def test_texts_are_printable(value: Any) -> None:
    assert canonical_text(group_key(value)).isprintable()


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (1, "1"),
        (1.0, "1"),
        (-0.0, "0"),
        (1.5, "1.5"),
        (1e300, "1e+300"),
        (float("-inf"), "-Infinity"),
        (NAN, "NaN"),
        (None, "null"),
        (True, "true"),
        ("a", '"a"'),
        ("ä\n\u2028", '"\\u00e4\\n\\u2028"'),
        ([1, "x", None], '[1,"x",null]'),
        ({"b": 1, "a": [True]}, '{"a":[true],"b":1}'),
        (A, "(db/a)"),
        (R, "<db/r>"),
        (Node("d/b", "a b"), '("d/b"/"a b")'),
        (Relation("db", ")(", ["T"]), '<db/")(">'),
        (Path([A], []), "p(db/a)"),
        (Path([A, B], [R]), "p(db/a)<db/r>(db/b)"),
    ],
)
def test_text(value: Any, text: str) -> None:
    assert canonical_text(group_key(value)) == text


def test_what_is_no_value_is_refused() -> None:
    with pytest.raises(TypeError, match="no Cypher value"):
        group_key((1,))
