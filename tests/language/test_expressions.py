"""Precedence and forms of expressions (language.md section 7)."""

from __future__ import annotations

import pytest

from drasi.language import tree
from tests.language.asking import expression, refused


@pytest.mark.parametrize(
    ("text", "same"),
    [
        ("1 + 2 * 3", "1 + (2 * 3)"),
        ("1 - 2 - 3", "(1 - 2) - 3"),
        ("2 ^ 3 ^ 2", "(2 ^ 3) ^ 2"),
        ("2 * 3 ^ 2", "2 * (3 ^ 2)"),
        ("-2 ^ 2", "(-2) ^ 2"),
        ("NOT true = false", "NOT (true = false)"),
        ("true OR false XOR true AND NOT false", "true OR (false XOR (true AND (NOT false)))"),
        ("1 + 2 IN [3]", "(1 + 2) IN [3]"),
        ("1 IN [1] = true", "(1 IN [1]) = true"),
        ("'a' + 'b' STARTS WITH 'a'", "('a' + 'b') STARTS WITH 'a'"),
        ("null IS NULL = true", "(null IS NULL) = true"),
        ("- [1][0]", "-([1][0])"),
        ("{a: 1}.a + 1", "({a: 1}.a) + 1"),
        ("1 != 2", "1 <> 2"),
        ("not TRUE and False", "NOT true AND false"),
        ("COALESCE (1, 2)", "coalesce(1, 2)"),
        ("Drasi.TRUEFOR(true, 1)", "drasi.trueFor(true, 1)"),
        ("size(x IN [1] WHERE x > 0)", "size([x IN [1] WHERE x > 0])"),
        ("head(x IN [1] WHERE x > 0 | x + 1)", "head([x IN [1] WHERE x > 0 | x + 1])"),
        ("rels(null)", "relationships(null)"),
        ("drasi.retainHistory(sum(1))", "retainHistory(sum(1))"),
    ],
)
def test_the_same_tree(text: str, same: str) -> None:
    assert expression(text) == expression(same)


@pytest.mark.parametrize(
    ("text", "other"),
    [("1", "1.0"), ("1", "true"), ("0.0", "-0.0"), ("'1'", "1"), ("[1]", "[1.0]"), ("true AND false", "true OR false")],
)
def test_not_the_same_tree(text: str, other: str) -> None:
    assert expression(text) != expression(other)


def test_a_comparison_chain_is_one_construct() -> None:
    one, two, three = tree.Literal(1), tree.Literal(2), tree.Literal(3)
    assert expression("1 < 2 <= 3") == tree.Comparison(one, (("<", two), ("<=", three)))


def test_the_least_integer() -> None:
    assert expression("-9223372036854775808") == tree.Literal(-(2**63))
    assert expression("- 0x8000000000000000") == tree.Literal(-(2**63))


@pytest.mark.parametrize("text", ["9223372036854775808", "-9223372036854775809", "0x8000000000000000", "9" * 10_000])
def test_integers_beyond_64_bits(text: str) -> None:
    assert refused(f"RETURN {text}").detail == "IntegerOverflow"


def test_minus_and_a_number_are_one_literal() -> None:
    assert expression("-1.5") == tree.Literal(-1.5)
    assert expression("+1") == tree.Literal(1)
    assert expression("1-1") == tree.Binary("-", tree.Literal(1), tree.Literal(1))


def test_slices() -> None:
    x = tree.ListLiteral((tree.Literal(1),))
    assert expression("[1][..]") == tree.Slice(x, None, None)
    assert expression("[1][1..null]") == tree.Slice(x, tree.Literal(1), tree.Literal(None))
    assert expression("[1][-1]") == tree.Index(x, tree.Literal(-1))


def test_list_or_comprehension() -> None:
    one = tree.ListLiteral((tree.Literal(1),))
    assert expression("[x IN [1]]") == tree.ListComprehension("x", one, None, None)
    assert isinstance(expression("[(1 IN [1])]"), tree.ListLiteral)
    assert isinstance(expression("[1 IN [1], true]"), tree.ListLiteral)
    assert isinstance(expression("[]"), tree.ListLiteral)


def test_a_bar_ends_the_condition_of_a_comprehension() -> None:
    found = expression("[x IN [] WHERE x:A | x.n]")
    assert isinstance(found, tree.ListComprehension)
    assert found.where == tree.HasLabels(tree.Variable("x"), tree.Label("A"))
    assert found.projection == tree.Property(tree.Variable("x"), "n")
    grouped = expression("[x IN [] WHERE (x:A|B) | x]")
    assert isinstance(grouped, tree.ListComprehension)
    assert grouped.where == tree.HasLabels(tree.Variable("x"), tree.LabelOr((tree.Label("A"), tree.Label("B"))))


def test_map_projection() -> None:
    n = tree.Variable("n")
    items = (("a", tree.Property(n, "a")), ("*", None), ("b", tree.Literal(1)), ("c", tree.Variable("c")))
    assert expression("n {.a, .*, b: 1, c}") == tree.MapProjection(n, items)


def test_count_is_a_variable_or_a_subquery() -> None:
    assert isinstance(expression("count {.a}"), tree.MapProjection)
    assert isinstance(expression("count {a: 1}"), tree.MapProjection)
    assert isinstance(expression("COUNT { (a) }"), tree.Subquery)
    assert isinstance(expression("COUNT { MATCH (a) RETURN a }"), tree.Subquery)
    assert isinstance(expression("COUNT { p = (a) }"), tree.Subquery)


def test_parentheses_or_pattern() -> None:
    assert isinstance(expression("(a)-->(b)"), tree.PatternPredicate)
    assert isinstance(expression("(a)--(b)"), tree.PatternPredicate)
    assert isinstance(expression("(a:A {k: 1})<-[:T]-()"), tree.PatternPredicate)
    assert isinstance(expression("(a)-(b)"), tree.Binary)
    assert isinstance(expression("(a)<-(b)"), tree.Comparison)
    assert isinstance(expression("(a) - -1"), tree.Binary)
    assert isinstance(expression("(a.x)-[1][0]"), tree.Binary)


def test_pattern_comprehension() -> None:
    found = expression("[p = (a)-->(b) WHERE b.x | p]")
    assert isinstance(found, tree.PatternComprehension)
    assert found.pattern.variable == "p"
    assert isinstance(expression("[(a)-->(b) | b]"), tree.PatternComprehension)
    assert isinstance(expression("[a = (b)]"), tree.ListLiteral)


def test_case() -> None:
    one, two = tree.Literal(1), tree.Literal(2)
    assert expression("CASE 1 WHEN 1 THEN 2 END") == tree.Case(one, ((one, two),), None)
    assert expression("CASE WHEN true THEN 1 ELSE 2 END") == tree.Case(None, ((tree.Literal(True), one),), two)


def test_cast_has_two_forms() -> None:
    assert expression("CAST('1' AS integer)") == tree.Cast(tree.Literal("1"), "INTEGER")
    assert expression("cast('1', 'FLOAT')") == tree.FunctionCall("cast", (tree.Literal("1"), tree.Literal("FLOAT")))


def test_reduce_and_quantifier() -> None:
    x = tree.Variable("x")
    ones = tree.ListLiteral((tree.Literal(1),))
    test = tree.Comparison(x, ((">", tree.Literal(0)),))
    assert expression("all(x IN [1] WHERE x > 0)") == tree.Quantifier("all", "x", ones, test)
    added = tree.Binary("+", tree.Variable("a"), x)
    assert expression("reduce(a = 0, x IN [1] | a + x)") == tree.Reduce("a", tree.Literal(0), "x", ones, None, added)
    assert expression("reduce(a = 0, x IN [1] WHERE x > 0 | a + x)") == tree.Reduce("a", tree.Literal(0), "x", ones, test, added)


def test_words_of_the_language_as_names() -> None:
    assert expression("{null: 1, `a b`: 2, match: 3}") == tree.MapLiteral(
        (("null", tree.Literal(1)), ("a b", tree.Literal(2)), ("match", tree.Literal(3)))
    )
    assert expression("n.return.`where`") == tree.Property(tree.Property(tree.Variable("n"), "return"), "where")
    assert expression("count + min") == tree.Binary("+", tree.Variable("count"), tree.Variable("min"))
    assert expression("`null`") == tree.Variable("null")


@pytest.mark.parametrize(
    "text",
    [
        "1 +",
        "[1, ]",
        "[1 2]",
        "{a 1}",
        "{1: 2}",
        "(1",
        "f(1",
        "CASE END",
        "CASE WHEN true END",
        "a.",
        "x IN",
        "1 = NOT true",
        "=",
        "[, ]",
    ],
)
def test_what_is_no_expression(text: str) -> None:
    error = refused(f"RETURN {text}")
    assert (error.type, error.detail, error.phase) == ("SyntaxError", "UnexpectedSyntax", "compile time")
    assert error.line == 1


def test_regular_expressions_are_read_when_the_query_is_created() -> None:
    error = refused("MATCH (n:A) WHERE n.x =~ '(a' RETURN n")
    assert (error.type, error.detail) == ("TypeError", "InvalidArgumentValue")
