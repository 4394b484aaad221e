"""Steps of the generated code that walk the adjacency; too long to be inlined everywhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from drasi.engine.graph import NodeRecord, RelationRecord


def leaving(node: NodeRecord, types: Iterable[str] | None) -> Iterator[RelationRecord]:
    """Relations that start at ``node``; ``types`` None: of any type."""
    adjacency = node.outgoing
    for kind in adjacency if types is None else types:
        yield from adjacency.get(kind, ())


def entering(node: NodeRecord, types: Iterable[str] | None) -> Iterator[RelationRecord]:
    adjacency = node.incoming
    for kind in adjacency if types is None else types:
        yield from adjacency.get(kind, ())


def touching(node: NodeRecord, types: Iterable[str] | None) -> Iterator[tuple[RelationRecord, NodeRecord]]:
    """Relations at ``node`` either way, each with the node at its other end; a self-loop once."""
    for relation in leaving(node, types):
        yield relation, relation.end
    for relation in entering(node, types):
        if relation.start is not node:
            yield relation, relation.start


def both_ways(relation: RelationRecord) -> tuple[tuple[NodeRecord, NodeRecord], ...]:
    """The ends of ``relation`` as (left, right), in each direction; a self-loop once."""
    start, end = relation.start, relation.end
    return ((start, end),) if start is end else ((start, end), (end, start))
