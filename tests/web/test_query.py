"""The query function over a real container in memory: push in, rows and tail out; and the same read from another process."""

from __future__ import annotations

import asyncio
import itertools
import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from drasi.container import SnapshotPart, SourceMissing
from drasi.messages.envelope import Message, encode_push
from drasi.messages.reading import Gone, QueryNotFound, QueryUnavailable
from drasi.messages.results import ChangeEvent
from drasi.web.query import query_app
from drasi.web.remote import RemoteReader
from drasi.web.stores import LogFiles, Stores
from tests.web.served import serving

CONTAINER = {"defaultStore": "memory", "storage": {"memory": {"kind": "memory"}, "second": {"kind": "memory"}}}
TEXT = "MATCH (s:Ship) RETURN s.name AS name, s.berth AS berth"


class NoBus:
    async def publish(self, topic: str, data: bytes, *, attributes: Mapping[str, str] | None = None, ordering_key: str = "") -> str:
        return "1"


class Empty:
    """Sources that are there and have nothing."""

    async def read(self, source: str, nodes: frozenset[str], relations: frozenset[str], cursor: str | None) -> SnapshotPart:
        if source == "nowhere":
            raise SourceMissing("there is no source 'nowhere' yet")
        return SnapshotPart([], None, 0, marked=False)


_numbers = itertools.count(1)


def _spec(source: str = "harbour", **more: Any) -> dict[str, Any]:
    return {"sources": {"subscriptions": [{"id": source}]}, "query": TEXT, **more}


async def _push(client: httpx.AsyncClient, path: str, data: Any, attributes: dict[str, str]) -> int:
    message = Message(json.dumps(data).encode(), attributes, "harbour", str(next(_numbers)), "2026-03-01T08:15:30Z")
    return (await client.post(path, content=encode_push(message, "s"))).status_code


async def _configure(client: httpx.AsyncClient, query: str, spec: dict[str, Any], version: int = 1) -> None:
    body = {"kind": "configure", "queryId": query, "version": version, "spec": spec}
    assert await _push(client, "/control", body, {"drasi-type": "container-control", "container": "port"}) == 204


async def _ship(client: httpx.AsyncClient, name: str, berth: Any, position: int) -> int:
    source = {"db": "harbour", "table": "node", "ts_ns": 1_772_352_930_000_000_000, "position": f"{position:020}"}
    after = {"id": name, "labels": ["Ship"], "properties": {"name": name, "berth": berth}}
    item = {"op": "i", "payload": {"source": source, "after": after}}
    return await _push(client, "/changes", [item], {"drasi-type": "changes", "source": "harbour", "count": "1"})


async def _state(client: httpx.AsyncClient, query: str) -> str:
    answer = await client.get(f"/queries/{query}")
    return str(answer.json()[0]["header"]["state"]) if answer.status_code == 200 else str(answer.status_code)


async def _running(client: httpx.AsyncClient, query: str) -> None:
    async with asyncio.timeout(10):
        while await _state(client, query) != "running":  # noqa: ASYNC110 -- the container has a task of its own
            await asyncio.sleep(0.005)


@asynccontextmanager
async def _port(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    stores = Stores("port", CONTAINER, logs=LogFiles(tmp_path), bus=NoBus(), snapshots=Empty())  # type: ignore[arg-type]
    await stores.start()
    try:
        async with serving(query_app(stores, heartbeat_s=0.02)) as client:
            yield client
    finally:
        await stores.close()


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    async with _port(tmp_path) as client:
        await _configure(client, "ships", _spec())
        await _running(client, "ships")
        yield client


async def test_a_pushed_change_is_in_the_answer_and_a_repeat_changes_nothing(client: httpx.AsyncClient) -> None:
    assert await _ship(client, "Aurora", 3, 1) == 204
    before = (await client.get("/queries/ships")).json()
    assert [item["data"] for item in before[1:]] == [{"name": "Aurora", "berth": 3}]
    assert await _ship(client, "Aurora", 3, 1) == 204
    assert (await client.get("/ships")).json() == before


async def test_numbers_and_texts_come_out_exactly(client: httpx.AsyncClient) -> None:
    values = [2**63 - 1, -(2**63), 0.1, 1.0, 'a "quoted" ü\n', None, [1, [True, None]], {"b": 1, "a": 2}]
    for position, value in enumerate(values, 1):
        assert await _ship(client, f"s{position}", value, position) == 204
    text = (await client.get("/queries/ships")).text
    rows = {item["data"]["name"]: item["data"]["berth"] for item in json.loads(text)[1:]}
    assert [rows[f"s{position}"] for position in range(1, len(values) + 1)] == values
    assert '"berth":1.0' in text
    assert '"berth":9223372036854775807' in text


async def test_the_tail_stays_open_and_beats(client: httpx.AsyncClient) -> None:
    sequence = (await client.get("/queries/ships")).json()[0]["header"]["sequence"]
    async with client.stream("GET", f"/queries/ships/events?after={sequence}") as stream:
        assert stream.headers["content-type"] == "application/x-ndjson"
        lines = stream.aiter_lines()
        assert await anext(lines) == ""
        await _ship(client, "Bora", 4, 1)
        async for line in lines:
            if line:
                break
    event = json.loads(line)
    assert (event["kind"], event["sequence"]) == ("change", sequence + 1)
    assert event["addedResults"] == [{"name": "Bora", "berth": 4}]


async def test_without_after_only_what_comes(client: httpx.AsyncClient) -> None:
    await _ship(client, "Aurora", 3, 1)
    async with client.stream("GET", "/queries/ships/events?limit=1") as stream:
        await _ship(client, "Bora", 4, 2)
        lines = [line async for line in stream.aiter_lines() if line]
    assert [json.loads(line)["addedResults"][0]["name"] for line in lines] == ["Bora"]


async def test_a_query_of_a_source_that_is_not_there_waits(client: httpx.AsyncClient) -> None:
    await _configure(client, "lost", _spec("nowhere"))
    assert await _state(client, "lost") == "bootstrapping"
    assert (await client.get("/queries/lost")).json()[1:] == []


async def test_a_query_that_changes_its_store_goes_on_with_its_sequence(client: httpx.AsyncClient) -> None:
    await _ship(client, "Aurora", 3, 1)
    before = (await client.get("/queries/ships")).json()[0]["header"]["sequence"]
    await _configure(client, "ships", _spec(storageProfile="second"), version=2)
    await _running(client, "ships")
    after = (await client.get("/queries/ships")).json()[0]["header"]["sequence"]
    assert after > before


async def test_health_and_metrics(client: httpx.AsyncClient) -> None:
    await _ship(client, "Aurora", 3, 1)
    assert (await client.get("/readyz")).status_code == 200
    metrics = (await client.get("/metrics")).text
    assert 'drasi_query_rows{query="ships"} 1.0' in metrics
    assert 'drasi_container_elements{container="port",store="memory"} 1.0' in metrics


def _reader(client: httpx.AsyncClient) -> RemoteReader:
    return RemoteReader(client, lambda query: str(client.base_url).rstrip("/"))


async def test_another_process_reads_view_and_tail(client: httpx.AsyncClient) -> None:
    reader = _reader(client)
    await _ship(client, "Aurora", 3, 1)
    view = await reader.view("ships")
    assert [row.data for row in view.rows] == [{"name": "Aurora", "berth": 3}]
    assert await reader.read_events("ships", view.sequence, 10) == []
    known = await reader.read_events("ships", view.sequence - 1, 10)
    assert [event.sequence for event in known] == [view.sequence]
    assert len(await reader.read_events("ships", 0, 2)) == 2
    events = reader.events("ships", view.sequence)
    await _ship(client, "Bora", 4, 2)
    event = await anext(events)
    await events.aclose()  # type: ignore[attr-defined]
    assert isinstance(event, ChangeEvent)
    assert event.addedResults == [{"name": "Bora", "berth": 4}]


async def test_what_cannot_be_read_is_told_apart(client: httpx.AsyncClient) -> None:
    with pytest.raises(QueryNotFound):
        await _reader(client).view("nowhere")
    with pytest.raises(QueryNotFound):
        await _reader(client).read_events("nowhere", 0, 1)
    nobody = RemoteReader(client, lambda query: "http://127.0.0.1:1")
    with pytest.raises(QueryUnavailable):
        await nobody.view("ships")
    with pytest.raises(QueryUnavailable):
        await anext(nobody.events("ships", 0))


async def test_a_trimmed_tail_is_gone_for_both(client: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch) -> None:
    async def trimmed(self: object, query_id: str, after: int, limit: int) -> list[tuple[int, bytes]]:
        raise Gone(after, 5, 9)

    monkeypatch.setattr("drasi.container.Container.read_events_json", trimmed)
    answer = await client.get("/queries/ships/events?after=1")
    assert (answer.status_code, answer.json()) == (410, {"requested": 1, "earliest": 5, "latest": 9})
    with pytest.raises(Gone) as raised:
        await _reader(client).read_events("ships", 1, 1)
    assert (raised.value.earliest, raised.value.latest) == (5, 9)
