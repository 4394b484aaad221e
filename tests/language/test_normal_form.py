"""The normal form of a checked tree: what the engine and the oracle may rely on."""

from __future__ import annotations

import pytest

from drasi.language import tree
from drasi.language.walk import descendants
from tests.language.asking import checked, clauses, expression


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("MATCH (a)-[r]->(b) RETURN *", "MATCH (a)-[r]->(b) RETURN a, r, b"),
        ("MATCH (a) WITH *, a.x AS x RETURN *", "MATCH (a) WITH a, a.x AS x RETURN a, x"),
        ("MATCH (a) WHERE a.x WHERE a.y RETURN a", "MATCH (a) WHERE a.x AND a.y RETURN a"),
        ("MATCH (a) WHERE exists(a.x) RETURN a", "MATCH (a) WHERE a.x IS NOT NULL RETURN a"),
        ("MATCH (a) WHERE exists((a)-->()) RETURN a", "MATCH (a) WHERE (a)-->() RETURN a"),
        ("MATCH (a) WITH a.x AS x WHERE a.y > x RETURN x", "MATCH (a) WITH a.x AS x, a AS a WHERE a.y > x WITH x RETURN x"),
        ("MATCH (a) WITH DISTINCT a.x AS x WHERE a.x > 1 RETURN x", "MATCH (a) WITH DISTINCT a.x AS x WHERE x > 1 RETURN x"),
        (
            "MATCH (a) WITH a.x AS x, count(*) AS c ORDER BY a.x, count(*) RETURN x, c",
            "MATCH (a) WITH a.x AS x, count(*) AS c ORDER BY x, c RETURN x, c",
        ),
    ],
)
def test_the_same_normal_form(text: str, same: str) -> None:
    assert checked(text).query == checked(same).query


def test_no_star_is_left_anywhere() -> None:
    text = "MATCH (a) WHERE EXISTS { MATCH (a)-->(b) WITH * WHERE EXISTS { MATCH (b)-->(c) RETURN * } RETURN * } RETURN *"
    projections = [node for node in descendants(checked(text).query) if isinstance(node, tree.Projection)]
    assert len(projections) == 4
    assert not any(projection.star for projection in projections)
    assert all(projection.items for projection in projections)


def test_a_where_after_optional_match_stays_apart() -> None:
    match, filter_, _ = clauses("OPTIONAL MATCH (a) WHERE a.x WHERE a.y RETURN a")
    assert isinstance(match, tree.Match)
    assert match.where == expression("a.x")
    assert filter_ == tree.Filter(expression("a.y"))


def test_deeply_nested_subqueries_are_brought_to_normal_form_once() -> None:
    depth = 12
    text = "MATCH (a) WHERE " + "EXISTS { MATCH (a)-->() WHERE " * depth + "true" + " RETURN * }" * depth + " RETURN a"
    found = [node for node in descendants(checked(text).query) if isinstance(node, tree.Subquery)]
    assert len(found) == depth


def test_trees_are_hashable_and_equal_whatever_their_layout() -> None:
    text = "MATCH (a:A {k: 1})-[r:T*1..2]->(b) WITH a, count(*) AS c WHERE c > 1 RETURN a.x, [x IN a.l | {y: x}]"
    spread = text.replace(" ", "\n /* so */ ")
    assert hash(checked(text).query) == hash(checked(text).query)
    assert checked(text, column_names="short").query == checked(spread, column_names="short").query
