"""Nodes, relations, paths as objects."""

from __future__ import annotations

import pytest

from drasi.values.elements import Node, Path, Relation
from tests.values.pool import A_CHANGED, A, B, R


def test_content_and_hash() -> None:
    assert Node("db", "a", ["L"], {"x": 1}) == A
    assert A != A_CHANGED
    assert hash(A) == hash(A_CHANGED)
    assert A != "a"
    assert {A: 1}[Node("db", "a", ("L",), {"x": 1})] == 1
    assert hash(R) == hash(Relation("db", "r", ["other"]))
    assert hash(Path([A, B], [R])) == hash(Path([A_CHANGED, B], [R]))


def test_defaults() -> None:
    node = Node("db", "a")
    assert (tuple(node.labels), node.properties, node.effective_from) == ((), {}, 0)
    relation = Relation("db", "r", ["T", "U"])
    assert (relation.type, relation.start, relation.end, relation.start_key) == ("T", None, None, None)


def test_ends_with_and_without_source() -> None:
    relation = Relation("db", "r", ["T"], {}, 0, "a", ("other", "b"))
    assert (relation.start, relation.end) == ("a", ("other", "b"))
    assert (relation.start_key, relation.end_key) == (("db", "a"), ("other", "b"))


def test_nothing_else_can_be_set() -> None:
    with pytest.raises(AttributeError):
        A.colour = "red"  # type: ignore[attr-defined]


def test_repr_shows_everything() -> None:
    assert repr(A) == "Node('db', 'a', ['L'], {'x': 1})"
    assert repr(R) == "Relation('db', 'r', ['T'], {}, start='a', end='b')"
    assert repr(Path([B], [])) == "Path([Node('db', 'b', [], {})], [])"


def test_path() -> None:
    path = Path([A, B], [R])
    assert len(path) == 1
    assert path.key == (("db", "a"), ("db", "r"), ("db", "b"))
