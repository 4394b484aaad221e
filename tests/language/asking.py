"""What the tests of the language ask of it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from drasi.errors import QueryError
from drasi.language import Checked, check, parse, tree


def checked(
    text: str, *, language: str = "cypher", parameters: Mapping[str, Any] | None = None, column_names: str = "text"
) -> Checked:
    return check(parse(text, language, column_names), text=text, parameters=parameters, language=language)


def refused(text: str, *, language: str = "cypher", parameters: Mapping[str, Any] | None = None) -> QueryError:
    """The error that a text gives."""
    with pytest.raises(QueryError) as caught:
        checked(text, language=language, parameters=parameters)
    return caught.value


def expression(text: str) -> tree.Expression:
    """The tree of an expression."""
    (single,) = parse(f"RETURN {text} AS x").parts
    (projection,) = single.clauses
    assert isinstance(projection, tree.Projection)
    return projection.items[0].expression


def clauses(text: str, language: str = "cypher") -> tuple[tree.Clause, ...]:
    """The clauses of a text's normal form."""
    (single,) = checked(text, language=language).query.parts
    return single.clauses


def pattern(text: str) -> tree.PathPattern:
    """The tree of a pattern."""
    (single,) = parse(f"MATCH {text} RETURN 1 AS x").parts
    match = single.clauses[0]
    assert isinstance(match, tree.Match)
    return match.patterns[0]
