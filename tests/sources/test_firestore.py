"""The Firestore source (connectors.md section 5.4): events to changes, and snapshots on the emulator."""

from __future__ import annotations

import base64
import itertools
from collections.abc import AsyncIterator, Mapping
from datetime import UTC, datetime
from typing import Any

import msgspec
import pytest
from google.cloud.firestore_v1.types import Document, Value, Write
from google.protobuf.json_format import ParseDict

from drasi.firestore.client import FirestoreClient
from drasi.messages.changes import Element, SourceChange
from drasi.sources import firestore as module
from drasi.sources.firestore import KIND
from drasi.sources.firestore_documents import BadDocument, Collections, DocumentReader
from drasi.sources.firestore_events import read_event
from drasi.sources.function import SourceFunction
from drasi.sources.mappings import InvalidMapping
from drasi.sources.port import BadRequest, SnapshotEnd, SnapshotHeader, SnapshotRequest
from drasi.sources.state import MemoryState
from tests.emulator import emulators
from tests.sources.pushing import Pushing
from tests.sources.world import RecordingBus

_projects = itertools.count(1)
ROOT = "projects/p/databases/(default)/documents"
TYPE = "google.cloud.firestore.document.v1."


def document(path: str, fields: Mapping[str, Any], second: int = 0) -> dict[str, Any]:
    return {"name": f"{ROOT}/{path}", "fields": dict(fields), "updateTime": f"2026-03-01T08:15:{second:02}.000001Z"}


def text(value: str) -> dict[str, Any]:
    return {"stringValue": value}


def reference(path: str) -> dict[str, Any]:
    return {"referenceValue": f"{ROOT}/{path}"}


def headers(kind: str, path: str, **more: str) -> dict[str, str]:
    return {
        "ce-id": "e1",
        "ce-type": f"{TYPE}{kind}",
        "ce-source": "//firestore.googleapis.com/projects/p/databases/(default)",
        "ce-subject": f"documents/{path}",
        "ce-document": path,
        "ce-time": "2026-03-01T08:15:59Z",
        "ce-specversion": "1.0",
        "content-type": "application/json",
        **more,
    }


def read(kind: str, path: str, value: Any = None, old: Any = None, **properties: Any) -> list[SourceChange]:
    data = {name: one for name, one in (("value", value), ("oldValue", old)) if one is not None}
    event = read_event(headers(kind, path), msgspec.json.encode(data))
    return DocumentReader("src", {"collections": ["ships"], **properties}).changes(event)


def said(found: list[SourceChange]) -> list[tuple[str, str]]:
    return [(change.op, element.id) for change in found if (element := change.payload.after or change.payload.before)]


def test_a_document_is_a_node_with_every_kind_of_value() -> None:
    fields = {
        "null": {"nullValue": None},
        "yes": {"booleanValue": True},
        "n": {"integerValue": str(2**62)},
        "x": {"doubleValue": 1},
        "nan": {"doubleValue": "NaN"},
        "s": text("é"),
        "at": {"timestampValue": "2026-03-01T08:15:30.12Z"},
        "raw": {"bytesValue": "YWJj"},
        "ref": reference("ports/p1/berths/b1"),
        "where": {"geoPointValue": {"latitude": 1.5}},
        "list": {"arrayValue": {"values": [{"integerValue": "1"}, {"arrayValue": {}}]}},
        "map": {"mapValue": {"fields": {"a": {"mapValue": {}}}}},
    }
    [node, relation] = read("created", "ships/s7", document("ships/s7", fields, 30))
    assert node.op == "i"
    origin, after = node.payload.source, node.payload.after
    ns = 1_772_352_930_000_001_000
    assert (origin.db, origin.table, origin.ts_ns, origin.lsn) == ("src", "node", ns, ns)
    assert (origin.partition, origin.position) == ("@element", f"{ns:020}")
    assert after is not None
    assert (after.id, after.labels) == ("ships/s7", ["ships"])
    assert after.properties == {
        "null": None,
        "yes": True,
        "n": 2**62,
        "x": 1.0,
        "nan": "NaN",
        "s": "é",
        "at": "2026-03-01T08:15:30.120Z",
        "raw": "YWJj",
        "ref": "ports/p1/berths/b1",
        "where": {"latitude": 1.5, "longitude": 0.0},
        "list": [1, []],
        "map": {"a": {}},
    }
    assert isinstance(after.properties["x"], float)
    assert relation.payload.after == Element("ships/s7$ref:ref", ["ref"], {}, "ships/s7", "ports/p1/berths/b1")
    assert relation.payload.source.table == "rel"
    assert node.payload.source.tx == relation.payload.source.tx is not None


def test_references_may_stay_text() -> None:
    fields = {"ref": reference("berths/b1")}
    assert said(read("created", "ships/s7", document("ships/s7", fields), references="string")) == [("i", "ships/s7")]


def test_a_reference_that_goes_takes_its_relation_along() -> None:
    old = document("ships/s7", {"a": reference("x/1"), "b": reference("x/2")})
    found = read("updated", "ships/s7", document("ships/s7", {"a": reference("x/3")}, 1), old)
    assert said(found) == [("d", "ships/s7$ref:b"), ("i", "ships/s7"), ("i", "ships/s7$ref:a")]


def test_a_deleted_document_takes_its_relations_along_and_counts_from_the_event_s_time() -> None:
    old = document("ports/p1/ships/s7", {"a": reference("x/1")})
    found = read("deleted", "ports/p1/ships/s7", None, old, parents=True)
    assert said(found) == [
        ("d", "ports/p1/ships/s7$parent"),
        ("d", "ports/p1/ships/s7$ref:a"),
        ("d", "ports/p1/ships/s7"),
    ]
    assert {change.payload.source.ts_ns for change in found} == {1_772_352_959_000_000_000}
    assert said(read("written", "ships/s7")) == [("d", "ships/s7")]


def test_a_parent_is_a_relation_if_wanted() -> None:
    value = document("ports/p1/ships/s7", {})
    [_, relation] = read("created", "ports/p1/ships/s7", value, parents=True)
    assert relation.payload.after == Element("ports/p1/ships/s7$parent", ["CHILD_OF"], {}, "ports/p1/ships/s7", "ports/p1")
    assert said(read("created", "ships/s7", document("ships/s7", {}), parents=True)) == [("i", "ships/s7")]


@pytest.mark.parametrize(
    ("names", "path", "taken"),
    [
        (["ships"], "ships/1", True),
        (["ships"], "ports/1/ships/1", True),
        (["ships"], "boats/1", False),
        (["ports/*/berths"], "ports/1/berths/1", True),
        (["ports/*/berths"], "harbours/1/berths/1", False),
        (["ports/*/berths"], "a/b/ports/1/berths/1", False),
        (["ports/1/berths"], "ports/2/berths/1", False),
        (["/ports/2/berths/"], "ports/2/berths/1", True),
    ],
)
def test_collections_by_id_and_path(names: list[str], path: str, taken: bool) -> None:
    assert (Collections.of(names).first(path) is not None) == taken


def test_other_collections_are_nothing() -> None:
    assert read("created", "boats/1", document("boats/1", {})) == []


def test_an_event_in_each_form_means_the_same() -> None:
    value = document("ships/s7", {"n": {"integerValue": "5"}, "s": text("")}, 30)
    old = document("ships/s7", {"n": {"integerValue": "4"}}, 29)
    binary = read_event(headers("updated.withAuthContext", "ships/s7"), msgspec.json.encode({"value": value, "oldValue": old}))
    proto = b"".join(
        bytes([number << 3 | 2]) + _size(content) + content
        for number, content in ((1, _serialized(value)), (2, _serialized(old)), (3, b"\x0a\x01n"))
    )
    attributes = {name.removeprefix("ce-"): one for name, one in headers("updated", "ships/s7").items() if name.startswith("ce-")}
    structured = {"content-type": "application/cloudevents+json; charset=utf-8"}
    events = [
        binary,
        read_event(headers("updated", "ships/s7", **{"content-type": "application/protobuf"}), proto),
        read_event(structured, msgspec.json.encode({**attributes, "data": {"value": value, "oldValue": old}})),
        read_event(
            structured,
            msgspec.json.encode(
                {**attributes, "datacontenttype": "application/protobuf", "data_base64": base64.b64encode(proto).decode()}
            ),
        ),
    ]
    reader = DocumentReader("src", {"collections": ["ships"]})
    first, *others = [reader.changes(event) for event in events]
    assert first[0].payload.after is not None
    assert first[0].payload.after.properties == {"n": 5, "s": ""}
    assert all(other == first for other in others)


def _serialized(value: dict[str, Any]) -> bytes:
    message = Document.pb()()
    ParseDict(value, message)
    return bytes(message.SerializeToString())


def _size(content: bytes) -> bytes:
    size, found = len(content), bytearray()
    while size > 127:
        found.append(size & 127 | 128)
        size >>= 7
    return bytes([*found, size])


@pytest.mark.parametrize(
    ("given", "body"),
    [
        (headers("created", "ships/1"), b"{"),
        (headers("created", "ships/1"), b"[]"),
        (headers("created", "ships/1"), b'{"value": 5}'),
        (headers("created", "ships/1"), b'{"value": {"name": "x/documents/ships/1"}}'),
        (headers("renamed", "ships/1"), b"{}"),
        (headers("deleted", "ships"), b"{}"),
        (headers("deleted", "ships/1", **{"ce-time": "soon"}), b"{}"),
        (headers("created", "ships/1", **{"content-type": "application/protobuf"}), b"\x0a\x05ab"),
        (headers("created", "ships/1", **{"content-type": "application/protobuf"}), b"\x08\x05"),
        (headers("created", "ships/1", **{"content-type": "application/protobuf"}), b"\x0a\x02\xff\xff"),
        ({"content-type": "application/cloudevents+json"}, b"5"),
        ({"content-type": "application/cloudevents+json"}, b'{"data_base64": "%"}'),
        ({}, b"{}"),
    ],
)
def test_what_is_no_event_of_a_document(given: dict[str, str], body: bytes) -> None:
    with pytest.raises(BadDocument):
        read_event(given, body)


def test_a_value_of_no_known_kind_is_bad() -> None:
    for value in ({"moonValue": 1}, {}, 5, {"stringValue": "a", "integerValue": "1"}):
        with pytest.raises(BadDocument):
            read("created", "ships/1", document("ships/1", {"a": value}))


def test_mappings_see_both_states() -> None:
    mapping = {
        "when": {"header": "ce-type", "contains": "updated"},
        "operation": "update",
        "elementType": "node",
        "template": {
            "id": "{{payload.collection}}-{{payload.id}}",
            "labels": ["Ship"],
            "properties": {"now": "{{payload.value.n}}", "then": "{{payload.oldValue.n}}"},
        },
    }
    value, old = (document("ships/s7", {"n": {"integerValue": str(n)}}, n) for n in (5, 4))
    [change] = read("updated", "ships/s7", value, old, mappings=[mapping])
    assert change.payload.after == Element("ships-s7", ["Ship"], {"now": 5, "then": 4})
    assert change.payload.source.position == f"{1_772_352_905_000_001_000:020}"


@pytest.fixture
async def pushing() -> AsyncIterator[Pushing]:
    made = Pushing(KIND)
    yield made
    await made.stop()


async def test_what_is_posted_is_published(pushing: Pushing) -> None:
    await pushing.start(collections=["ships"], listen=False)
    body = msgspec.json.encode({"value": document("ships/s7", {"n": {"integerValue": "5"}})})
    assert await pushing.post("/", body, headers("created", "ships/s7")) == 204
    assert await pushing.post("/", body, headers("created", "boats/s7")) == 204
    assert pushing.bus.said == [("i", "ships/s7")] * 2
    assert await pushing.post("/", b"{", headers("created", "ships/s7")) == 204
    [letter] = await pushing.function.dead_letters()
    assert letter["position"] == "e1"


def test_collections_are_needed() -> None:
    function = SourceFunction("src", KIND, {"collections": []}, bus=RecordingBus(), state=MemoryState())
    with pytest.raises(InvalidMapping, match="needs collections"):
        function.routes()


class Database:
    def __init__(self) -> None:
        self.host = emulators.firestore()
        self.project = f"drasi-source-{next(_projects)}"
        self.client = FirestoreClient(self.project, emulator=self.host)
        self._made: list[SourceFunction] = []

    def source(self, *collections: str, **properties: Any) -> module.FirestoreSource:
        given = {"project": self.project, "collections": list(collections), **properties}
        function = SourceFunction("src", KIND, given, bus=RecordingBus(), state=MemoryState())
        function.routes()
        self._made.append(function)
        assert isinstance(function.source, module.FirestoreSource)
        return function.source

    async def put(self, path: str, **fields: Any) -> None:
        values = {
            name: Value(reference_value=f"{self.client.root}/{value[1:]}") if isinstance(value, str) else Value(integer_value=value)
            for name, value in fields.items()
        }
        await self.client.commit([Write(update=Document(name=f"{self.client.root}/{path}", fields=values))])

    async def close(self) -> None:
        for function in self._made:
            await function.close()
        await self.client.close()


@pytest.fixture
async def database(monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Database]:
    made = Database()
    monkeypatch.setenv("FIRESTORE_EMULATOR_HOST", made.host)
    yield made
    await made.close()


async def part(source: module.FirestoreSource, **request: Any) -> tuple[SnapshotHeader, list[Element], SnapshotEnd]:
    lines = [line async for line in source.snapshot(SnapshotRequest(**request))]
    header, *elements, end = lines
    assert isinstance(header, SnapshotHeader)
    assert isinstance(end, SnapshotEnd)
    assert all(isinstance(element, Element) for element in elements)
    assert end.count == len(elements)
    return header, [element for element in elements if isinstance(element, Element)], end


async def test_a_snapshot_has_every_document_once_as_its_events_have_it(database: Database) -> None:
    await database.put("ships/s1", n=1, berth="@ports/p1/berths/b1")
    await database.put("ports/p1/berths/b1", n=2)
    await database.put("ports/p2/berths/b2", n=3)
    await database.put("boats/x", n=4)
    before = datetime.now(UTC).timestamp()
    source = database.source("ships", "ports/*/berths", "berths", "ports/p1/berths", parents=True)
    header, elements, end = await part(source)
    assert end.cursor is None
    assert [element.id for element in elements] == [
        "ships/s1",
        "ships/s1$ref:berth",
        "ports/p1/berths/b1",
        "ports/p1/berths/b1$parent",
        "ports/p2/berths/b2",
        "ports/p2/berths/b2$parent",
    ]
    assert elements[0].properties == {"n": 1, "berth": "ports/p1/berths/b1"}
    assert len(header.position) == 20
    assert before - 60 < int(header.position) / 1e9 < datetime.now(UTC).timestamp() + 60
    assert header.ts_ns == int(header.position)


async def test_positions_of_snapshot_and_events_can_be_compared(database: Database) -> None:
    await database.put("ships/s1", n=1)
    header, _, _ = await part(database.source("ships"))
    [stored], _ = await database.client.documents(module_query("ships"))
    await database.put("ships/s1", n=2)
    [changed], _ = await database.client.documents(module_query("ships"))
    positions = []
    for found in (stored, changed):
        value = msgspec.json.decode(Document.to_json(found))
        event = read_event(headers("updated", "ships/s1"), msgspec.json.encode({"value": value}))
        [change] = DocumentReader("src", {"collections": ["ships"]}).changes(event)
        positions.append(change.payload.source.position or "")
    assert positions[0] <= header.position < positions[1]


def module_query(collection: str) -> Any:
    from google.cloud.firestore_v1.types import StructuredQuery

    return StructuredQuery(from_=[StructuredQuery.CollectionSelector(collection_id=collection)])


async def test_parts_follow_each_other_without_gap_or_repeat(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 3)
    monkeypatch.setattr(module, "PART", 6)
    for number in range(10):
        await database.put(f"ships/s{number}", ref="@x/y")
    for number in range(4):
        await database.put(f"ports/p/berths/b{number}", n=number)
    source = database.source("ships", "ports/p/berths")
    _, whole, end = await part(source)
    assert end.cursor is not None, "a part ends by itself"
    expected = [f"ships/s{number}{ending}" for number in range(10) for ending in ("", "$ref:ref")]
    expected += [f"ports/p/berths/b{number}" for number in range(4)]
    for limit in (1, 3, 5, None):
        ids: list[str] = []
        cursor: str | None = None
        while True:
            _, elements, end = await part(source, limit=limit, cursor=cursor)
            assert limit is None or len(elements) <= limit
            ids += [element.id for element in elements]
            cursor = end.cursor
            if cursor is None:
                break
        assert ids == expected
    assert [element.id for element in whole] == expected[: len(whole)]


async def test_a_part_is_of_one_instant(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "PAGE", 1)
    for number in range(4):
        await database.put(f"ships/s{number}", n=0)
    seen = []
    async for line in database.source("ships").snapshot(SnapshotRequest()):
        if isinstance(line, Element):
            seen.append(line.properties["n"])
            await database.put("ships/s3", n=1)
    assert seen == [0, 0, 0, 0]


async def test_only_the_labels_asked_for(database: Database) -> None:
    await database.put("ships/s1", ref="@x/y")
    await database.put("boats/b1", other="@x/y")
    source = database.source("ships", "boats")
    assert [element.id for element in (await part(source, nodes=frozenset({"boats"})))[1]] == ["boats/b1"]
    assert [element.id for element in (await part(source, relations=frozenset({"ref"})))[1]] == ["ships/s1$ref:ref"]


async def test_an_empty_collection_has_a_position(database: Database) -> None:
    header, elements, end = await part(database.source("ships"))
    assert elements == []
    assert end.cursor is None
    assert int(header.position) > 0


async def test_with_mappings_there_is_no_snapshot(database: Database) -> None:
    await database.put("ships/s1", n=1)
    mapping = {"operation": "insert", "elementType": "node", "template": {"id": "a", "labels": ["b"]}}
    assert (await part(database.source("ships", mappings=[mapping])))[1] == []


async def test_a_cursor_of_somebody_else_is_refused(database: Database) -> None:
    with pytest.raises(BadRequest):
        await part(database.source("ships"), cursor="{}")
