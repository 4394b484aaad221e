"""GQL (language.md section 9): the same tree as Cypher's."""

from __future__ import annotations

import pytest

from drasi.language import tree
from tests.language.asking import checked, expression, refused


@pytest.mark.parametrize(
    ("gql", "cypher"),
    [
        ("MATCH (a:A) WHERE a.x RETURN a.y AS y", "MATCH (a:A) WHERE a.x RETURN a.y AS y"),
        ("MATCH (a:A) MATCH (b:B) RETURN a, b", "MATCH (a:A) MATCH (b:B) RETURN a, b"),
        ("MATCH (a:A) LET x = a.x, y = x + 1 RETURN y", "MATCH (a:A) WITH *, a.x AS x WITH *, x + 1 AS y RETURN y"),
        ("MATCH (a:A) RETURN a NEXT FILTER a.x RETURN a", "MATCH (a:A) WITH a WHERE a.x RETURN a"),
        ("MATCH (a:A) YIELD a, a.x AS x RETURN x", "MATCH (a:A) WITH a, a.x AS x RETURN x"),
        ("MATCH (a:A) RETURN a.x AS x, count(*) AS c GROUP BY x", "MATCH (a:A) RETURN a.x AS x, count(*) AS c"),
        ("MATCH (a:A) RETURN a.x AS x, count(*) AS c GROUP BY a.x", "MATCH (a:A) RETURN a.x AS x, count(*) AS c"),
        ("MATCH (a:A) RETURN count(*) AS c GROUP BY ()", "MATCH (a:A) RETURN count(*) AS c"),
        ("MATCH (a:A) RETURN a.x AS x GROUP BY x", "MATCH (a:A) RETURN DISTINCT a.x AS x"),
        ("MATCH (a:A) RETURN upper(a.x) AS x", "MATCH (a:A) RETURN toUpper(a.x) AS x"),
        ("MATCH (a:A) RETURN element_id(a) AS x", "MATCH (a:A) RETURN elementId(a) AS x"),
        ("MATCH (a:A) RETURN zoned_datetime(a.x) AS x", "MATCH (a:A) RETURN datetime(a.x) AS x"),
        ("MATCH (a:A) RETURN a.x AS x ORDER BY x OFFSET 1 LIMIT 2", "MATCH (a:A) RETURN a.x AS x ORDER BY x SKIP 1 LIMIT 2"),
        ("MATCH (a:A) OPTIONAL MATCH (a)-->(b) RETURN DISTINCT b", "MATCH (a:A) OPTIONAL MATCH (a)-->(b) RETURN DISTINCT b"),
        ("MATCH (a:A) RETURN a NEXT MATCH (a)-->(b) RETURN b", "MATCH (a:A) WITH a MATCH (a)-->(b) RETURN b"),
        ("match (a:A) filter where a.x return a", "MATCH (a:A) WHERE a.x RETURN a"),
    ],
)
def test_the_same_normal_form(gql: str, cypher: str) -> None:
    assert checked(gql, language="gql").query == checked(cypher).query


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("MATCH (a:A) LET a = 1 RETURN a", "VariableAlreadyBound"),
        ("MATCH (a:A) YIELD a.x RETURN a", "NoExpressionAlias"),
        ("MATCH (a:A) YIELD b RETURN b", "UndefinedVariable"),
        ("MATCH (a:A) YIELD a RETURN b", "UndefinedVariable"),
        ("MATCH (a:A) RETURN a.x, a.y, count(*) GROUP BY a.x", "AmbiguousAggregationExpression"),
        ("MATCH (a:A) RETURN a.x, count(*) GROUP BY ()", "AmbiguousAggregationExpression"),
        ("MATCH (a:A) RETURN count(*) GROUP BY count(*)", "InvalidAggregation"),
        ("MATCH (a:A) WITH a RETURN a", "UnexpectedSyntax"),
        ("MATCH (a:A) RETURN a NEXT", "UnexpectedSyntax"),
        ("MATCH (a:A) LET x a.x RETURN x", "UnexpectedSyntax"),
        ("MATCH (a:A) SET a.x = 1 RETURN a", "UnexpectedSyntax"),
        ("MATCH (a:A)", "UnexpectedSyntax"),
    ],
)
def test_refused(text: str, detail: str) -> None:
    assert refused(text, language="gql").detail == detail


def test_a_key_that_is_not_returned_stays_in_the_tree() -> None:
    found = checked("MATCH (a:A) RETURN count(*) AS c GROUP BY a.x", language="gql")
    (_, projection) = found.query.parts[0].clauses
    assert isinstance(projection, tree.Projection)
    assert projection.group_by == (expression("a.x"),)
    assert [entry.construct for entry in found.not_yet] == ["GROUP BY a key that is not returned"]


def test_gql_names_are_no_names_of_cypher() -> None:
    error = refused("RETURN upper('a')")
    assert (error.detail, error.hint) == ("UnknownFunction", "did you mean toUpper?")


def test_the_example_of_the_specification() -> None:
    gql = (
        "MATCH (s:Ship)-[:AT]->(b:Berth) LET over = s.draught > b.depth FILTER over "
        "RETURN b.id AS berth, count(*) AS ships GROUP BY b.id NEXT FILTER ships > 1 RETURN berth"
    )
    cypher = (
        "MATCH (s:Ship)-[:AT]->(b:Berth) WITH *, s.draught > b.depth AS over WHERE over "
        "WITH b.id AS berth, count(*) AS ships WHERE ships > 1 RETURN berth"
    )
    assert checked(gql, language="gql").query == checked(cypher).query
