"""Query text to tree."""

from __future__ import annotations

from typing import Literal as OneOf

from drasi.language import tree
from drasi.language.clauses import ClauseParser
from drasi.language.gql import GqlParser
from drasi.language.place import error_at
from drasi.language.walk import deeper_than

Language = OneOf["cypher", "gql"]
ColumnNames = OneOf["text", "short"]

# Chains of operators make trees deep without nesting; what lies between the query and its expressions counts too.
_DEEPEST_TREE = 110


def parse(text: str, language: str = "cypher", column_names: str = "text") -> tree.Query:
    """Parses a query.

    Args:
        text: The query.
        language: ``cypher`` or ``gql``, in any case.
        column_names: How columns without alias are named: ``text`` as openCypher, ``short`` as Drasi (resources.md section 5).

    Raises:
        QueryError: ``SyntaxError`` with its place; only what the text's form alone can tell. ``check`` finds the rest.
        ValueError: An unknown language or naming.
    """
    dialect = language.lower()
    if dialect not in ("cypher", "gql"):
        raise ValueError(f"language is 'cypher' or 'gql', not {language!r}")
    if column_names not in ("text", "short"):
        raise ValueError(f"column_names is 'text' or 'short', not {column_names!r}")
    parser_class = GqlParser if dialect == "gql" else ClauseParser
    parser = parser_class(text, dialect, column_names)
    query = parser.query()
    parser.accept(";")
    if parser.token.kind != "end":
        raise parser.unexpected("the end of the query expected")
    if too_deep := deeper_than(query, _DEEPEST_TREE):
        hint = "give parts of it names with WITH … AS name"
        message = f"this expression has more than {_DEEPEST_TREE} levels"
        raise error_at(text, too_deep.pos, "UnexpectedSyntax", message, hint=hint)
    return query
