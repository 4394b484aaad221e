"""The system in one process: from a row in a database to an event, over restarts, and what stands around it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import httpx
import pytest

from drasi.embedded import EmbeddedSystem
from drasi.embedded.lock import AlreadyRunning
from drasi.messages.control import ControlMessage
from drasi.resources.resource import CONTINUOUS_QUERY, Resource
from tests.embedded.facilities import QUERIES, answers, apply_example, ordered, prepared, write
from tests.embedded.owner import owner
from tests.embedded.waiting import eventually
from tests.web.served import serving


@asynccontextmanager
async def running(system: EmbeddedSystem) -> AsyncIterator[httpx.AsyncClient]:
    async with system, serving(system.app) as client:
        client.headers.update(owner(system.directory))
        yield client


async def _rows(client: httpx.AsyncClient, query: str) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    answer = await client.get(f"/queries/{query}")
    assert answer.status_code == 200, answer.text
    header, *items = answer.json()
    return header["header"], ordered([item["data"] for item in items])


async def _all_running(client: httpx.AsyncClient) -> None:
    async def ready() -> bool:
        listed = (await client.get("/v1/continuousQueries")).json()
        return len(listed) == len(QUERIES) and all(query["status"]["status"] == "Running" for query in listed)

    await eventually(ready, "all queries run")


async def _agree(client: httpx.AsyncClient, state: Path) -> None:
    """The answers become what a direct evaluation of the database gives."""
    wanted = answers(state)

    async def agreed() -> bool:
        return all([(await _rows(client, query))[1] == wanted[query] for query in QUERIES])

    await eventually(agreed, "the answers are those of the database")


async def _notifications(client: httpx.AsyncClient, path: str, last: str = "") -> AsyncIterator[tuple[str, dict[str, Any]]]:
    """The messages of a stream of server-sent events: (last id, data)."""
    async with client.stream("GET", path, headers={"Last-Event-ID": last} if last else {}) as stream:
        async for line in stream.aiter_lines():
            if line.startswith("id: "):
                last = line[4:]
            elif line.startswith("data: "):
                yield last, json.loads(line[6:])


async def test_a_row_changes_in_the_database_and_the_event_comes(tmp_path: Path) -> None:
    system = await prepared(tmp_path / "state")
    async with running(system) as client:
        await apply_example(system)
        await _all_running(client)
        await _agree(client, system.directory)
        stream = _notifications(client, "/reactions/comfort-page/events?query=room-comfort,room-alert")
        rooms: dict[str, dict[str, Any]] = {}
        async with asyncio.timeout(20):
            async for _, item in stream:
                if item["op"] == "r":
                    rooms[item["payload"]["after"]["RoomId"]] = item["payload"]["after"]
                if len(rooms) == 47:
                    break
            before = rooms["room_02_01_03"]
            write(system.directory, "UPDATE Room SET temp = 90 WHERE id = 'room_02_01_03'")
            seen: dict[str, dict[str, Any]] = {}
            async for _, item in stream:
                if item["op"] in "iud":
                    seen[item["payload"]["source"]["queryId"]] = item
                if len(seen) == 2:
                    break
        await stream.aclose()  # type: ignore[attr-defined]
        assert seen["room-comfort"]["op"] == "u"
        assert seen["room-comfort"]["payload"]["before"] == before
        assert seen["room-comfort"]["payload"]["after"]["Temperature"] == 90
        assert seen["room-alert"]["op"] == "i"
        assert seen["room-alert"]["payload"]["after"]["RoomName"] == "Canteen"
        await _agree(client, system.directory)


async def test_a_reader_that_comes_back_continues_exactly(tmp_path: Path) -> None:
    system = await prepared(tmp_path / "state")
    async with running(system) as client:
        await apply_example(system)
        await _all_running(client)
        path = "/reactions/comfort-page/events?query=room-comfort"
        last, rows = "", 0
        async with asyncio.timeout(20):
            first = _notifications(client, path)
            async for at, item in first:
                last = at
                rows += item["op"] == "r"
                if rows == 47:
                    break
            await first.aclose()  # type: ignore[attr-defined]
            temps = [60.0, 61.0, 62.0]
            for temp in temps:
                write(system.directory, "UPDATE Room SET temp = ? WHERE id = 'room_01_01_01'", temp)
                await _agree(client, system.directory)
            seen: list[float] = []
            second = _notifications(client, path, last)
            async for _, item in second:
                assert item["op"] == "u"
                seen.append(item["payload"]["after"]["Temperature"])
                if len(seen) == 3:
                    break
            await second.aclose()  # type: ignore[attr-defined]
        assert seen == temps


async def test_a_restart_keeps_answers_and_sequences_and_takes_what_happened_meanwhile(tmp_path: Path) -> None:
    state = tmp_path / "state"
    system = await prepared(state)
    async with running(system) as client:
        await apply_example(system)
        await _all_running(client)
        write(state, "UPDATE Room SET temp = 81 WHERE id = 'room_01_02_03'")
        await _agree(client, state)
        before, _ = await _rows(client, "room-comfort")
    write(state, "UPDATE Room SET temp = 82 WHERE id = 'room_01_02_03'")
    write(state, "DELETE FROM Room WHERE id = 'room_03_01_01'")
    again = EmbeddedSystem(state)
    async with running(again) as client:
        await _all_running(client)
        await _agree(client, state)
        after, _ = await _rows(client, "room-comfort")
        events = await client.get(
            f"/queries/room-comfort/events?after={before['sequence']}&limit={after['sequence'] - before['sequence']}"
        )
        lines = [json.loads(line) for line in events.text.splitlines() if line]
    assert [line["sequence"] for line in lines] == list(range(before["sequence"] + 1, after["sequence"] + 1))
    assert all(line["kind"] == "change" for line in lines)


async def test_one_process_per_state_directory(tmp_path: Path) -> None:
    async with EmbeddedSystem(tmp_path):
        with pytest.raises(AlreadyRunning):
            await EmbeddedSystem(tmp_path).start()
    async with EmbeddedSystem(tmp_path):
        pass


async def test_queries_may_come_while_others_are_told_to_read_a_source_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def query(name: str) -> Resource:
        spec = {"sources": {"subscriptions": [{"id": "db"}]}, "query": "MATCH (r:Room) RETURN r.id AS id"}
        return Resource(kind=CONTINUOUS_QUERY, name=name, spec=spec)

    told: list[str | None] = []
    async with EmbeddedSystem(tmp_path) as system:
        runtime = system.runtime
        for name in ("a", "b"):
            await runtime.ensure(query(name), None)

        async def control(_container: str, message: ControlMessage) -> None:
            told.append(message.queryId)
            await runtime.ensure(query(f"{message.queryId}-late"), None)

        with monkeypatch.context() as patch:
            patch.setattr(runtime, "control", control)
            await runtime._renew("db", "its file was replaced")
    assert told == ["a", "b"]


async def test_nothing_is_left_running(tmp_path: Path) -> None:
    before = asyncio.all_tasks()
    system = await prepared(tmp_path / "state")
    async with system:
        await apply_example(system)
    assert asyncio.all_tasks() == before


@pytest.fixture
async def client(tmp_path: Path) -> AsyncIterator[httpx.AsyncClient]:
    system = await prepared(tmp_path / "state")
    async with running(system) as client:
        await apply_example(system)
        await _all_running(client)
        yield client


async def test_view_and_tail(client: httpx.AsyncClient) -> None:
    header, rows = await _rows(client, "building-comfort")
    assert header["state"] == "running"
    assert [row["BuildingName"] for row in rows] == ["Harbour House", "Mill Yard", "The Observatory"]
    assert (await client.get("/building-comfort")).json() == (await client.get("/queries/building-comfort")).json()
    missing = await client.get("/queries/nowhere")
    assert (missing.status_code, missing.text) == (404, "View `nowhere` not found")
    for parameter in ("timestamp=1", "at=2026-03-01T00:00:00Z", "sequence=1"):
        past = await client.get(f"/queries/building-comfort?{parameter}")
        assert past.status_code == 400
        assert past.text.startswith("NotYet")
    events = await client.get(f"/queries/building-comfort/events?after=0&limit={header['sequence']}")
    lines = [json.loads(line) for line in events.text.splitlines() if line]
    assert [line["sequence"] for line in lines] == list(range(1, header["sequence"] + 1))
    assert lines[0]["controlSignal"] == {"kind": "bootstrapStarted"}
    for bad in ("after=-1", "after=x", "limit=1.5", f"after={2**63}"):
        assert (await client.get(f"/queries/building-comfort/events?{bad}")).status_code == 400


async def test_server_sent_tail_honours_last_event_id(client: httpx.AsyncClient) -> None:
    headers = {"Accept": "text/event-stream", "Last-Event-ID": "1"}
    async with client.stream("GET", "/queries/building-comfort/events?after=0&limit=1", headers=headers) as stream:
        assert stream.headers["content-type"].startswith("text/event-stream")
        lines = [line async for line in stream.aiter_lines() if line.startswith(("id", "data"))]
    assert lines[0] == "id: 2"
    assert json.loads(lines[1][6:])["sequence"] == 2


async def test_health_metrics_page_and_console(client: httpx.AsyncClient) -> None:
    assert (await client.get("/healthz")).status_code == 200
    assert (await client.get("/readyz")).status_code == 200
    metrics = (await client.get("/metrics")).text
    assert 'drasi_query_rows{query="room-comfort"} 47.0' in metrics
    assert 'drasi_source_available{source="facilities"} 1.0' in metrics
    page = await client.get("/")
    assert "Building comfort" in page.text
    assert "default-src 'self'" in page.headers["content-security-policy"]
    assert (await client.get("/app.js")).headers["content-type"].startswith("text/javascript")
    assert (await client.get("/../example.py")).status_code == 404
    console = (await client.get("/console")).text
    assert "room-comfort" in console
    assert "facilities" in console


async def test_unknown_parts_say_where_to_look(client: httpx.AsyncClient) -> None:
    source = await client.post("/sources/nowhere/events", json={})
    assert source.status_code == 404
    assert "GET /v1/sources" in source.text
    reaction = await client.get("/reactions/nowhere/")
    assert reaction.status_code == 404


async def test_every_path_is_guarded(client: httpx.AsyncClient) -> None:
    for path in ("/", "/v1/sources", "/queries/room-comfort", "/panel/info", "/reactions/comfort-debug/", "/metrics"):
        assert (await client.get(path, headers={"Host": "evil.example"})).status_code == 403, path
    for path in ("/v1/apply", "/panel/rooms/room_01_01_01", "/sources/facilities/events"):
        foreign = await client.post(path, headers={"Origin": "http://evil.example"}, json={"temp": 1})
        assert foreign.status_code == 403, path
    own = await client.post("/panel/rooms/room_01_01_01", headers={"Origin": str(client.base_url).rstrip("/")}, json={"temp": 71})
    assert own.status_code == 200


async def test_the_panel_writes_to_the_database(client: httpx.AsyncClient, tmp_path: Path) -> None:
    answer = await client.post("/panel/rooms/room_03_04_01/break-sensor")
    assert answer.json()["statement"].startswith("UPDATE Room SET sensor = 'broken', temp = 40.0")
    await _agree(client, tmp_path / "state")
    alerts = (await _rows(client, "room-alert"))[1]
    assert [row["RoomName"] for row in alerts if row["RoomId"] == "room_03_04_01"] == ["Dome"]
    assert (await client.post("/panel/rooms/room_03_04_01", json={"temp": "warm"})).status_code == 400
    assert (await client.post("/panel/rooms/room_03_04_01", json={"floor_id": "x"})).status_code == 400
    assert (await client.post("/panel/rooms/nowhere", json={"temp": 70})).status_code == 404
    assert (await client.post("/panel/rooms/room_03_04_01/explode")).status_code == 404


async def test_names_of_paths_are_refused_as_names_of_queries(client: httpx.AsyncClient) -> None:
    manifest = """
apiVersion: v1
kind: ContinuousQuery
name: sources
spec:
  sources: {subscriptions: [{id: facilities}]}
  query: MATCH (r:Room) RETURN r.id AS id
"""
    answer = await client.post("/v1/apply", content=manifest, headers={"Content-Type": "application/yaml"})
    assert answer.status_code == 400
    assert "name 'sources' is a path of the API" in answer.text
