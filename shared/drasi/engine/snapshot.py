"""The state as bytes: elements in chunks by key, and what the graph cannot give back.

An element belongs to one chunk for its life, whatever else the graph holds, so a chunk in which nothing changed since the last
snapshot need not be written again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any
from zlib import crc32

import msgspec

from drasi.engine.graph import Graph, Labels, NodeRecord, Properties, Record, RelationRecord

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
        source, id_ = record.source.encode("utf-8", "surrogatepass"), record.id.encode("utf-8", "surrogatepass")
        record.chunk = crc32(id_, crc32(source)) % self.COUNT
        self.touch(record.chunk)
        self._members[record.chunk][record] = None

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


def decode_elements(data: bytes, graph: Graph) -> Iterator[tuple[Labels, Properties, int, Record]]:
    for source, id_, labels, properties, time, *ends in _decode(data):
        record: Record
        if ends:
            record = RelationRecord(source, id_)
            record.start = graph.ghost(ends[0], ends[1])
            record.end = graph.ghost(ends[2], ends[3])
        else:
            record = graph.ghost(source, id_)
            assert isinstance(record, NodeRecord)
        yield tuple(labels), properties, time, record


def encode_memory(clock: int, queries: dict[str, list[Any]]) -> bytes:
    return _encode([clock, queries])


def decode_memory(data: bytes) -> tuple[int, dict[str, list[Any]]]:
    return _decode_memory(data)
