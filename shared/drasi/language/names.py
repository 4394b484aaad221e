"""Names of columns without an alias (resources.md section 5, ``columnNames``)."""

from __future__ import annotations

from drasi.language import tree


def column_name(expression: tree.Expression, text: str, style: str) -> str:
    """The name of a column.

    Args:
        expression: The column's expression.
        text: The expression as written.
        style: ``text`` as openCypher: the expression as written. ``short`` as Drasi's manifests: the last property key, the
            function's name, else ``expression``, ``case``, ``list``, ``object``.
    """
    if isinstance(expression, tree.Variable):
        return expression.name
    return text if style == "text" else _short(expression)


def _short(expression: tree.Expression) -> str:
    match expression:
        case tree.Property(key=key):
            return key
        case tree.FunctionCall(name=name, written=written):
            return written or name
        case tree.Case():
            return "case"
        case tree.ListLiteral() | tree.ListComprehension() | tree.PatternComprehension():
            return "list"
        case tree.MapLiteral() | tree.MapProjection():
            return "object"
        case tree.Reduce():
            return "reduce"
        case tree.Cast():
            return "cast"
        case tree.Quantifier(kind=kind) | tree.Subquery(kind=kind):
            return kind
        case _:
            return "expression"
