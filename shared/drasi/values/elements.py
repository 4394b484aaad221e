"""Nodes, relations and paths: what changes carry, and what rows hold.

Construction checks nothing and copies nothing: labels and properties stay the objects that were given, and are not
altered by anybody afterwards.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from drasi.values.identity import same

_NO_PROPERTIES: dict[str, Any] = {}


class Node:
    """A node of one source.

    Two nodes are ``==`` if source, id, labels and properties are the same, type for type (1 is not 1.0); the time is no
    part of the content. In a query, ``=`` goes by source and id alone: `drasi.values.equality`.

    Args:
        source: Id of the source.
        id: Id within the source; relations of the source draw from the same ids.
        labels: In order.
        properties: Cypher values by name.
        effective_from: Time of the change, in ms since the epoch.
    """

    __slots__ = ("effective_from", "id", "labels", "properties", "source")

    def __init__(
        self,
        source: str,
        id: str,  # noqa: A002 -- the field's word
        labels: Sequence[str] = (),
        properties: Mapping[str, Any] = _NO_PROPERTIES,
        effective_from: int = 0,
    ) -> None:
        self.source = source
        self.id = id
        self.labels = labels
        self.properties = properties
        self.effective_from = effective_from

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(other) is not Node:
            return NotImplemented
        return (
            self.id == other.id
            and self.source == other.source
            and tuple(self.labels) == tuple(other.labels)
            and same(self.properties, other.properties)
        )

    def __hash__(self) -> int:
        return hash((self.source, self.id))

    def __repr__(self) -> str:
        return f"Node({self.source!r}, {self.id!r}, {list(self.labels)!r}, {dict(self.properties)!r})"


class Relation:
    """A relation of one source, from `start` to `end`.

    Two relations are ``==`` if source, id, labels, properties and ends are the same, type for type.

    Args:
        source: Id of the source.
        id: Id within the source; nodes of the source draw from the same ids.
        labels: The first one is the type.
        properties: Cypher values by name.
        effective_from: Time of the change, in ms since the epoch.
        start: Id of the node it leaves, or ``(source, id)`` where that is a node of another source.
        end: Likewise, of the node it enters. An update without ends keeps the old ones.
    """

    __slots__ = ("effective_from", "end", "id", "labels", "properties", "source", "start")

    def __init__(
        self,
        source: str,
        id: str,  # noqa: A002 -- the field's word
        labels: Sequence[str],
        properties: Mapping[str, Any] = _NO_PROPERTIES,
        effective_from: int = 0,
        start: str | tuple[str, str] | None = None,
        end: str | tuple[str, str] | None = None,
    ) -> None:
        self.source = source
        self.id = id
        self.labels = labels
        self.properties = properties
        self.effective_from = effective_from
        self.start = start
        self.end = end

    @property
    def type(self) -> str:
        """The first label."""
        return self.labels[0]

    @property
    def start_key(self) -> tuple[str, str] | None:
        """``(source, id)`` of the start, whichever way it was given."""
        return (self.source, self.start) if isinstance(self.start, str) else self.start

    @property
    def end_key(self) -> tuple[str, str] | None:
        """``(source, id)`` of the end, whichever way it was given."""
        return (self.source, self.end) if isinstance(self.end, str) else self.end

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(other) is not Relation:
            return NotImplemented
        return (
            self.id == other.id
            and self.source == other.source
            and tuple(self.labels) == tuple(other.labels)
            and self.start_key == other.start_key
            and self.end_key == other.end_key
            and same(self.properties, other.properties)
        )

    def __hash__(self) -> int:
        return hash((self.source, self.id))

    def __repr__(self) -> str:
        return (
            f"Relation({self.source!r}, {self.id!r}, {list(self.labels)!r}, {dict(self.properties)!r}, "
            f"start={self.start!r}, end={self.end!r})"
        )


class Path:
    """A walk through the graph: one node more than relationships, in the order of the walk."""

    __slots__ = ("nodes", "relationships")

    def __init__(self, nodes: Sequence[Node], relationships: Sequence[Relation]) -> None:
        self.nodes = nodes
        self.relationships = relationships

    @property
    def key(self) -> tuple[tuple[str, str], ...]:
        """``(source, id)`` of each node and relation in turn: the identity of the path."""
        keys = [(self.nodes[0].source, self.nodes[0].id)]
        for relation, node in zip(self.relationships, self.nodes[1:], strict=True):
            keys.append((relation.source, relation.id))
            keys.append((node.source, node.id))
        return tuple(keys)

    def __eq__(self, other: object) -> bool:
        if self is other:
            return True
        if type(other) is not Path:
            return NotImplemented
        return list(self.nodes) == list(other.nodes) and list(self.relationships) == list(other.relationships)

    def __hash__(self) -> int:
        return hash(self.key)

    def __len__(self) -> int:
        return len(self.relationships)

    def __repr__(self) -> str:
        return f"Path({list(self.nodes)!r}, {list(self.relationships)!r})"
