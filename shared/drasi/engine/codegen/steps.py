"""In which order the places of a pattern are bound when one of them is given: outwards over the adjacency."""

from __future__ import annotations

import msgspec

from drasi.language import tree
from drasi.plan.algebra import Edge, Match


class Expand(msgspec.Struct, frozen=True):
    """From the bound node ``origin`` over ``edge``; ``target`` is bound by it, or, if ``closes``, must be the one found."""

    edge: Edge
    origin: int
    target: int
    closes: bool


class Ends(msgspec.Struct, frozen=True):
    """The relation of ``edge`` is bound; its ends are bound by it, or must be the ones found."""

    edge: Edge
    left_bound: bool
    right_bound: bool


class Scan(msgspec.Struct, frozen=True):
    """Every element that fits: the place hangs together with none bound so far."""

    place: int


Step = Expand | Ends | Scan


def steps_from(match: Match, start: int | None) -> list[Step]:
    """Steps that bind every place; ``start`` is given (None: nothing is)."""
    bound: set[int] = set() if start is None else {start}
    open_edges = list(match.edges)
    steps: list[Step] = []
    while True:
        edge = _next_edge(open_edges, bound)
        if edge is not None:
            open_edges.remove(edge)
            left, right = edge.left in bound, edge.right in bound
            if edge.relation in bound:
                steps.append(Ends(edge, left, right or edge.left == edge.right))
            elif left:
                steps.append(Expand(edge, edge.left, edge.right, closes=right))
            else:
                steps.append(Expand(edge, edge.right, edge.left, closes=False))
            bound |= {edge.relation, edge.left, edge.right}
            continue
        place = scan_place(match, bound)
        if place is None:
            return steps
        steps.append(Scan(place))
        bound.add(place)


def scan_place(match: Match, bound: set[int]) -> int | None:
    """The place to start from among those not bound: a labelled node, else a typed relation, else any node."""
    left = [index for index in range(len(match.places)) if index not in bound]

    def cost(index: int) -> int:
        place = match.places[index]
        if place.kind == "node":
            return 0 if index_label(place.labels) is not None else 2
        return 1 if place.types else 3

    return min(left, key=lambda index: (cost(index), index)) if left else None


def index_label(labels: tree.LabelExpression | None) -> str | None:
    """A label that everything that fits must have."""
    if isinstance(labels, tree.Label):
        return labels.name
    if isinstance(labels, tree.LabelAnd):
        return next((label for label in map(index_label, labels.operands) if label is not None), None)
    return None


def _next_edge(edges: list[Edge], bound: set[int]) -> Edge | None:
    """Checks first (they only take away), then relations already bound, then the first edge at a bound node."""

    def rank(edge: Edge) -> int | None:
        if edge.relation in bound:
            return 0 if edge.left in bound and edge.right in bound else 1
        if edge.left in bound and edge.right in bound:
            return 2
        return 3 if edge.left in bound or edge.right in bound else None

    ranked = [(rank(edge), i, edge) for i, edge in enumerate(edges) if rank(edge) is not None]
    return min(ranked, key=lambda item: (item[0], item[1]))[2] if ranked else None
