"""Query text → compiled query: everything about a query that does not depend on data."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from hashlib import blake2b
from typing import Any

from drasi.errors import QueryError
from drasi.language import check, facts, parse
from drasi.language.place import excerpt, locate
from drasi.plan.algebra import Plan
from drasi.plan.build import build
from drasi.plan.ends import ends_out_of_reach
from drasi.plan.explain import explain


@dataclass(frozen=True)
class Compiled:
    """A query ready to run on any engine.

    Attributes:
        text, language, column_names, parameters: What it was made from.
        plan: The algebra.
        columns: Names of the result's columns.
        node_labels, relation_types: What the text names, for subscriptions; None: everything.
        warnings: What the checker noticed.
        fingerprint: Equal for equal plans and parameters; changes when state built by another one must be rebuilt.
    """

    text: str
    language: str
    column_names: str
    parameters: Mapping[str, Any]
    plan: Plan
    columns: tuple[str, ...]
    node_labels: frozenset[str] | None
    relation_types: frozenset[str] | None
    warnings: Sequence[Any]
    fingerprint: str
    cache: dict[str, Any] = field(default_factory=dict, compare=False, repr=False)


def compile_query(
    text: str,
    *,
    language: str = "cypher",
    parameters: Mapping[str, Any] | None = None,
    column_names: str = "text",
) -> Compiled:
    """Parses, checks and plans.

    Args:
        text: The query.
        language: ``cypher`` or ``gql``.
        parameters: Values of ``$name``.
        column_names: Of columns without alias: ``text`` as written (openCypher), ``short`` as in Drasi's manifests.

    Raises:
        QueryError: With the TCK's type and detail, line and column; type ``NotYet`` for what this version does not build.
    """
    values = dict(parameters or {})
    try:
        checked = check(parse(text, language, column_names), text=text, parameters=values, language=language)
        for missing in checked.not_yet:
            raise QueryError(
                "NotYet",
                "NotYet",
                f"{missing.construct} is not supported yet",
                line=missing.line,
                column=missing.column,
                excerpt=missing.excerpt,
            )
        plan = build(checked.query, values)
        for call in ends_out_of_reach(plan):
            line, column = locate(text, call.pos)
            message = f"{call.name}() of a relation that is not the pattern's own is not supported yet"
            hint = f"take {call.name}() of the relation where the MATCH has it, and carry the node on"
            place = excerpt(text, call.pos)
            raise QueryError("NotYet", "NotYet", message, line=line, column=column, excerpt=place, hint=hint)
        known = facts(checked)
    except RecursionError:
        raise QueryError(
            "SyntaxError", "UnexpectedSyntax", "the query is nested too deeply", hint="split it by WITH clauses"
        ) from None
    fingerprint = blake2b(
        f"{explain(plan)}{sorted(values.items(), key=lambda item: item[0])!r}".encode(), digest_size=16
    ).hexdigest()
    return Compiled(
        text,
        language,
        column_names,
        values,
        plan,
        plan.columns,
        known.node_labels,
        known.relation_types,
        checked.warnings,
        fingerprint,
    )
