"""Rows as elements (connectors.md section 3.2): a node, and a relation per foreign key without a null."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, Literal

from drasi.messages.changes import Element, Origin, Payload, SourceChange
from drasi.sources.port import Labels
from drasi.sources.postgresql import pgoutput
from drasi.sources.postgresql.catalog import Table
from drasi.sources.postgresql.pgoutput import UNCHANGED, Row, Unchanged
from drasi.sources.postgresql.types import Convert, Type, converter, key_converter

Op = Literal["i", "u", "d", "t"]


class BadRow(ValueError):
    """A row that cannot become an element; the text holds nothing of its values."""


class NoKey(ValueError):
    """Rows were written when the table had not these columns."""


class Shape:
    """How the rows of a table are read: its key and relations, and the columns that it had when the rows were written.

    Attributes:
        computed: Columns that the stream leaves out and ``derived`` adds: behind the columns of the stream.
        width: How many positions one row takes, whatever of it is wanted: positions do not depend on who listens.
    """

    def __init__(
        self,
        source_id: str,
        table: Table,
        columns: Sequence[tuple[str, int, int]],
        types: Mapping[int, Type],
        *,
        decimals: str,
        computed: Sequence[str] = (),
        gone: Iterable[str] = (),
    ) -> None:
        self._source_id = source_id
        self.table = table
        self.computed = tuple(computed)
        self.names = [name for name, _, _ in columns]
        self._converters: list[Convert] = [converter(oid, modifier, types, decimals=decimals) for _, oid, modifier in columns]
        self._gone = dict.fromkeys(name for name in gone if name not in self.names)
        keys = {name: (place, key_converter(oid, types)) for place, (name, oid, _) in enumerate(columns)}
        needed = [*table.key, *(name for relation in table.relations for name in relation.columns)]
        missing = [name for name in needed if name not in keys]
        if missing:
            raise NoKey(f"rows of {'.'.join(table.full)} were written when it had no column {', '.join(missing)}")
        self.key = [keys[name] for name in table.key]
        self._relations = [
            (relation.type, [keys[name] for name in relation.columns], prefix_of(*relation.references))
            for relation in table.relations
        ]
        self.prefix = prefix_of(*table.full)
        self.labels = [table.name]
        self.width = 2 + 2 * len(table.relations)

    def key_of(self, row: Row, other: Row | None = None) -> str:
        """The id of the row; ``other`` gives parts that the log holds only of the row before."""
        parts = []
        for place, convert in self.key:
            value = row[place]
            if isinstance(value, Unchanged) and other is not None:
                value = other[place]
            if value is None or isinstance(value, Unchanged):
                raise BadRow(f"a row of {'.'.join(self.table.full)} has NULL in its key ({', '.join(self.table.key)})")
            parts.append(escaped(convert(_text(value))))
        return self.prefix + ":".join(parts)

    def elements(self, row: Row, wanted: Labels) -> list[Element]:
        """The row's node, then its relations: those that are wanted."""
        identity = self.key_of(row)
        found = []
        if self._node_wanted(wanted):
            found.append(self._node(identity, row))
        for kind, places, prefix in self._relations:
            if wanted.relations is None or kind in wanted.relations:
                relation = _relation(identity, kind, places, prefix, row)
                if isinstance(relation, Element):
                    found.append(relation)
        return found

    def changes(self, change: pgoutput.Change, begin: pgoutput.Begin, index: int, wanted: Labels) -> list[SourceChange]:
        """What one change of a row means, in order; its positions begin at ``index`` and stay below ``index + width``."""
        found: list[SourceChange] = []
        node = self._node_wanted(wanted)
        new = self.key_of(change.new, change.old) if change.new is not None else None
        op: Op = change.op
        half = self.width // 2
        if change.old is not None:
            old = self.key_of(change.old)
            if old != new:
                for number, (kind, _, _) in enumerate(self._relations):
                    if wanted.relations is None or kind in wanted.relations:
                        found.append(self._change("d", "rel", begin, index + number, Element(relation_id(old, kind), [kind])))
                if node:
                    found.append(self._change("d", "node", begin, index + half - 1, Element(old, self.labels)))
                op = "i"
        if new is None or change.new is None:
            return found
        if node:
            element = self._node(new, change.new)
            if op == "u" and self._gone:
                element.properties = {**self._gone, **element.properties}
            found.append(self._change(op, "node", begin, index + half, element))
        for number, (kind, places, prefix) in enumerate(self._relations, index + half + 1):
            if wanted.relations is not None and kind not in wanted.relations:
                continue
            relation = _relation(new, kind, places, prefix, change.new)
            if isinstance(relation, Element):
                found.append(self._change(op, "rel", begin, number, relation))
            elif relation is None and op == "u":
                found.append(self._change("d", "rel", begin, number, Element(relation_id(new, kind), [kind])))
        return found

    def truncation(self, begin: pgoutput.Begin, index: int, wanted: Labels) -> SourceChange | None:
        """All rows are gone."""
        kinds = [kind for kind, _, _ in self._relations if wanted.relations is None or kind in wanted.relations]
        if not kinds and not self._node_wanted(wanted):
            return None
        return self._change("t", "node", begin, index, Element(self.prefix, [*self.labels, *kinds]))

    def _node_wanted(self, wanted: Labels) -> bool:
        return wanted.nodes is None or self.table.name in wanted.nodes

    def _node(self, identity: str, row: Row) -> Element:
        properties: dict[str, Any] = {}
        for name, convert, value in zip(self.names, self._converters, row, strict=True):
            if value is None:
                properties[name] = None
            elif not isinstance(value, Unchanged):
                try:
                    properties[name] = convert(_text(value))
                except (ValueError, IndexError, ArithmeticError, RecursionError) as error:
                    where = f"column {name} of {'.'.join(self.table.full)}"
                    raise BadRow(f"a value of {where} cannot be read: {type(error).__name__}") from None
        return Element(identity, self.labels, properties)

    def _change(self, op: Op, table: Literal["node", "rel"], begin: pgoutput.Begin, index: int, element: Element) -> SourceChange:
        position = position_text(begin.lsn + begin.shift, index)
        origin = Origin(self._source_id, table, begin.time_ns, begin.lsn, position=position, tx=str(begin.xid))
        payload = Payload(origin, before=element) if op in ("d", "t") else Payload(origin, after=element)
        return SourceChange(op, payload)


def _relation(identity: str, kind: str, places: Sequence[tuple[int, Convert]], prefix: str, row: Row) -> Element | Unchanged | None:
    """None: a part of the key is null. ``UNCHANGED``: the log does not say where it leads to; it leads where it led."""
    ends = []
    for place, convert in places:
        value = row[place]
        if value is None:
            return None
        if isinstance(value, Unchanged):
            return UNCHANGED
        ends.append(escaped(convert(_text(value))))
    return Element(relation_id(identity, kind), [kind], {}, identity, prefix + ":".join(ends))


def _text(value: bytes) -> str:
    return value.decode("utf-8", "replace")


def relation_id(node: str, kind: str) -> str:
    return f"{node}$rel:{kind}"


def prefix_of(schema: str, table: str) -> str:
    return f"{escaped(schema)}:{escaped(table)}:"


def escaped(part: str) -> str:
    return part.replace("%", "%25").replace(":", "%3A") if "%" in part or ":" in part else part


def position_text(lsn: int, index: int) -> str:
    """Of the ``index``-th change of the transaction whose commit record begins at ``lsn``."""
    return f"{lsn:016X}-{index:08X}"


def position_before(lsn: int) -> str:
    """A position behind everything that was committed before ``lsn``, and before everything else."""
    return position_text(lsn - 1, 0xFFFFFFFF)
