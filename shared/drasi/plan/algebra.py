"""The algebra: a query as data, relational throughout.

A plan is a *match* (which elements are bound together), then *segments*. A segment turns one keyed bag of rows into another without
looking at other rows (select, filter); between two segments stands an *aggregate*, the only operator here that looks across rows
(DISTINCT is an aggregate without accumulators). Every row has an identity: in the match the elements bound, after an aggregate the
group's key. Deltas are Z-sets over (identity, row), written as (identity, before, after): an identity has multiplicity 0 or 1.

Nothing here holds state and nothing knows how it will be executed: plans can be printed, compared and fingerprinted.
"""

from __future__ import annotations

from typing import Literal

import msgspec

from drasi.language import tree


class Place(msgspec.Struct, frozen=True):
    """One element of the pattern: a node, or a relation. ``name`` is its variable, or an unwritable name for an anonymous one.

    ``labels`` (nodes; None: any node) and ``types`` (relations; empty: any) say which elements may take the place.
    """

    name: str
    kind: Literal["node", "relation"]
    labels: tree.LabelExpression | None = None
    types: tuple[str, ...] = ()
    written: bool = True


class Edge(msgspec.Struct, frozen=True):
    """Relation place ``relation`` between the node places ``left`` and ``right`` (indices into ``Match.places``)."""

    relation: int
    left: int
    right: int
    direction: Literal["out", "in", "both"]


class Condition(msgspec.Struct, frozen=True):
    """A conjunct of a WHERE or an inline property; ``places`` are the places it reads."""

    expression: tree.Expression
    places: frozenset[int]


class Match(msgspec.Struct, frozen=True):
    """Every assignment of elements to ``places`` that fits edges and conditions.

    ``distinct`` lists pairs of relation places that must be different elements (relation uniqueness within a MATCH clause).
    Identity of a row: its elements, in the order of ``places``.
    """

    places: tuple[Place, ...]
    edges: tuple[Edge, ...]
    conditions: tuple[Condition, ...]
    distinct: tuple[tuple[int, int], ...]


class Column(msgspec.Struct, frozen=True):
    name: str
    expression: tree.Expression


class Select(msgspec.Struct, frozen=True):
    """New columns from old ones, then the conjuncts of a WHERE over the new names. ``columns`` None: a filter only."""

    columns: tuple[Column, ...] | None
    conditions: tuple[tree.Expression, ...] = ()


class Accumulator(msgspec.Struct, frozen=True):
    """One aggregate call; its value has the (unwritable) column name ``name`` in the segment behind the aggregate."""

    name: str
    function: str
    argument: tree.Expression | None
    distinct: bool


class Aggregate(msgspec.Struct, frozen=True):
    """Groups of equivalent keys. Without keys there is one group, for ever.

    Identity of a row behind it: the keys' equivalence classes. A key shows the representation present longest.
    """

    keys: tuple[Column, ...]
    accumulators: tuple[Accumulator, ...]
    keyed: bool = True


class Segment(msgspec.Struct, frozen=True):
    """``selects`` in order; then either the input of ``aggregate`` or, in the last segment, the result columns."""

    selects: tuple[Select, ...]
    aggregate: Aggregate | None


class Plan(msgspec.Struct, frozen=True):
    """A whole query. ``grouping_keys``: result columns that are grouping keys when the last projection aggregates, else None."""

    match: Match
    segments: tuple[Segment, ...]
    columns: tuple[str, ...]
    grouping_keys: tuple[str, ...] | None
