"""The syntax tree of a query: one frozen class per construct, the same for Cypher and GQL.

``pos`` is the offset of the construct's first character in the query text (from 0); it takes no part in comparison, so two
trees are equal when they mean the same text. Expressions, patterns and clauses hold tuples, never lists: a tree is hashable.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Literal as OneOf


@dataclass(frozen=True, slots=True)
class Tree:
    """Anything that has a place in the query text."""

    pos: int = field(default=0, compare=False, kw_only=True)


class Expression(Tree):
    """Anything that has a value."""

    __slots__ = ()


# --- literals and names -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Literal(Expression):
    """``1``, ``1.5``, ``'text'``, ``true``, ``null``."""

    value: int | float | str | bool | None

    def __eq__(self, other: object) -> bool:
        # Python's 1 == True == 1.0 must not make trees equal.
        return type(other) is Literal and type(self.value) is type(other.value) and repr(self.value) == repr(other.value)

    def __hash__(self) -> int:
        return hash((type(self.value).__name__, repr(self.value)))


@dataclass(frozen=True, slots=True)
class Parameter(Expression):
    """``$name``."""

    name: str


@dataclass(frozen=True, slots=True)
class Variable(Expression):
    name: str


@dataclass(frozen=True, slots=True)
class ListLiteral(Expression):
    items: tuple[Expression, ...]


@dataclass(frozen=True, slots=True)
class MapLiteral(Expression):
    entries: tuple[tuple[str, Expression], ...]


# --- access -----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Property(Expression):
    """``subject.key``."""

    subject: Expression
    key: str


@dataclass(frozen=True, slots=True)
class Index(Expression):
    """``subject[index]``."""

    subject: Expression
    index: Expression


@dataclass(frozen=True, slots=True)
class Slice(Expression):
    """``subject[start..stop]``; a missing bound is None (a bound written ``null`` is a Literal)."""

    subject: Expression
    start: Expression | None
    stop: Expression | None


@dataclass(frozen=True, slots=True)
class MapProjection(Expression):
    """``subject {.a, .*, b: e, c}``; an item is (key, expression), or ('*', None) for ``.*``."""

    subject: Expression
    items: tuple[tuple[str, Expression | None], ...]


# --- operators --------------------------------------------------------------------------------------------------------

BinaryOperator = OneOf["OR", "XOR", "AND", "+", "-", "*", "/", "%", "^", "IN", "STARTS WITH", "ENDS WITH", "CONTAINS", "=~"]
ComparisonOperator = OneOf["=", "<>", "<", "<=", ">", ">="]


@dataclass(frozen=True, slots=True)
class Unary(Expression):
    operator: OneOf["NOT", "+", "-"]
    operand: Expression


@dataclass(frozen=True, slots=True)
class Binary(Expression):
    operator: BinaryOperator
    left: Expression
    right: Expression


@dataclass(frozen=True, slots=True)
class Comparison(Expression):
    """``first op e op e …``; a chain ``a < b < c`` is ``a < b AND b < c`` with b evaluated once."""

    first: Expression
    rest: tuple[tuple[ComparisonOperator, Expression], ...]


@dataclass(frozen=True, slots=True)
class IsNull(Expression):
    operand: Expression
    negated: bool


@dataclass(frozen=True, slots=True)
class HasLabels(Expression):
    """``subject:Label…`` as a predicate."""

    subject: Expression
    labels: LabelExpression


@dataclass(frozen=True, slots=True)
class Case(Expression):
    """``CASE [subject] WHEN a THEN b … [ELSE default] END``."""

    subject: Expression | None
    branches: tuple[tuple[Expression, Expression], ...]
    default: Expression | None


@dataclass(frozen=True, slots=True)
class Cast(Expression):
    """``CAST(value AS type)``; the function form ``cast(v, 'T')`` is a FunctionCall."""

    operand: Expression
    type: str


# --- functions and loops ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class FunctionCall(Expression):
    """A function or an aggregate. ``name`` is canonical (``toUpper``, ``drasi.trueFor``, see functions.py), ``written`` as in
    the text. ``star`` only for ``count(*)``."""

    name: str
    arguments: tuple[Expression, ...]
    distinct: bool = False
    star: bool = False
    written: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class ListComprehension(Expression):
    """``[variable IN items WHERE where | projection]``."""

    variable: str
    items: Expression
    where: Expression | None
    projection: Expression | None


@dataclass(frozen=True, slots=True)
class Quantifier(Expression):
    kind: OneOf["all", "any", "none", "single"]
    variable: str
    items: Expression
    where: Expression


@dataclass(frozen=True, slots=True)
class Reduce(Expression):
    """``reduce(accumulator = initial, variable IN items [WHERE where] | projection)``."""

    accumulator: str
    initial: Expression
    variable: str
    items: Expression
    where: Expression | None
    projection: Expression


# --- labels and patterns ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Label(Tree):
    name: str


@dataclass(frozen=True, slots=True)
class AnyLabel(Tree):
    """``%``: at least one label."""


@dataclass(frozen=True, slots=True)
class NotLabel(Tree):
    operand: LabelExpression


@dataclass(frozen=True, slots=True)
class LabelAnd(Tree):
    operands: tuple[LabelExpression, ...]


@dataclass(frozen=True, slots=True)
class LabelOr(Tree):
    operands: tuple[LabelExpression, ...]


LabelExpression = Label | AnyLabel | NotLabel | LabelAnd | LabelOr


@dataclass(frozen=True, slots=True)
class NodePattern(Tree):
    """``(variable:labels {properties} WHERE where)``. ``properties`` is a MapLiteral or a Parameter."""

    variable: str | None
    labels: LabelExpression | None
    properties: Expression | None
    where: Expression | None


@dataclass(frozen=True, slots=True)
class Length(Tree):
    """``*minimum..maximum``; ``maximum`` None: no bound."""

    minimum: int
    maximum: int | None


@dataclass(frozen=True, slots=True)
class RelationPattern(Tree):
    """``-[variable:TYPE|TYPE *length {properties} WHERE where]->``. ``types`` empty: any type.

    ``direction`` is read from left to right: ``out`` ``-->``, ``in`` ``<--``, ``both`` ``--`` and ``<-->``."""

    variable: str | None
    types: tuple[str, ...]
    direction: OneOf["out", "in", "both"]
    length: Length | None
    properties: Expression | None
    where: Expression | None


@dataclass(frozen=True, slots=True)
class PathPattern(Tree):
    """``variable = (…)-[…]-(…)…``: ``nodes`` has one item more than ``relations``."""

    variable: str | None
    nodes: tuple[NodePattern, ...]
    relations: tuple[RelationPattern, ...]
    shortest: OneOf["one", "all"] | None = None

    @property
    def elements(self) -> tuple[NodePattern | RelationPattern, ...]:
        """The nodes, then the relations."""
        return (*self.nodes, *self.relations)


@dataclass(frozen=True, slots=True)
class PatternPredicate(Expression):
    """``(a)-[:T]->(b)`` where a boolean is wanted, also as ``exists((a)-->(b))``."""

    pattern: PathPattern


@dataclass(frozen=True, slots=True)
class PatternComprehension(Expression):
    pattern: PathPattern
    where: Expression | None
    projection: Expression


@dataclass(frozen=True, slots=True)
class Subquery(Expression):
    """``EXISTS { … }``, ``COUNT { … }``, ``COLLECT { … }``; a bare pattern is a query of one MATCH without RETURN."""

    kind: OneOf["exists", "count", "collect"]
    query: Query


# --- clauses ----------------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Match(Tree):
    patterns: tuple[PathPattern, ...]
    where: Expression | None
    optional: bool = False


@dataclass(frozen=True, slots=True)
class Unwind(Tree):
    items: Expression
    variable: str


@dataclass(frozen=True, slots=True)
class Item(Tree):
    """One column of WITH or RETURN. ``name`` is the column's name: the alias, the variable, or made from the text
    (resources.md ``columnNames``). ``text`` is the expression as written."""

    expression: Expression
    name: str
    aliased: bool = True
    text: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class SortKey(Tree):
    expression: Expression
    descending: bool


@dataclass(frozen=True, slots=True)
class Projection(Tree):
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


@dataclass(frozen=True, slots=True)
class Filter(Tree):
    """A WHERE of its own: the second and later ones in a row, GQL's FILTER."""

    where: Expression


@dataclass(frozen=True, slots=True)
class CallProcedure(Tree):
    """``arguments`` None: the standalone form without parentheses. ``yields`` None: no YIELD (or ``YIELD *``)."""

    name: str
    arguments: tuple[Expression, ...] | None
    yields: tuple[tuple[str, str], ...] | None
    where: Expression | None


@dataclass(frozen=True, slots=True)
class CallSubquery(Tree):
    """``CALL (imports) { query }``; ``imports`` None: by a leading WITH in ``query``; ``('*',)``: everything."""

    query: Query
    imports: tuple[str, ...] | None
    optional: bool = False


Clause = Match | Unwind | Projection | Filter | CallProcedure | CallSubquery


@dataclass(frozen=True, slots=True)
class SingleQuery(Tree):
    clauses: tuple[Clause, ...]


@dataclass(frozen=True, slots=True)
class Query(Tree):
    """``parts`` joined by UNION (``all`` False) or UNION ALL; one part: no union."""

    parts: tuple[SingleQuery, ...]
    all: bool = False
