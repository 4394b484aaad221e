"""What the check of a query gives."""

from __future__ import annotations

import msgspec

from drasi.language import tree


class QueryWarning(msgspec.Struct, frozen=True):
    """Something that works but may surprise (resources.md section 9.2).

    Attributes:
        code: ``IntegerDivision``, ``Unlabelled``, ``DurationComponent``.
    """

    code: str
    message: str
    line: int
    column: int


class NotYet(msgspec.Struct, frozen=True):
    """A construct that this version's engine does not build: ``OPTIONAL MATCH at line 2, column 1``."""

    construct: str
    line: int
    column: int
    excerpt: str

    def __str__(self) -> str:
        return f"{self.construct} at line {self.line}, column {self.column}"


class Checked(msgspec.Struct, frozen=True):
    """A query that is right as a text.

    Attributes:
        query: The normalised tree: every ``*`` is written out, every column has its name, the part of a WHERE that aggregates
            is the ``having`` of the next projection, GQL's GROUP BY is gone where it says what Cypher would do anyway.
        columns: The names of the result's columns, in order.
        parameters: The names of the parameters used, sorted.
        warnings: In the order of the text.
        not_yet: In the order of the text; empty: the engine can build the query.
        text: The text it was made from.
    """

    query: tree.Query
    columns: tuple[str, ...]
    parameters: tuple[str, ...]
    warnings: tuple[QueryWarning, ...]
    not_yet: tuple[NotYet, ...]
    text: str
