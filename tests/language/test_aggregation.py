"""Aggregation and HAVING (language.md section 2)."""

from __future__ import annotations

import pytest

from drasi.language import tree
from tests.language.asking import clauses, expression, refused


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("MATCH (n) RETURN count(count(*))", "NestedAggregation"),
        ("MATCH (n) RETURN sum(n.x + max(n.y))", "NestedAggregation"),
        ("MATCH (n) RETURN count(rand())", "NonConstantExpression"),
        ("MATCH (n) RETURN n.x + count(*)", "AmbiguousAggregationExpression"),
        ("MATCH (n) RETURN n.x + n.y AS s, n.x + n.y + count(*) AS c", "AmbiguousAggregationExpression"),
        ("MATCH (n) RETURN n.x AS x, [y IN [1] | y + n.z + 0] + collect(n.x) AS c", "AmbiguousAggregationExpression"),
        ("MATCH (n) RETURN [x IN [1] | count(*)]", "InvalidAggregation"),
        ("MATCH (n) RETURN all(x IN [1] WHERE count(*) > x)", "InvalidAggregation"),
        ("MATCH (n) RETURN reduce(a = 0, x IN [1] | count(*))", "InvalidAggregation"),
        ("MATCH (n) RETURN n.x AS x ORDER BY count(*)", "InvalidAggregation"),
        ("MATCH (n) RETURN count(*) AS c ORDER BY max(n.x)", "UndefinedVariable"),
        ("MATCH (n) WHERE count(n) > 1 RETURN n", "InvalidAggregation"),
        ("MATCH (n) WITH n WHERE count(*) > 1", "InvalidAggregation"),
        ("MATCH (n) RETURN drasi.slidingWindow(1, n.x)", "InvalidAggregation"),
        ("MATCH (n) RETURN retainHistory(1 + sum(n.x))", "InvalidAggregation"),
    ],
)
def test_refused(text: str, detail: str) -> None:
    assert refused(text).detail == detail


@pytest.mark.parametrize(
    "text",
    [
        "MATCH (n) RETURN n.x AS x, n.x + count(*) AS c",
        "MATCH (n) RETURN n, n.x + count(*) AS c",
        "MATCH (n) WITH n.x AS x RETURN x, x + $p + 1 + count(*) AS c",
        "MATCH (n) RETURN size([x IN collect(n) WHERE x.y > 0 | x]) AS c",
        "MATCH (n) RETURN count(DISTINCT n.x) * 2 AS c, sum(n.y) / count(*) AS a",
        "MATCH (n) RETURN CASE WHEN count(*) > 1 THEN max(n.x) ELSE 0 END AS c",
        "MATCH (n) RETURN n.x AS x, count(*) AS c ORDER BY n.x, x + count(*), c",
        "MATCH (n) RETURN DISTINCT n.x ORDER BY n.x",
        "MATCH (n) RETURN drasi.slidingWindow(1, sum(n.x)) AS s, retainHistory(sum(n.x)) AS h",
        "MATCH (n) RETURN count(*) AS c, EXISTS { MATCH (m) RETURN count(m) } AS e",
    ],
)
def test_accepted(text: str) -> None:
    clauses(text)


def test_the_rewriting_is_the_hint() -> None:
    error = refused("MATCH (o:Order) RETURN o.shop AS shop, o.km + avg(o.x) / count(o) AS y")
    assert (error.line, error.column) == (1, 40)
    assert error.hint == (
        "group first, combine afterwards: WITH o.km AS km, avg(o.x) AS avg, count(o) AS count RETURN km + avg / count"
    )


def test_aggregates_in_a_where_are_the_having_of_the_next_projection() -> None:
    text = "MATCH (o:Order) WHERE o.state = 'ready' AND sum(o.qty) > 1 RETURN o.shop AS shop, sum(o.qty) AS qty"
    match, projection = clauses(text)
    assert isinstance(match, tree.Match)
    assert isinstance(projection, tree.Projection)
    assert match.where == expression("o.state = 'ready'")
    assert projection.having == expression("sum(o.qty) > 1")


def test_having_groups_a_projection_without_aggregates() -> None:
    match, projection = clauses("MATCH (o:Order) WHERE sum(o.qty) > 1 RETURN o.shop AS shop")
    assert isinstance(match, tree.Match)
    assert isinstance(projection, tree.Projection)
    assert match.where is None
    assert projection.having == expression("sum(o.qty) > 1")


def test_having_from_several_wheres() -> None:
    text = "MATCH (o:Order) WHERE o.a WHERE sum(o.qty) > 1 WITH o.shop AS shop WHERE count(*) > 2 RETURN shop"
    match, first, second = clauses(text)
    assert isinstance(match, tree.Match)
    assert isinstance(first, tree.Projection)
    assert isinstance(second, tree.Projection)
    assert match.where == expression("o.a")
    assert (first.having, first.where) == (expression("sum(o.qty) > 1"), None)
    assert second.having == expression("count(*) > 2")


def test_having_sees_only_keys_beside_its_aggregates() -> None:
    clauses("MATCH (o:Order) WHERE count(*) > o.least RETURN o.least AS least, count(*) AS c")
    error = refused("MATCH (o:Order) WHERE count(*) > o.least RETURN o.shop AS shop, count(*) AS c")
    assert error.detail == "AmbiguousAggregationExpression"
