"""The graph store: records of elements, adjacency, label index. One for all queries of an engine.

A node that a relation names but no source has sent yet is in the store as a *ghost* (``properties`` None): relations may come
before their nodes and outlive them. ``properties`` dictionaries are replaced, never altered, so a value taken from a record stays
what it was.

Cost: one look-up a change; adjacency by type behind the record itself; a label's elements in insertion order.
"""

from __future__ import annotations

from collections.abc import Iterator, MutableSequence
from typing import Any

from drasi.values import Node, Relation

Labels = tuple[str, ...]
Properties = dict[str, Any]
Adjacency = dict[str, "MutableSequence[RelationRecord] | dict[RelationRecord, None]"]

NOTHING: Adjacency = {}
"""Shared by all nodes without relations; never written."""

# Up to here a list is smaller and as fast as a dictionary.
_SMALL = 12


class NodeRecord:
    __slots__ = ("chunk", "effective_from", "id", "incoming", "labels", "outgoing", "properties", "source", "value")

    def __init__(self, source: str, id: str) -> None:  # noqa: A002 -- the field's word
        self.source = source
        self.id = id
        self.labels: Labels = ()
        self.properties: Properties | None = None
        self.effective_from = 0
        self.chunk = 0
        self.outgoing = NOTHING
        self.incoming = NOTHING
        self.value: Node | None = None

    def __repr__(self) -> str:
        return f"({self.source}/{self.id})"


class RelationRecord:
    __slots__ = ("chunk", "effective_from", "end", "id", "labels", "properties", "source", "start", "value")

    def __init__(self, source: str, id: str) -> None:  # noqa: A002 -- the field's word
        self.source = source
        self.id = id
        self.labels: Labels = ()
        self.properties: Properties | None = None
        self.effective_from = 0
        self.chunk = 0
        self.start: NodeRecord = None  # type: ignore[assignment] # set before it is linked
        self.end: NodeRecord = None  # type: ignore[assignment]
        self.value: Relation | None = None

    def __repr__(self) -> str:
        return f"[{self.source}/{self.id}]"


Record = NodeRecord | RelationRecord


def value_of(record: Record) -> Any:
    """The element as a value: a snapshot, made once per version."""
    value = record.value
    if value is None:
        properties = record.properties
        assert properties is not None
        if type(record) is NodeRecord:
            value = Node(record.source, record.id, record.labels, properties, record.effective_from)
        else:
            assert isinstance(record, RelationRecord)
            value = Relation(
                record.source,
                record.id,
                record.labels,
                properties,
                record.effective_from,
                (record.start.source, record.start.id),
                (record.end.source, record.end.id),
            )
        record.value = value
    return value


def with_properties(record: Record, properties: Properties, effective_from: int) -> Any:
    """The element as a value, as it will be with other properties."""
    value = value_of(record)
    if type(value) is Node:
        return Node(value.source, value.id, value.labels, properties, effective_from)
    return Relation(value.source, value.id, value.labels, properties, effective_from, value.start, value.end)


class Graph:
    """Elements by source and id.

    Attributes:
        graves: During a transaction, the records that left in it: an element that returns is the same record, so that its rows
            are the same rows. None outside of one.
    """

    __slots__ = ("graves", "labelled", "nodes", "relations", "typed")

    def __init__(self) -> None:
        self.graves: dict[tuple[type[Record], str, str], Record] | None = None
        self.nodes: dict[str, dict[str, NodeRecord]] = {}
        self.relations: dict[str, dict[str, RelationRecord]] = {}
        self.labelled: dict[str, dict[NodeRecord, None]] = {}
        self.typed: dict[str, dict[RelationRecord, None]] = {}

    # --- reading ---

    def node(self, source: str, id: str) -> NodeRecord | None:  # noqa: A002
        """The record of a node that exists, or of a ghost."""
        found = self.nodes.get(source)
        return found.get(id) if found is not None else None

    def relation(self, source: str, id: str) -> RelationRecord | None:  # noqa: A002
        found = self.relations.get(source)
        return found.get(id) if found is not None else None

    def all_nodes(self) -> Iterator[NodeRecord]:
        for nodes in self.nodes.values():
            for record in nodes.values():
                if record.properties is not None:
                    yield record

    def all_relations(self) -> Iterator[RelationRecord]:
        for relations in self.relations.values():
            yield from relations.values()

    def __len__(self) -> int:
        return sum(1 for _ in self.all_nodes()) + sum(len(relations) for relations in self.relations.values())

    # --- writing; each leaves the store consistent ---

    def set_node(self, record: NodeRecord, labels: Labels, properties: Properties, effective_from: int) -> None:
        """A node appears, or gets other labels or properties."""
        if record.properties is None or labels != record.labels:
            for label in record.labels:
                if label not in labels:
                    del self.labelled[label][record]
            for label in labels:
                self.labelled.setdefault(label, {})[record] = None
            record.labels = labels
        record.properties = properties
        record.effective_from = effective_from
        record.value = None

    def drop_node(self, record: NodeRecord) -> None:
        """A node disappears; it stays as a ghost while relations name it."""
        for label in record.labels:
            del self.labelled[label][record]
        record.labels = ()
        record.properties = None
        record.value = None
        self._forget(record)

    def ghost(self, source: str, id: str) -> NodeRecord:  # noqa: A002
        """The node's record, made if there is none."""
        nodes = self.nodes.get(source)
        if nodes is None:
            nodes = self.nodes[source] = {}
        record = nodes.get(id)
        if record is None:
            grave = self.graves.pop((NodeRecord, source, id), None) if self.graves else None
            record = nodes[id] = grave if isinstance(grave, NodeRecord) else NodeRecord(source, id)
        return record

    def new_relation(self, source: str, id: str) -> RelationRecord:  # noqa: A002
        """A record for a relation that is not there."""
        grave = self.graves.pop((RelationRecord, source, id), None) if self.graves else None
        return grave if isinstance(grave, RelationRecord) else RelationRecord(source, id)

    def set_relation(
        self,
        record: RelationRecord,
        labels: Labels,
        properties: Properties,
        effective_from: int,
        start: NodeRecord,
        end: NodeRecord,
    ) -> None:
        """A relation appears, or changes type, properties or ends."""
        if record.properties is None:
            self.relations.setdefault(record.source, {})[record.id] = record
            self._link(record, labels, start, end)
        elif labels[0] != record.labels[0] or start is not record.start or end is not record.end:
            old = (record.start, record.end)
            self._unlink(record)
            self._link(record, labels, start, end)
            for node in old:
                self._forget(node)
        record.labels = labels
        record.properties = properties
        record.effective_from = effective_from
        record.value = None

    def drop_relation(self, record: RelationRecord) -> None:
        self._unlink(record)
        del self.relations[record.source][record.id]
        record.properties = None
        if self.graves is not None:
            self.graves[RelationRecord, record.source, record.id] = record
        for node in (record.start, record.end):
            self._forget(node)

    def _forget(self, node: NodeRecord) -> None:
        if node.properties is None and not node.outgoing and not node.incoming:
            self.nodes[node.source].pop(node.id, None)
            if self.graves is not None:
                self.graves[NodeRecord, node.source, node.id] = node

    def _link(self, record: RelationRecord, labels: Labels, start: NodeRecord, end: NodeRecord) -> None:
        record.labels = labels
        record.start = start
        record.end = end
        kind = labels[0]
        if start.outgoing is NOTHING:
            start.outgoing = {}
        _attach(start.outgoing, kind, record)
        if end.incoming is NOTHING:
            end.incoming = {}
        _attach(end.incoming, kind, record)
        self.typed.setdefault(kind, {})[record] = None

    def _unlink(self, record: RelationRecord) -> None:
        kind = record.labels[0]
        _detach(record.start.outgoing, kind, record)
        _detach(record.end.incoming, kind, record)
        del self.typed[kind][record]


def _attach(adjacency: Adjacency, kind: str, record: RelationRecord) -> None:
    relations = adjacency.get(kind)
    if relations is None:
        adjacency[kind] = [record]
    elif isinstance(relations, dict):
        relations[record] = None
    else:
        relations.append(record)
        if len(relations) > _SMALL:
            adjacency[kind] = dict.fromkeys(relations)


def _detach(adjacency: Adjacency, kind: str, record: RelationRecord) -> None:
    relations = adjacency[kind]
    if isinstance(relations, dict):
        del relations[record]
    else:
        relations.remove(record)
    if not relations:
        del adjacency[kind]
