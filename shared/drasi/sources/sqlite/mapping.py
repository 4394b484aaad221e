"""Rows as elements (connectors.md section 3.2): a node, and a relation per foreign key without a null."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

import msgspec

from drasi.messages.changes import Element, Origin, Payload, SourceChange
from drasi.sources.port import Labels
from drasi.sources.sqlite.catalog import Table
from drasi.sources.sqlite.values import converter, key_text


class Shape(msgspec.Struct, frozen=True):
    """How a table looked while some triggers were in place. ``gone``: columns it had before."""

    table: Table
    gone: tuple[str, ...] = ()


class Captured(msgspec.Struct, frozen=True):
    """One row of the change table.

    Attributes:
        op: ``i``, ``u``, ``d``, or ``t``: the whole table went.
        old_key: Of an update or delete: the key before.
        values: Of an insert or update: the row after, in the order of the shape's columns.
    """

    id: int
    at_ms: int
    op: Literal["i", "u", "d", "t"]
    old_key: tuple[Any, ...]
    values: tuple[Any, ...]


class NullKey(ValueError):
    """A row with null in its key has no identity."""


class Mapping:
    """Maps rows of one shape."""

    def __init__(self, source_id: str, shape: Shape, *, decimals: str) -> None:
        self._source_id = source_id
        self.table = table = shape.table
        places = {column.name: index for index, column in enumerate(table.columns)}
        self._names = [column.name for column in table.columns]
        self._converters = [converter(column.declared, decimals=decimals) for column in table.columns]
        self._key = [places[name] for name in table.key]
        self._gone = dict.fromkeys(shape.gone)
        self._relations = [
            (relation.type, [places[name] for name in relation.columns], f"{_table_text(relation.references)}:")
            for relation in table.relations
        ]
        self.prefix = f"{_table_text(table.name)}:"
        self.labels = [table.name]

    def key_of(self, values: Sequence[Any]) -> tuple[Any, ...]:
        return tuple(values[place] for place in self._key)

    def id_of(self, key: Sequence[Any]) -> str:
        if None in key:
            raise NullKey(f"a row of table {self.table.name} has NULL in its key ({', '.join(self.table.key)})")
        return self.prefix + ":".join([key_text(part) for part in key])

    def elements(self, values: Sequence[Any], wanted: Labels) -> list[Element]:
        """The row's node, then its relations: those that are wanted."""
        identity = self.id_of(self.key_of(values))
        found = []
        if self._node_wanted(wanted):
            found.append(self._node(identity, values))
        for kind, places, references in self._relations:
            if wanted.relations is None or kind in wanted.relations:
                relation = self._relation(identity, kind, places, references, values)
                if relation is not None:
                    found.append(relation)
        return found

    def changes(self, captured: Captured, wanted: Labels) -> list[SourceChange]:
        """What one captured row means, in order, each with its position."""
        changes: list[SourceChange] = []

        def add(op: Literal["i", "u", "d", "t"], table: Literal["node", "rel"], element: Element) -> None:
            origin = Origin(
                self._source_id, table, captured.at_ms * 1_000_000, captured.id, position=position_text(captured.id, len(changes))
            )
            payload = Payload(origin, before=element) if op in ("d", "t") else Payload(origin, after=element)
            changes.append(SourceChange(op, payload))

        node = self._node_wanted(wanted)
        relations = [relation for relation in self._relations if wanted.relations is None or relation[0] in wanted.relations]
        if captured.op == "t":
            if node or relations:
                add("t", "node", Element(self.prefix, [*self.labels, *(relation[0] for relation in relations)]))
            return changes
        op: Literal["i", "u"] = "u" if captured.op == "u" else "i"
        new = None if captured.op == "d" else self.id_of(self.key_of(captured.values))
        if captured.op != "i":
            old = self.id_of(captured.old_key)
            if old != new:
                for kind, _, _ in relations:
                    add("d", "rel", Element(relation_id(old, kind), [kind]))
                if node:
                    add("d", "node", Element(old, self.labels))
                op = "i"
        if new is None:
            return changes
        if node:
            element = self._node(new, captured.values)
            if op == "u" and self._gone:
                element.properties = {**self._gone, **element.properties}
            add(op, "node", element)
        for kind, places, references in relations:
            relation = self._relation(new, kind, places, references, captured.values)
            if relation is not None:
                add(op, "rel", relation)
            else:
                # The row may have had the relation before: it was updated, or another row of this key was replaced.
                add("d", "rel", Element(relation_id(new, kind), [kind]))
        return changes

    def _node_wanted(self, wanted: Labels) -> bool:
        return wanted.nodes is None or self.table.name in wanted.nodes

    def _node(self, identity: str, values: Sequence[Any]) -> Element:
        properties = {name: convert(value) for name, convert, value in zip(self._names, self._converters, values, strict=True)}
        return Element(identity, self.labels, properties)

    def _relation(self, identity: str, kind: str, places: list[int], references: str, values: Sequence[Any]) -> Element | None:
        ends = [values[place] for place in places]
        if None in ends:
            return None
        return Element(relation_id(identity, kind), [kind], {}, identity, references + ":".join([key_text(part) for part in ends]))


def relation_id(node: str, kind: str) -> str:
    return f"{node}$rel:{kind}"


def position_text(number: int, index: int = 0) -> str:
    """Positions are compared as text: what else one captured row means comes behind its first change."""
    return f"{number:020d}" if index == 0 else f"{number:020d}-{index:08d}"


def position_after(number: int) -> str:
    """A position behind everything that captured row ``number`` and those before it mean."""
    return f"{number:020d}-99999999"


def _table_text(name: str) -> str:
    return name.replace("%", "%25").replace(":", "%3A")
