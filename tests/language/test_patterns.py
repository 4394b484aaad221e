"""Patterns (language.md section 3.1)."""

from __future__ import annotations

import pytest

from drasi.language import tree
from tests.language.asking import checked, pattern, refused

A, B, C = tree.Label("A"), tree.Label("B"), tree.Label("C")


@pytest.mark.parametrize(
    ("text", "labels"),
    [
        ("(n)", None),
        ("(n:A)", A),
        ("(:A:B)", tree.LabelAnd((A, B))),
        ("(:A&B)", tree.LabelAnd((A, B))),
        ("(:A|B)", tree.LabelOr((A, B))),
        ("(:A&B|C)", tree.LabelOr((tree.LabelAnd((A, B)), C))),
        ("(:A&(B|C))", tree.LabelAnd((A, tree.LabelOr((B, C))))),
        ("(:!A)", tree.NotLabel(A)),
        ("(:%)", tree.AnyLabel()),
        ("(n :match)", tree.Label("match")),
    ],
)
def test_labels(text: str, labels: tree.LabelExpression | None) -> None:
    assert pattern(text).nodes[0].labels == labels


@pytest.mark.parametrize(
    ("arrow", "direction", "types"),
    [
        ("-->", "out", ()),
        ("<--", "in", ()),
        ("--", "both", ()),
        ("->", "out", ()),
        ("<-", "in", ()),
        ("<-->", "both", ()),
        ("-[r]->", "out", ()),
        ("<-[r:T]-", "in", ("T",)),
        ("<-[:T]->", "both", ("T",)),
        ("-[:T|U]-", "both", ("T", "U")),
        ("-[:T|:U|T]-", "both", ("T", "U")),
        ("- [ : T ] - >", "out", ("T",)),
    ],
)
def test_relations(arrow: str, direction: str, types: tuple[str, ...]) -> None:
    (relation,) = pattern(f"(a){arrow}(b)").relations
    assert (relation.direction, relation.types) == (direction, types)


@pytest.mark.parametrize(
    ("written", "minimum", "maximum"),
    [
        ("-[*]-", 1, None),
        ("-[r:T*2]-", 2, 2),
        ("-[*1..3]-", 1, 3),
        ("-[*..3]-", 1, 3),
        ("-[*2..]-", 2, None),
        ("-[*0..]-", 0, None),
        ("-[:T]-{1,3}", 1, 3),
        ("-[:T]->{2}", 2, 2),
        ("-->+", 1, None),
        ("-->*", 0, None),
        ("-->{,4}", 0, 4),
    ],
)
def test_lengths(written: str, minimum: int, maximum: int | None) -> None:
    (relation,) = pattern(f"(a){written}(b)").relations
    assert relation.length == tree.Length(minimum, maximum)


def test_inline_properties_and_conditions() -> None:
    found = pattern("(n:A {k: 1} WHERE n.x > 2)-[r:T {y: 3} WHERE r.z]->(WHERE true)")
    assert found.nodes[0].properties == tree.MapLiteral((("k", tree.Literal(1)),))
    assert found.nodes[0].where is not None
    assert found.relations[0].where == tree.Property(tree.Variable("r"), "z")
    assert found.nodes[1] == tree.NodePattern(None, None, None, tree.Literal(True))


def test_named_and_shortest_paths() -> None:
    assert pattern("p = (a)-->(b)").variable == "p"
    found = pattern("p = shortestPath((a)-[*]-(b))")
    assert (found.variable, found.shortest, len(found.relations)) == ("p", "one", 1)
    assert pattern("allShortestPaths((a)-[*]-(b))").shortest == "all"
    assert refused("MATCH shortestPath((a)-->(b)-->(c)) RETURN a").detail == "UnexpectedSyntax"


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("MATCH (a)-[:T..]->(b) RETURN a", "InvalidRelationshipPattern"),
        ("MATCH (a)-[:T*-2]->(b) RETURN a", "InvalidRelationshipPattern"),
        ("MATCH (a)-[:T:U]->(b) RETURN a", "InvalidRelationshipPattern"),
        ("MATCH (a)-[*1..$n]->(b) RETURN a", "InvalidParameterUse"),
        ("MATCH (a $p) RETURN a", "InvalidParameterUse"),
        ("MATCH (a)-[r $p]->(b) RETURN a", "InvalidParameterUse"),
        ("MATCH (a)-[r]->()-[r]->(b) RETURN a", "RelationshipUniquenessViolation"),
        ("MATCH (a)-[r]->(), ()-[r]->(b) RETURN a", "RelationshipUniquenessViolation"),
        ("MATCH (a)-[a]->() RETURN a", "VariableTypeConflict"),
        ("MATCH ()-[r]->() MATCH (r) RETURN r", "VariableTypeConflict"),
        ("MATCH ()-[r]->() MATCH ()-[r*]->() RETURN r", "VariableTypeConflict"),
        ("MATCH p = (a), (p) RETURN a", "VariableTypeConflict"),
        ("MATCH p = (p)--() RETURN p", "VariableAlreadyBound"),
        ("WITH 1 AS p MATCH p = (a) RETURN p", "VariableAlreadyBound"),
        ("MATCH (a WHERE b.x), (b) RETURN a", "UndefinedVariable"),
        ("MATCH (a {k: count(*)}) RETURN a", "InvalidAggregation"),
        ("MATCH (a)-(b) RETURN a", "UnexpectedSyntax"),
        ("MATCH (a)-[r->(b) RETURN a", "UnexpectedSyntax"),
        ("MATCH (a:) RETURN a", "UnexpectedSyntax"),
        ("MATCH a RETURN a", "UnexpectedSyntax"),
    ],
)
def test_what_is_no_pattern(text: str, detail: str) -> None:
    assert refused(text).detail == detail


@pytest.mark.parametrize(
    "text",
    [
        "MATCH (a)-[r]->(b) MATCH (b)<-[r]-(a) RETURN r",
        "MATCH (a)-->(b)-->(a) RETURN a",
        "MATCH (a)-->(a) RETURN a",
        "MATCH (a) MATCH (b WHERE a.x = b.x) RETURN b",
        "MATCH (a), (b {x: a.x}) RETURN b",
        "MATCH ()-[r:T*1..2 WHERE r.x > 0]->() RETURN r",
        "WITH null AS a MATCH (a) RETURN a",
        "MATCH (a) WITH coalesce(a, null) AS b MATCH (b) RETURN b",
        "MATCH ()-[r]->() WITH [r] AS rs MATCH ()-[rs*]->() RETURN rs",
    ],
)
def test_variables_that_are_bound_again(text: str) -> None:
    checked(text)


def test_functions_that_remember_see_only_their_element() -> None:
    checked("MATCH (d:Door WHERE drasi.trueFor(d.open, 1)) RETURN d")
    error = refused("MATCH (a:A) MATCH (d:Door WHERE drasi.trueFor(a.open, 1)) RETURN d")
    assert error.detail == "UndefinedVariable"
