"""The semantic check: a tree to a checked, normalised tree."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from drasi.language import tree
from drasi.language.checked import Checked
from drasi.language.facts import unlabelled
from drasi.language.not_yet import not_yet
from drasi.language.procedures import Signature
from drasi.language.query_check import QueryChecker


def check(
    query: tree.Query,
    *,
    text: str,
    parameters: Mapping[str, Any] | None = None,
    language: str = "cypher",
    procedures: Mapping[str, Signature] | None = None,
) -> Checked:
    """Checks a parsed query and brings it to its normal form.

    Args:
        query: What ``parse`` made of ``text``.
        text: The query's text, for places and excerpts.
        parameters: The parameters' values; None: not known yet, their absence is no error.
        language: ``cypher`` or ``gql``, as it was parsed.
        procedures: What CALL may name.

    Raises:
        QueryError: With the TCK's type and detail, the place, and a hint (language.md section 10).
    """
    checker = QueryChecker(text, parameters, language.lower(), procedures or {})
    normal, columns = checker.check(query)
    warnings = sorted(
        {*checker.warnings, *unlabelled(normal, text)}, key=lambda warning: (warning.line, warning.column, warning.code)
    )
    return Checked(normal, columns, tuple(sorted(checker.used_parameters)), tuple(warnings), not_yet(normal, text), text)
