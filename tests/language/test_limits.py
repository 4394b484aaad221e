"""Long and deep texts: an answer or an error, never a crash of the interpreter."""

from __future__ import annotations

import pytest

from drasi.language import tree
from drasi.language.walk import deeper_than
from tests.language.asking import checked, refused


@pytest.mark.parametrize(
    "text",
    [
        "(" * 1000 + "1" + ")" * 1000,
        "[" * 1000 + "1" + "]" * 1000,
        "{a: " * 1000 + "1" + "}" * 1000,
        "NOT " * 1000 + "true",
        "- " * 1000 + "1",
        "size(" * 1000 + "1" + ")" * 1000,
        "CASE WHEN true THEN " * 1000 + "1" + " END" * 1000,
        "a" + ".b" * 1000,
        "a" + "[0]" * 1000,
        "1" + " + 1" * 1000,
        "1" + " ^ 1" * 1000,
        "1" + " IS NULL" * 1000,
        "[x IN " * 1000 + "[]" + " | x]" * 1000,
        "EXISTS { MATCH (n) WHERE " * 200 + "true" + " }" * 200,
        "COUNT { (n WHERE " * 200 + "true" + ") }" * 200,
        "(n {k: " * 200 + "1" + "})" * 200,
        "(n {k: " * 200 + "1" + "})-->()" * 200,
        "n:" + "(" * 1000 + "A" + ")" * 1000,
        "n:" + "!" * 1000 + "A",
        "(" * 1000,
        "[" * 1000,
        "(n {k: " * 1000,
    ],
)
def test_deep_texts_are_refused(text: str) -> None:
    error = refused(f"MATCH (n) RETURN {text} AS x")
    assert error.detail == "UnexpectedSyntax"


@pytest.mark.parametrize(
    "text",
    [
        "(" * 60 + "1" + ")" * 60,
        "[" * 60 + "1" + "]" * 60,
        "1" + " + 1" * 100,
        "EXISTS { MATCH (n) WHERE " * 12 + "true" + " }" * 12,
        " AND ".join(["true"] * 10_000),
        " OR ".join(f"n.x = {number}" for number in range(10_000)),
        "[" + ", ".join(["1"] * 10_000) + "]",
        "1" + " < 1" * 10_000,
        "CASE " + "WHEN false THEN 1 " * 10_000 + "END",
    ],
)
def test_long_texts_are_read(text: str) -> None:
    found = checked(f"MATCH (n) RETURN {text} AS x")
    assert found.columns == ("x",)
    assert deeper_than(found.query, 130) is None


def test_long_chains_of_clauses_and_patterns() -> None:
    assert checked("WITH 1 AS x " * 1000 + "RETURN x").columns == ("x",)
    assert checked("RETURN 1 AS x" + " UNION RETURN 1 AS x" * 1000).columns == ("x",)
    assert checked("MATCH " + "()-->" * 1000 + "() RETURN 1 AS x").columns == ("x",)
    assert checked("MATCH (:" + "|".join(f"L{number}" for number in range(1000)) + ") RETURN 1 AS x").columns == ("x",)


def test_logic_keeps_its_order() -> None:
    """Balanced trees: read from left to right the operands are those of the text."""
    where = checked("MATCH (n) WHERE " + " AND ".join(f"n.x{number}" for number in range(100)) + " RETURN n").query
    match = where.parts[0].clauses[0]
    assert isinstance(match, tree.Match)
    keys: list[str] = []

    def read(node: tree.Expression) -> None:
        if isinstance(node, tree.Binary):
            read(node.left)
            read(node.right)
        else:
            assert isinstance(node, tree.Property)
            keys.append(node.key)

    assert match.where is not None
    read(match.where)
    assert keys == [f"x{number}" for number in range(100)]


def test_a_very_long_line_is_cut_around_the_place() -> None:
    error = refused("RETURN " + "1 + " * 40 + "+ * 2" + " + 1" * 40)
    line, caret = error.excerpt.split("\n")
    assert len(line) < 130
    assert line[len(caret) - 1] == "*"
