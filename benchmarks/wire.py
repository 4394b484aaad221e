"""JSON bytes in, JSON bytes out: one change of a source → one result event, without log and bus."""

from __future__ import annotations

import gc
import time
from collections.abc import Callable
from statistics import median
from typing import Any

import msgspec

from benchmarks import comfort, handwritten
from drasi import Insert, Relation, Update
from drasi.engine.engine import Engine
from drasi.engine.events import encode_event
from drasi.messages.changes import Element, Origin, Payload, SourceChange, decode_change, encode
from drasi.plan import compile_query
from drasi.values import Node


def source_change(change: Insert | Update, number: int) -> SourceChange:
    element = change.element
    relation = isinstance(element, Relation)
    ends = (str(element.start), str(element.end)) if isinstance(element, Relation) else (None, None)
    origin = Origin(
        comfort.SOURCE, "rel" if relation else "node", element.effective_from * 1_000_000, number, None, f"{number:020d}"
    )
    after = Element(element.id, list(element.labels), dict(element.properties), *ends)
    return SourceChange("i" if isinstance(change, Insert) else "u", Payload(origin, after=after))


class Ours:
    def __init__(self, text: str, elements: list[Insert]) -> None:
        self._engine = Engine()
        self._engine.add("comfort", compile_query(text))
        for insert in elements:
            self._engine.apply(insert)
        self._sequence = 0

    def apply(self, data: bytes) -> list[bytes]:
        change = decode_change(data)
        origin, after = change.payload.source, change.payload.after
        assert after is not None
        node = Node(origin.db, after.id, after.labels, after.properties, origin.ts_ns // 1_000_000)
        events = []
        for name, difference in self._engine.apply(Update(node)):
            self._sequence += 1
            events.append(encode_event(difference, name, self._sequence))
        return events


class Reading(msgspec.Struct):
    temp: float
    humidity: int
    co2: int


class Room(msgspec.Struct):
    id: str
    properties: Reading


class After(msgspec.Struct):
    after: Room


class Change(msgspec.Struct):
    payload: After


class ByHand:
    """The hand-written program behind a decoder that reads the four fields it needs, and a text with holes."""

    def __init__(self, name: str, elements: list[Insert]) -> None:
        self._program = handwritten.PROGRAMS[name](elements)
        self._column = {"room level": "RoomId", "floor average": "FloorId", "building average": "BuildingId"}[name]
        self._decode = msgspec.json.Decoder(Change).decode
        self._sequence = 0

    def apply(self, data: bytes) -> list[bytes]:
        room = self._decode(data).payload.after
        reading = room.properties
        node = Node(comfort.SOURCE, room.id, (), {"temp": reading.temp, "humidity": reading.humidity, "co2": reading.co2})
        events = []
        for difference in self._program.apply(Update(node)):
            ((key, before, after),) = difference.changes
            assert before is not None
            assert after is not None
            self._sequence += 1
            events.append(
                b'{"kind":"change","queryId":"comfort","sequence":%d,"sourceTimeMs":0,"addedResults":[],"addedRowIds":[],'
                b'"updatedResults":[{"before":{"%b":"%b","ComfortLevel":%b},"after":{"%b":"%b","ComfortLevel":%b},"rowId":"%b"}],'
                b'"deletedResults":[],"deletedRowIds":[]}'
                % (
                    self._sequence,
                    self._column.encode(),
                    key.encode(),
                    repr(before[1]).encode(),
                    self._column.encode(),
                    key.encode(),
                    repr(after[1]).encode(),
                    key.encode(),
                )
            )
        return events


def rate(apply: Callable[[bytes], list[bytes]], changes: list[bytes]) -> float:
    gc.collect()
    started = time.process_time()
    for change in changes:
        apply(change)
    return len(changes) / (time.process_time() - started)


def measure(rooms: int, count: int, rounds: int = 5) -> dict[str, tuple[float, float]]:
    """Per query: (ours, hand-written) in changes per second, medians of ``rounds`` in turn."""
    results = {}
    elements = list(comfort.elements(rooms))
    for name, text in comfort.QUERIES.items():
        ours: Any = Ours(text, elements)
        theirs = ByHand(name, elements)
        rates: list[tuple[float, float]] = []
        for round_ in range(rounds + 1):
            changes = [encode(source_change(c, i)) for i, c in enumerate(comfort.changes(rooms, count, seed=round_))]
            rates.append((rate(ours.apply, changes), rate(theirs.apply, changes)))
        results[name] = (median(r[0] for r in rates[1:]), median(r[1] for r in rates[1:]))
    return results
