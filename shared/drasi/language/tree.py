"""The syntax tree of a query: one frozen class per construct, the same for Cypher and GQL.

``pos`` is the offset of the construct's first character in the query text (from 0); it takes no part in comparison, so two
trees are equal when they mean the same text. Expressions, patterns and clauses hold tuples, never lists: a tree is hashable.
"""

from __future__ import annotations

from typing import Literal as OneOf

import msgspec


class Tree(msgspec.Struct, frozen=True, kw_only=True):
    """Anything that has a place in the query text."""

    pos: int = 0

    # ``pos`` and texts as written say where and how something stands, not what it means.
    def __eq__(self, other: object) -> bool:
        return type(self) is type(other) and all(getattr(self, name) == getattr(other, name) for name in parts(type(self)))

    def __hash__(self) -> int:
        return hash((type(self).__name__, *[getattr(self, name) for name in parts(type(self))]))


_PARTS: dict[type[Tree], tuple[str, ...]] = {}


def parts(class_: type[Tree]) -> tuple[str, ...]:
    """The fields of a construct that make up its meaning."""
    found = _PARTS.get(class_)
    if found is None:
        found = _PARTS[class_] = tuple(name for name in class_.__struct_fields__ if name not in ("pos", "text", "written"))
    return found


class Expression(Tree, frozen=True):
    """Anything that has a value."""


# --- literals and names -----------------------------------------------------------------------------------------------


class Literal(Expression, frozen=True):
    """``1``, ``1.5``, ``'text'``, ``true``, ``null``."""

    value: int | float | str | bool | None

    def __eq__(self, other: object) -> bool:
        # Python's 1 == True == 1.0 must not make trees equal.
        return type(other) is Literal and type(self.value) is type(other.value) and repr(self.value) == repr(other.value)

    def __hash__(self) -> int:
        return hash((type(self.value).__name__, repr(self.value)))


class Parameter(Expression, frozen=True):
    """``$name``."""

    name: str


class Variable(Expression, frozen=True):
    name: str


class ListLiteral(Expression, frozen=True):
    items: tuple[Expression, ...]


class MapLiteral(Expression, frozen=True):
    entries: tuple[tuple[str, Expression], ...]


# --- access -----------------------------------------------------------------------------------------------------------


class Property(Expression, frozen=True):
    """``subject.key``."""

    subject: Expression
    key: str


class Index(Expression, frozen=True):
    """``subject[index]``."""

    subject: Expression
    index: Expression


class Slice(Expression, frozen=True):
    """``subject[start..stop]``; a missing bound is None (a bound written ``null`` is a Literal)."""

    subject: Expression
    start: Expression | None
    stop: Expression | None


class MapProjection(Expression, frozen=True):
    """``subject {.a, .*, b: e, c}``; an item is (key, expression), or ('*', None) for ``.*``."""

    subject: Expression
    items: tuple[tuple[str, Expression | None], ...]


# --- operators --------------------------------------------------------------------------------------------------------

BinaryOperator = OneOf["OR", "XOR", "AND", "+", "-", "*", "/", "%", "^", "IN", "STARTS WITH", "ENDS WITH", "CONTAINS", "=~"]
ComparisonOperator = OneOf["=", "<>", "<", "<=", ">", ">="]


class Unary(Expression, frozen=True):
    operator: OneOf["NOT", "+", "-"]
    operand: Expression


class Binary(Expression, frozen=True):
    operator: BinaryOperator
    left: Expression
    right: Expression


class Comparison(Expression, frozen=True):
    """``first op e op e …``; a chain ``a < b < c`` is ``a < b AND b < c`` with b evaluated once."""

    first: Expression
    rest: tuple[tuple[ComparisonOperator, Expression], ...]


class IsNull(Expression, frozen=True):
    operand: Expression
    negated: bool


class HasLabels(Expression, frozen=True):
    """``subject:Label…`` as a predicate."""

    subject: Expression
    labels: LabelExpression


class Case(Expression, frozen=True):
    """``CASE [subject] WHEN a THEN b … [ELSE default] END``."""

    subject: Expression | None
    branches: tuple[tuple[Expression, Expression], ...]
    default: Expression | None


class Cast(Expression, frozen=True):
    """``CAST(value AS type)``; the function form ``cast(v, 'T')`` is a FunctionCall."""

    operand: Expression
    type: str


# --- functions and loops ----------------------------------------------------------------------------------------------


class FunctionCall(Expression, frozen=True):
    """A function or an aggregate. ``name`` is canonical (``toUpper``, ``drasi.trueFor``, see functions.py), ``written`` as in
    the text. ``star`` only for ``count(*)``."""

    name: str
    arguments: tuple[Expression, ...]
    distinct: bool = False
    star: bool = False
    written: str = ""


class ListComprehension(Expression, frozen=True):
    """``[variable IN items WHERE where | projection]``."""

    variable: str
    items: Expression
    where: Expression | None
    projection: Expression | None


class Quantifier(Expression, frozen=True):
    kind: OneOf["all", "any", "none", "single"]
    variable: str
    items: Expression
    where: Expression


class Reduce(Expression, frozen=True):
    """``reduce(accumulator = initial, variable IN items [WHERE where] | projection)``."""

    accumulator: str
    initial: Expression
    variable: str
    items: Expression
    where: Expression | None
    projection: Expression


# --- labels and patterns ----------------------------------------------------------------------------------------------


class Label(Tree, frozen=True):
    name: str


class AnyLabel(Tree, frozen=True):
    """``%``: at least one label."""


class NotLabel(Tree, frozen=True):
    operand: LabelExpression


class LabelAnd(Tree, frozen=True):
    operands: tuple[LabelExpression, ...]


class LabelOr(Tree, frozen=True):
    operands: tuple[LabelExpression, ...]


LabelExpression = Label | AnyLabel | NotLabel | LabelAnd | LabelOr


class NodePattern(Tree, frozen=True):
    """``(variable:labels {properties} WHERE where)``. ``properties`` is a MapLiteral or a Parameter."""

    variable: str | None
    labels: LabelExpression | None
    properties: Expression | None
    where: Expression | None


class Length(Tree, frozen=True):
    """``*minimum..maximum``; ``maximum`` None: no bound."""

    minimum: int
    maximum: int | None


class RelationPattern(Tree, frozen=True):
    """``-[variable:TYPE|TYPE *length {properties} WHERE where]->``. ``types`` empty: any type.

    ``direction`` is read from left to right: ``out`` ``-->``, ``in`` ``<--``, ``both`` ``--`` and ``<-->``."""

    variable: str | None
    types: tuple[str, ...]
    direction: OneOf["out", "in", "both"]
    length: Length | None
    properties: Expression | None
    where: Expression | None


class PathPattern(Tree, frozen=True):
    """``variable = (…)-[…]-(…)…``: ``nodes`` has one item more than ``relations``."""

    variable: str | None
    nodes: tuple[NodePattern, ...]
    relations: tuple[RelationPattern, ...]
    shortest: OneOf["one", "all"] | None = None

    @property
    def elements(self) -> tuple[NodePattern | RelationPattern, ...]:
        """The nodes, then the relations."""
        return (*self.nodes, *self.relations)


class PatternPredicate(Expression, frozen=True):
    """``(a)-[:T]->(b)`` where a boolean is wanted, also as ``exists((a)-->(b))``."""

    pattern: PathPattern


class PatternComprehension(Expression, frozen=True):
    pattern: PathPattern
    where: Expression | None
    projection: Expression


class Subquery(Expression, frozen=True):
    """``EXISTS { … }``, ``COUNT { … }``, ``COLLECT { … }``; a bare pattern is a query of one MATCH without RETURN."""

    kind: OneOf["exists", "count", "collect"]
    query: Query


# --- clauses ----------------------------------------------------------------------------------------------------------


class Match(Tree, frozen=True):
    patterns: tuple[PathPattern, ...]
    where: Expression | None
    optional: bool = False


class Unwind(Tree, frozen=True):
    items: Expression
    variable: str


class Item(Tree, frozen=True):
    """One column of WITH or RETURN. ``name`` is the column's name: the alias, the variable, or made from the text
    (resources.md ``columnNames``). ``text`` is the expression as written."""

    expression: Expression
    name: str
    aliased: bool = True
    text: str = ""


class SortKey(Tree, frozen=True):
    expression: Expression
    descending: bool


class Projection(Tree, frozen=True):
    """WITH, or RETURN when it is the last clause of a single query.

    ``star``: ``*`` was written; the checked tree has it expanded into ``items``. ``group_by``: GQL's explicit keys (``()`` is
    the empty tuple), None in Cypher. ``where`` filters the rows that come out, with their new names; ``having`` (ours:
    aggregates in a WHERE before this projection) filters groups and sees what the items see.
    """

    items: tuple[Item, ...]
    distinct: bool = False
    star: bool = False
    group_by: tuple[Expression, ...] | None = None
    order_by: tuple[SortKey, ...] = ()
    skip: Expression | None = None
    limit: Expression | None = None
    where: Expression | None = None
    having: Expression | None = None
    final: bool = False


class Filter(Tree, frozen=True):
    """A WHERE of its own: the second and later ones in a row, GQL's FILTER."""

    where: Expression


class CallProcedure(Tree, frozen=True):
    """``arguments`` None: the standalone form without parentheses. ``yields`` None: no YIELD (or ``YIELD *``)."""

    name: str
    arguments: tuple[Expression, ...] | None
    yields: tuple[tuple[str, str], ...] | None
    where: Expression | None


class CallSubquery(Tree, frozen=True):
    """``CALL (imports) { query }``; ``imports`` None: by a leading WITH in ``query``; ``('*',)``: everything."""

    query: Query
    imports: tuple[str, ...] | None
    optional: bool = False


Clause = Match | Unwind | Projection | Filter | CallProcedure | CallSubquery


class SingleQuery(Tree, frozen=True):
    clauses: tuple[Clause, ...]


class Query(Tree, frozen=True):
    """``parts`` joined by UNION (``all`` False) or UNION ALL; one part: no union."""

    parts: tuple[SingleQuery, ...]
    all: bool = False
