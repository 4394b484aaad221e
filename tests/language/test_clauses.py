"""Clauses, scopes and the errors of whole queries (language.md sections 2 and 10)."""

from __future__ import annotations

import pytest

from drasi.language import tree
from tests.language.asking import checked, clauses, refused


@pytest.mark.parametrize(
    ("text", "detail"),
    [
        ("", "UnexpectedSyntax"),
        ("MATCH (n)", "UnexpectedSyntax"),
        ("RETURN", "UnexpectedSyntax"),
        ("RETURN 1; RETURN 2", "UnexpectedSyntax"),
        ("RETURN 1 RETURN 2", "UnexpectedSyntax"),
        ("WHERE true RETURN 1", "UnexpectedSyntax"),
        ("UNWIND [1] x RETURN x", "UnexpectedSyntax"),
        ("MATCH (n) RETURN m", "UndefinedVariable"),
        ("MATCH (n) WITH n.x AS x RETURN n", "UndefinedVariable"),
        ("MATCH () RETURN *", "NoVariablesInScope"),
        ("MATCH (n) WITH n.x RETURN 1", "NoExpressionAlias"),
        ("RETURN 1 AS a, 2 AS a", "ColumnNameConflict"),
        ("MATCH (a) WITH *, 1 AS a RETURN a", "ColumnNameConflict"),
        ("UNWIND [1] AS x UNWIND [2] AS x RETURN x", "VariableAlreadyBound"),
        ("UNWIND 1 AS x RETURN x", "InvalidArgumentType"),
        ("UNWIND [count(*)] AS x RETURN x", "InvalidAggregation"),
        ("RETURN 1 AS a UNION RETURN 2 AS b", "DifferentColumnsInUnion"),
        ("RETURN 1 AS a, 2 AS b UNION RETURN 1 AS b, 2 AS a", "DifferentColumnsInUnion"),
        ("RETURN 1 AS a UNION RETURN 2 AS a UNION ALL RETURN 3 AS a", "InvalidClauseComposition"),
        ("MATCH (n) RETURN n LIMIT n.x", "NonConstantExpression"),
        ("MATCH (n) RETURN n SKIP count(*)", "InvalidAggregation"),
        ("MATCH (n) RETURN n LIMIT -1", "NegativeIntegerArgument"),
        ("MATCH (n) RETURN n LIMIT 1.5", "InvalidArgumentType"),
        ("MATCH (n) RETURN n LIMIT 'x'", "InvalidArgumentType"),
        ("MATCH (n) RETURN DISTINCT n.x ORDER BY n.y", "UndefinedVariable"),
        ("RETURN foo(1)", "UnknownFunction"),
        ("RETURN size()", "InvalidNumberOfArguments"),
        ("RETURN substring('a', 1, 2, 3)", "InvalidNumberOfArguments"),
        ("RETURN size(DISTINCT [1])", "UnexpectedSyntax"),
        ("RETURN sum(*)", "UnexpectedSyntax"),
        ("RETURN size(1)", "InvalidArgumentType"),
        ("MATCH (n) RETURN type(n)", "InvalidArgumentType"),
        ("MATCH ()-[r]->() RETURN labels(r)", "InvalidArgumentType"),
        ("MATCH (n) WHERE n RETURN n", "InvalidArgumentType"),
        ("MATCH (n) WHERE 1 RETURN n", "InvalidArgumentType"),
        ("RETURN CASE WHEN 1 THEN 2 END", "InvalidArgumentType"),
        ("RETURN 1 AND true", "InvalidArgumentType"),
        ("RETURN 1 + true", "InvalidArgumentType"),
        ("RETURN 'a' - 'b'", "InvalidArgumentType"),
        ("RETURN -'a'", "InvalidArgumentType"),
        ("RETURN [x IN ['a'] WHERE x % 2 = 0]", "InvalidArgumentType"),
        ("RETURN [x IN 1 | x]", "InvalidArgumentType"),
        ("WITH 1 AS x RETURN x.y", "InvalidArgumentType"),
        ("WITH [1] AS x RETURN x['a']", "InvalidArgumentType"),
        ("WITH 1 AS x RETURN x {.y}", "InvalidArgumentType"),
        ("RETURN exists(1)", "InvalidArgumentType"),
        ("RETURN CAST(1 AS DATE)", "InvalidArgumentValue"),
        ("RETURN cast(1, 'DATE')", "InvalidArgumentValue"),
        ("MATCH (n) RETURN (n)-->()", "UnexpectedSyntax"),
        ("MATCH (n) RETURN size((n)-->())", "UnexpectedSyntax"),
        ("MATCH (n) WHERE (n)-->(m) RETURN n", "UndefinedVariable"),
        ("MATCH (n) RETURN COLLECT { MATCH (n)-->(m) RETURN m, n }", "UnexpectedSyntax"),
        ("CALL my.proc()", "ProcedureNotFound"),
        ("RETURN [x IN [1] | drasi.previousValue(x)]", "InvalidAggregation"),
        ("MATCH (n) WHERE EXISTS { MATCH (n)-->(m) WHERE drasi.trueFor(m.x, 1) } RETURN n", "InvalidAggregation"),
        ("MATCH (n:A) CALL { RETURN n AS m } RETURN m", "UndefinedVariable"),
        ("MATCH (n:A) CALL (n) { RETURN n.x AS n } RETURN n", "VariableAlreadyBound"),
    ],
)
def test_refused(text: str, detail: str) -> None:
    error = refused(text)
    assert error.detail == detail
    assert error.phase == "compile time"
    assert error.line >= 1
    assert error.column >= 1
    assert "^" in error.excerpt


@pytest.mark.parametrize("word", ["CREATE (n)", "MERGE (n)", "SET n.x = 1", "DELETE n", "DETACH DELETE n", "REMOVE n.x"])
def test_writing_is_refused(word: str) -> None:
    for text in (f"MATCH (n) {word} RETURN n", f"MATCH (n) {word}"):
        error = refused(text)
        assert (error.type, error.detail, error.hint) == ("SyntaxError", "UnexpectedSyntax", "a continuous query only reads")
        assert (error.line, error.column) == (1, 11)


def test_writing_in_the_first_place() -> None:
    for text in ("CREATE (n)", "FOREACH (x IN [1] | SET x = 1)", "LOAD CSV FROM 'x' AS line RETURN line"):
        assert refused(text).hint == "a continuous query only reads"


@pytest.mark.parametrize(
    ("text", "hint"),
    [
        ("MATCH (ship:Ship) RETURN shp", "did you mean ship?"),
        ("MATCH (n:A) RETURN siz(n.l)", "did you mean size?"),
        ("MACTH (n) RETURN n", "did you mean MATCH?"),
        ("MATCH (n) RETRUN n", "did you mean RETURN?"),
        ("MATCH (n) WERE n.x RETURN n", "did you mean WHERE?"),
        ("MATCH (n:A) WITH 1 AS x RETURN n", "n is not carried to this place: a WITH keeps only what it names"),
        ("MATCH (n:A) RETURN filter(x IN n.l WHERE x > 1)", "write [x IN list WHERE condition]"),
        ("MATCH (n:A) WITH n.x + 1 RETURN 1", "n.x + 1 AS name"),
        ("RETURN datetime() - datetime()", "the time between two instants is duration.between(earlier, later)"),
    ],
)
def test_hints(text: str, hint: str) -> None:
    assert refused(text).hint == hint


def test_an_error_shows_its_place() -> None:
    error = refused("MATCH (n:A)\n\tWHERE n.x = 1 ANDD n.y\nRETURN n")
    assert (error.line, error.column) == (2, 16)
    assert error.excerpt == "\tWHERE n.x = 1 ANDD n.y\n\t" + " " * 14 + "^"
    assert str(error).startswith("SyntaxError: UnexpectedSyntax: ")


def test_parameters() -> None:
    assert checked("RETURN $a + $b AS x", parameters={"a": 1, "b": 2}).parameters == ("a", "b")
    assert checked("RETURN $a AS x").parameters == ("a",)
    error = refused("RETURN $limt", parameters={"limit": 1})
    assert (error.type, error.detail, error.hint) == ("ParameterMissing", "MissingParameter", "did you mean $limit?")


@pytest.mark.parametrize(
    ("value", "detail"), [(-1, "NegativeIntegerArgument"), (1.5, "InvalidArgumentType"), (True, "InvalidArgumentType")]
)
def test_the_value_of_a_limit_counts_as_run_time(value: object, detail: str) -> None:
    error = refused("MATCH (n) RETURN n LIMIT $n", parameters={"n": value})
    assert (error.type, error.detail, error.phase) == ("SyntaxError", detail, "runtime")


@pytest.mark.parametrize(
    "text",
    [
        "RETURN 1 + 1;",
        "match (n) where n.x = 1 return n.x as x",
        "MATCH (n) WITH n LIMIT 3 MATCH (n)-->(m) RETURN m",
        "UNWIND [1, 2] AS x WITH x WHERE x > 1 RETURN x",
        "MATCH (n) RETURN n.x ORDER BY n.y DESC, n.z ASCENDING SKIP 1 LIMIT 2",
        "MATCH (n) RETURN n OFFSET 2",
        "MATCH (n) CALL { WITH n MATCH (n)-->(m) RETURN m } RETURN m",
        "MATCH (n) CALL (n) { MATCH (n)-->(m) RETURN m UNION MATCH (n)<--(m) RETURN m } RETURN m",
        "MATCH (n) CALL (*) { RETURN n.x AS x } RETURN x",
        "MATCH (n) OPTIONAL CALL (n) { RETURN n.x AS x } RETURN x",
        "MATCH (n) WHERE EXISTS { (n)-->(m) WHERE m.x > n.x } RETURN n",
        "MATCH (n) WHERE exists { MATCH (n)-->(m) WITH m WHERE m.x = n.x RETURN m } RETURN n",
        "MATCH (n) WHERE COUNT { (n)-->() } > 1 RETURN COLLECT { MATCH (n)-->(m) RETURN m.x } AS xs",
        "MATCH (n) WHERE (n)-->() OR NOT (n)<--(:A) RETURN n",
        "MATCH (n) WHERE exists(n.x) AND exists((n)-->()) RETURN n",
        "MATCH (n) RETURN all(x IN n.l WHERE (n)-->({x: x})) AS a",
        "WITH 1 AS one RETURN one UNION RETURN 2 AS one",
        "MATCH (a) WITH a AS b, a.x AS a RETURN a, b",
        "RETURN 1 AS limit, 2 AS skip, 3 AS end",
        "MATCH (order:Order) RETURN order ORDER BY order",
        "RETURN null.x, null + 1, null[0], null AND true",
    ],
)
def test_accepted(text: str) -> None:
    checked(text)


def test_a_text_may_end_in_with() -> None:
    (match, projection) = clauses("MATCH (n:A) WITH n.x AS x")
    assert isinstance(match, tree.Match)
    assert isinstance(projection, tree.Projection)
    assert projection.final


def test_columns_are_in_the_order_of_the_text() -> None:
    assert checked("MATCH (b)-->(a) RETURN *, 1 AS one").columns == ("b", "a", "one")
    assert checked("MATCH (n) RETURN n.x, n.y + 1, count( * )").columns == ("n.x", "n.y + 1", "count( * )")
