"""What the oracle answers, by facts of language.md written out by hand."""

from __future__ import annotations

from typing import Any

import pytest

from drasi.language import parse
from tests.oracle.answer import Answer, Choices, Oracle
from tests.oracle.graph import Element, Graph


def node(name: str, *labels: str, **properties: Any) -> Element:
    return Element("s", name, labels, properties)


def relation(name: str, start: str, end: str, kind: str = "R", **properties: Any) -> Element:
    return Element("s", name, (kind,), properties, ("s", start), ("s", end))


def graph(*elements: Element) -> Graph:
    result = Graph()
    for element in elements:
        result.insert(element)
    return result


def answer(text: str, *elements: Element) -> Answer:
    return Oracle(parse(text)).answer(graph(*elements))


def rows(text: str, *elements: Element) -> list[list[Any]]:
    return [list(row.values()) for _, row in answer(text, *elements).rows]


TRIANGLE = (node("a"), node("b"), node("c"), relation("x", "a", "b"), relation("y", "b", "c"), relation("z", "c", "a"))
LOOP = (node("a"), relation("l", "a", "a"))


@pytest.mark.parametrize(
    ("pattern", "elements", "number"),
    [
        ("(a)-->(b)", TRIANGLE, 3),
        ("(a)--(b)", TRIANGLE, 6),
        ("(a)-->(b)-->(c)-->(a)", TRIANGLE, 3),
        ("(a)--(b)--(a)", TRIANGLE, 0),
        ("(a)-->(b), (c)-->(d)", TRIANGLE, 6),
        ("(a)-->(a)", TRIANGLE, 0),
        ("(a)--(b)", LOOP, 1),
        ("(a)-->(a)", LOOP, 1),
        ("(a)-->(b)-->(c)", LOOP, 0),
        ("(a), (b)", LOOP, 1),
        ("(a)-[:S]->(b)", TRIANGLE, 0),
        ("(a)-->(b)", (node("a"), relation("x", "a", "gone")), 0),
        ("(a)-->(b)", (node("a"), relation("x", "a", "y"), relation("y", "a", "a")), 1),
    ],
)
def test_matches(pattern: str, elements: tuple[Element, ...], number: int) -> None:
    found = answer(f"MATCH {pattern} RETURN 1 AS one", *elements)
    assert len(found.rows) == number
    assert len({identity for identity, _ in found.rows}) == number


def test_a_false_conjunct_drops_the_row_whatever_another_raises() -> None:
    found = answer("MATCH (n) WHERE 1 / n.k > 0 AND n.on RETURN n.k AS k", node("a", k=0, on=False), node("b", k=0, on=True))
    assert found.rows == []
    assert [(error.elements, error.detail) for error in found.errors] == [(frozenset({("s", "b")}), "DivisionByZero")]


def test_an_error_in_an_aggregate_takes_the_group() -> None:
    found = answer("MATCH (n) RETURN n.g AS g, sum(n.k) AS k", node("a", g=1, k="x"), node("b", g=1, k=1), node("c", g=2, k=2))
    assert [list(row.values()) for _, row in found.rows] == [[2, 2]]
    assert [error.elements for error in found.errors] == [frozenset({("s", "a")})]


def test_an_aggregation_without_keys_has_a_row_over_nothing() -> None:
    text = "MATCH (n) RETURN count(*) AS n, sum(n.k) AS s, avg(n.k) AS a, min(n.k) AS m, collect(n.k) AS c"
    assert rows(text) == [[0, 0, None, None, []]]
    assert rows("MATCH (n) RETURN n.k AS k, count(*) AS n") == []


def test_sums_are_exact() -> None:
    floats = [node(str(i), k=0.1) for i in range(10)]
    assert rows("MATCH (n) RETURN sum(n.k) AS s, avg(n.k) AS a", *floats) == [[1.0, 0.1]]
    assert rows("MATCH (n) RETURN sum(n.k) AS s", node("a", k=1e300), node("b", k=1.0), node("c", k=-1e300)) == [[1.0]]


def test_a_group_shows_the_key_that_came_first_among_those_present() -> None:
    oracle, elements = Oracle(parse("MATCH (n) RETURN n.k AS k, count(*) AS c")), Graph()

    def shown() -> list[str]:
        result = [repr(row["k"]) for _, row in oracle.answer(elements).rows]
        oracle.commit()
        return result

    elements.insert(node("a", k=1.0))
    assert shown() == ["1.0"]
    elements.insert(node("b", k=1))
    assert shown() == ["1.0"]
    elements.delete("s", "a")
    assert shown() == ["1"]
    elements.insert(node("a", k=1.0))
    assert shown() == ["1"]


def test_what_comes_in_one_event_is_an_open_choice() -> None:
    oracle, elements = Oracle(parse("MATCH (n) RETURN DISTINCT n.k AS k")), graph(node("a", k=1.0), node("b", k=1))
    asked = Choices()
    first = oracle.answer(elements, asked).rows[0][1]["k"]
    second = oracle.answer(elements, Choices([1])).rows[0][1]["k"]
    assert asked.asked == [2]
    assert sorted(map(repr, (first, second))) == ["1", "1.0"]


def test_updates_keep_what_is_not_sent() -> None:
    elements = graph(node("a", "A", k=1, p=2), relation("r", "a", "a"))
    elements.update(node("a", "B", p=None))
    assert (elements.elements["s", "a"].labels, elements.elements["s", "a"].properties) == (("B",), {"k": 1})
    elements.update(node("r", "A", p=1))
    assert not elements.elements["s", "r"].is_relation
    assert elements.elements["s", "r"].properties == {"p": 1}
