"""Names of columns without alias (resources.md section 5)."""

from __future__ import annotations

import pytest

from tests.language.asking import checked


@pytest.mark.parametrize(
    ("item", "short"),
    [
        ("n", "n"),
        ("n.x", "x"),
        ("n.x.`y z`", "y z"),
        ("(n.x)", "x"),
        ("Count(*)", "Count"),
        ("drasi.listMax([1])", "drasi.listMax"),
        ("n.x + 1", "expression"),
        ("1", "expression"),
        ("$p", "expression"),
        ("CASE WHEN true THEN 1 END", "case"),
        ("[1]", "list"),
        ("[x IN [1] | x]", "list"),
        ("{a: 1}", "object"),
        ("n {.a}", "object"),
    ],
)
def test_both_styles(item: str, short: str) -> None:
    text = f"MATCH (n:A) RETURN {item}"
    assert checked(text, column_names="short").columns == (short,)
    assert checked(text, column_names="text").columns == (item,)


def test_an_alias_wins() -> None:
    assert checked("MATCH (n:A) RETURN n.x AS `x y`", column_names="short").columns == ("x y",)
