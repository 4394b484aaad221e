"""The Http source: what is posted is published, or every mistake in it is named."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette

from drasi.errors import DrasiError
from drasi.sources.function import SourceFunction
from drasi.sources.http import KIND
from drasi.sources.port import SnapshotEnd, SnapshotHeader, SnapshotRequest
from drasi.sources.state import MemoryState
from drasi.values.check import validate_properties
from tests.sources.world import RecordingBus, eventually

NOW = 1_700_000_000_000_000_000


class World:
    def __init__(self) -> None:
        self.bus = RecordingBus()
        self.state = MemoryState()

    async def start(self, **properties: Any) -> None:
        self.function = SourceFunction("web", KIND, properties, bus=self.bus, state=self.state, now_ns=lambda: NOW)
        await self.function.start()
        app = Starlette(routes=list(self.function.routes()))
        self.client = httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://source")
        await eventually(lambda: bool(self.function.status()["available"]))

    async def stop(self) -> None:
        await self.client.aclose()
        await self.function.close()


@pytest.fixture
async def world() -> AsyncIterator[World]:
    made = World()
    await made.start()
    yield made
    await made.stop()


def event(operation: str = "insert", **element: Any) -> dict[str, Any]:
    return {"operation": operation, "element": {"type": "node", "id": "s1", "labels": ["Ship"], "properties": {}, **element}}


async def test_an_event_becomes_a_change(world: World) -> None:
    body = {**event(properties={"draught": 8.4, "berth": None}), "timestamp": 1_772_352_930_000_000_000}
    answer = await world.client.post("/events", json=body)
    assert answer.status_code == 202
    [change] = world.bus.changes
    assert change.op == "i"
    assert change.payload.source.ts_ns == 1_772_352_930_000_000_000
    assert change.payload.source.partition == "0"
    assert change.payload.source.position == f"{1:020d}"
    assert change.payload.source.key is None
    assert change.payload.after is not None
    assert change.payload.after.properties == {"draught": 8.4, "berth": None}


async def test_without_a_timestamp_the_arrival_counts(world: World) -> None:
    await world.client.post("/events", json=event())
    assert world.bus.changes[0].payload.source.ts_ns == NOW


async def test_relations_carry_both_ends(world: World) -> None:
    relation = {"type": "relation", "id": "m", "labels": ["MOORED_AT"], "from": "s1", "to": "b3"}
    answer = await world.client.post("/events", json={"operation": "insert", "element": relation})
    assert answer.status_code == 202
    assert world.bus.graph.ends() == {"m": ("s1", "b3")}
    assert world.bus.changes[0].payload.source.table == "rel"


async def test_a_delete_needs_only_the_id(world: World) -> None:
    await world.client.post("/events", json=event())
    answer = await world.client.post("/events", json={"operation": "delete", "element": {"id": "s1"}})
    assert answer.status_code == 202
    assert world.bus.graph.elements == {}


async def test_integers_keep_all_their_digits_and_larger_ones_are_floats(world: World) -> None:
    await world.client.post("/events", json=event(properties={"a": 2**53 + 1, "b": [2**64], "c": {"d": -(2**63)}}))
    assert world.bus.changes[0].payload.after is not None
    assert world.bus.changes[0].payload.after.properties == {"a": 2**53 + 1, "b": [float(2**64)], "c": {"d": -(2**63)}}


@pytest.mark.parametrize(
    ("body", "path", "message"),
    [
        ([], "", "an event must be an object, not a list"),
        ({"element": event()["element"]}, "operation", "operation is required: insert, update or delete"),
        ({**event(), "operation": "upsert"}, "operation", "operation must be insert, update or delete, not 'upsert'"),
        ({"operation": "insert"}, "element", "element is required: an object"),
        (event(type="edge"), "element.type", "element.type must be node or relation, not 'edge'"),
        (event(id=""), "element.id", "element.id must be a text that is not empty, not an empty text"),
        (event(id=7), "element.id", "element.id must be a text that is not empty, not a number"),
        (event(labels="Ship"), "element.labels", "element.labels must be a list of texts, not 'Ship'"),
        (event(labels=None), "element.labels", "element.labels is required: a list of texts"),
        (event(properties=[]), "element.properties", "element.properties must be an object, not a list"),
        (event(**{"from": "x"}), "element.from", "element.from must not be there: a node has no ends"),
        (event(type="relation", **{"from": "a"}), "element.to", "element.to is required: the id of a node"),
        (
            event(type="relation", labels=[], **{"from": "a", "to": "b"}),
            "element.labels",
            "element.labels must not be empty: a relation's first label is its type",
        ),
        ({**event(), "timestamp": 1.5}, "timestamp", "timestamp must be an integer: nanoseconds since 1970, not a number"),
        ({**event(), "timestamp": True}, "timestamp", "timestamp must be an integer: nanoseconds since 1970, not a boolean"),
    ],
)
async def test_a_malformed_event_is_refused_with_path_and_message(world: World, body: Any, path: str, message: str) -> None:
    answer = await world.client.post("/events", json=body)
    assert answer.status_code == 400
    assert answer.json() == {"errors": [{"path": path, "message": message}]}
    assert world.bus.published == []


@pytest.mark.parametrize("path", ["/events", "/events/batch"])
@pytest.mark.parametrize(
    ("value", "said"),
    [
        (b'"\xff\xfe"', "not UTF-8"),
        (b"[" * 100_000 + b"]" * 100_000, "too deep"),
        (b"[" * 900 + b"]" * 900, "64 deep at most"),
        (b'{"a":' * 65 + b"1" + b"}" * 65, "64 deep at most"),
    ],
)
async def test_bytes_that_are_no_text_and_nesting_without_end_are_refused(world: World, path: str, value: bytes, said: str) -> None:
    body = b'{"operation":"insert","element":{"type":"node","id":"s1","labels":["Ship"],"properties":{"v":%s}}}' % value
    answer = await world.client.post(path, content=body, headers={"content-type": "application/x-ndjson"})
    assert answer.status_code == 400
    assert said in answer.json()["errors"][0]["message"]
    assert world.bus.changes == []


async def test_nesting_that_a_property_may_have_is_taken(world: World) -> None:
    value: Any = 1
    for _ in range(64):
        value = [value]
    assert (await world.client.post("/events", json=event(properties={"v": value}))).status_code == 202
    [change] = world.bus.changes
    assert change.payload.after is not None
    validate_properties(change.payload.after.properties, "node s1")


async def test_a_body_that_is_no_json_is_refused(world: World) -> None:
    answer = await world.client.post("/events", content=b"{")
    assert answer.status_code == 400
    assert "the body is not JSON" in answer.json()["errors"][0]["message"]


async def test_a_batch_is_published_whole(world: World) -> None:
    answer = await world.client.post("/events/batch", json={"events": [event(id=f"s{n}") for n in range(100)]})
    assert answer.status_code == 202
    assert [identity for _, identity in world.bus.said] == [f"s{n}" for n in range(100)]
    assert {change.payload.source.tx for change in world.bus.changes} == {None}


async def test_a_batch_lists_every_bad_item_and_publishes_nothing(world: World) -> None:
    events = [event(), {"operation": "x"}, event(id="s2"), event(id=None, labels=3)]
    answer = await world.client.post("/events/batch", json={"events": events})
    assert answer.status_code == 400
    found = [(error["index"], error["path"]) for error in answer.json()["errors"]]
    assert found == [(1, "operation"), (1, "element"), (3, "element.id"), (3, "element.labels")]
    assert world.bus.published == []


@pytest.mark.parametrize("content_type", ["application/x-ndjson", "application/json"])
async def test_a_batch_may_be_one_event_a_line(world: World, content_type: str) -> None:
    body = "\n".join(json.dumps(event(id=f"s{n}")) for n in range(3)) + "\n"
    answer = await world.client.post("/events/batch", content=body, headers={"content-type": content_type})
    assert answer.status_code == 202
    assert [identity for _, identity in world.bus.said] == ["s0", "s1", "s2"]


async def test_a_bad_line_is_named_with_the_other_mistakes(world: World) -> None:
    body = "\n".join([json.dumps(event()), "{", json.dumps(event(id=""))])
    answer = await world.client.post("/events/batch", content=body, headers={"content-type": "application/x-ndjson"})
    assert answer.status_code == 400
    assert [error["index"] for error in answer.json()["errors"]] == [1, 2]
    assert world.bus.published == []


async def test_a_body_without_events_is_refused(world: World) -> None:
    answer = await world.client.post("/events/batch", json={"event": []})
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["path"] == "events"


async def test_a_batch_can_be_one_transaction(world: World) -> None:
    body = {"events": [event(id="a"), event(id="b")]}
    await world.client.post("/events/batch?tx=true", json=body)
    await world.client.post("/events/batch?tx=true", json=body)
    names = [change.payload.source.tx for change in world.bus.changes]
    assert names[0] == names[1] is not None
    assert names[2] == names[3] is not None
    assert names[0] != names[2]


async def test_a_misspelt_wish_for_a_transaction_is_refused(world: World) -> None:
    answer = await world.client.post("/events/batch?tx=banana", json={"events": [event(id="a")]})
    assert answer.status_code == 400
    assert answer.json()["errors"] == [{"path": "tx", "message": "tx must be true or false, not 'banana'"}]
    assert world.bus.published == []


async def test_the_idempotency_key_travels_with_the_change(world: World) -> None:
    headers = {"Idempotency-Key": "order-7"}
    for _ in range(2):
        answer = await world.client.post("/events", json=event(), headers=headers)
        assert answer.status_code == 202
    assert [change.payload.source.key for change in world.bus.changes] == ["order-7", "order-7"]
    await world.client.post("/events/batch", json={"events": [event(), event()]}, headers=headers)
    assert [change.payload.source.key for change in world.bus.changes[2:]] == ["order-7/0", "order-7/1"]
    answer = await world.client.post("/events", json=event(), headers={"Idempotency-Key": "x" * 257})
    assert answer.status_code == 400


async def test_a_body_beyond_eight_megabytes_is_too_large(world: World) -> None:
    answer = await world.client.post("/events/batch", content=b"x" * 8_000_001)
    assert answer.status_code == 413
    assert world.bus.published == []


async def test_a_bus_that_refuses_is_503(world: World) -> None:
    world.bus.failing = True
    answer = await world.client.post("/events", json=event())
    assert answer.status_code == 503
    assert answer.headers["retry-after"] == "1"
    assert "BusUnavailable" in answer.text


async def test_a_bus_that_takes_too_long_is_503() -> None:
    world = World()
    await world.start(timeoutMs=1)
    world.bus.gate.clear()
    answer = await world.client.post("/events", json=event())
    assert answer.status_code == 503
    assert "Idempotency-Key" in answer.text
    world.bus.gate.set()
    await world.stop()


async def test_too_much_waiting_is_429(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drasi.sources.intake.MOST_WAITING", 10)
    world.bus.gate.clear()
    posts = [asyncio.ensure_future(world.client.post("/events", json=event())) for _ in range(3)]
    await eventually(lambda: world.function._publisher.waiting_bytes > 0)
    answer = await world.client.post("/events", json=event())
    assert answer.status_code == 429
    world.bus.gate.set()
    await asyncio.gather(*posts)


async def test_positions_go_on_behind_a_restart(world: World) -> None:
    await world.client.post("/events/batch", json={"events": [event(), event()]})
    highest = world.bus.changes[-1].payload.source.position or ""
    again = World()
    again.state, again.bus = world.state, world.bus
    await again.start()
    await again.client.post("/events", json=event())
    change = world.bus.changes[-1]
    assert (change.payload.source.position or "") > highest
    assert change.payload.source.partition == "0"
    assert world.bus.graph.dropped == 0
    await again.stop()


async def test_many_posts_at_once_keep_positions_in_order(world: World) -> None:
    answers = await asyncio.gather(*(world.client.post("/events", json=event(id=f"s{n}")) for n in range(200)))
    assert {answer.status_code for answer in answers} == {202}
    positions = [change.payload.source.position or "" for change in world.bus.changes]
    assert positions == sorted(set(positions))
    assert len(positions) == 200
    assert len(world.bus.published) < 200


async def test_another_path_for_events() -> None:
    world = World()
    await world.start(endpoint="/in/ships")
    answer = await world.client.post("/in/ships", json=event())
    assert answer.status_code == 202
    await world.stop()


async def test_a_snapshot_is_empty_and_marked(world: World) -> None:
    header, end = [line async for line in await world.function.snapshot(SnapshotRequest())]
    assert header == SnapshotHeader("", NOW)
    assert end == SnapshotEnd(0)
    assert world.bus.published[-1].attributes["drasi-type"] == "marker"


async def test_webhooks_are_not_built_yet() -> None:
    function = SourceFunction("web", KIND, {"webhooks": {"routes": []}}, bus=RecordingBus(), state=MemoryState())
    with pytest.raises(DrasiError, match="webhooks of source web is not built yet") as refused:
        await function.start()
    assert refused.value.code == "NotYet"
    assert KIND.not_yet == {"webhooks", "bootstrap"}
