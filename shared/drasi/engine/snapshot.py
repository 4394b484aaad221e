"""The state as bytes: elements in chunks by key, and what the graph cannot give back.

An element belongs to one chunk for its life, whatever else the graph holds, so a chunk in which nothing changed since the last
snapshot need not be written again.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from zlib import crc32

import msgspec

from drasi.engine.graph import Graph, Labels, Record, RelationRecord

_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(list[list[Any]]).decode
_decode_memory = msgspec.msgpack.Decoder(tuple[int, dict[str, list[Any]]]).decode


class Chunks:
    """Which elements each chunk holds.

    Attributes:
        touch: Called before a chunk changes.
    """

    COUNT = 256

    __slots__ = ("_members", "touch")

    def __init__(self) -> None:
        self._members: list[dict[Record, None]] = [{} for _ in range(self.COUNT)]
        self.touch: Callable[[int], None] = lambda chunk: None

    def add(self, record: Record) -> None:
        chunk = record.chunk = self._of(record)
        self.touch(chunk)
        self._members[chunk][record] = None

    def add_all(self, records: Sequence[Record]) -> None:
        """The elements of one chunk, as it was dumped."""
        if records:
            chunk = self._of(records[0])
            self.touch(chunk)
            for record in records:
                record.chunk = chunk
            self._members[chunk].update(dict.fromkeys(records))

    def _of(self, record: Record) -> int:
        source, id_ = record.source.encode("utf-8", "surrogatepass"), record.id.encode("utf-8", "surrogatepass")
        return crc32(id_, crc32(source)) % self.COUNT

    def discard(self, record: Record) -> None:
        self.touch(record.chunk)
        del self._members[record.chunk][record]

    def __len__(self) -> int:
        return sum(map(len, self._members))

    def dump(self, chunk: int) -> bytes:
        return _encode([_element(record) for record in self._members[chunk]])


def _element(record: Record) -> list[Any]:
    common = [record.source, record.id, list(record.labels), record.properties, record.effective_from]
    if isinstance(record, RelationRecord):
        common += [record.start.source, record.start.id, record.end.source, record.end.id]
    return common


def load_elements(data: bytes, graph: Graph) -> list[Record]:
    """Puts the elements of a chunk into the graph."""
    records: list[Record] = []
    # Few combinations of labels, many elements: each is one object.
    known: dict[Labels, Labels] = {}
    for source, id_, names, properties, time, *ends in _decode(data):
        labels = tuple(names)
        labels = known.setdefault(labels, labels)
        if ends:
            relation = RelationRecord(source, id_)
            start, end = graph.ghost(ends[0], ends[1]), graph.ghost(ends[2], ends[3])
            graph.set_relation(relation, labels, properties, time, start, end)
            records.append(relation)
        else:
            node = graph.ghost(source, id_)
            graph.set_node(node, labels, properties, time)
            records.append(node)
    return records


def encode_memory(clock: int, queries: dict[str, list[Any]]) -> bytes:
    return _encode([clock, queries])


def decode_memory(data: bytes) -> tuple[int, dict[str, list[Any]]]:
    return _decode_memory(data)
