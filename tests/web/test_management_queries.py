"""Rows, events, watch and plan through management."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from drasi.messages.reading import View, ViewRow
from drasi.messages.results import ChangeEvent, ControlEvent, ControlSignal
from tests.web.managed import QUERY, Managed

BASE = "/v1/continuousQueries/ticks"


def added(sequence: int, *values: int) -> ChangeEvent:
    rows: list[dict[str, Any]] = [{"value": value} for value in values]
    return ChangeEvent("ticks", sequence, 1_000, addedResults=rows, addedRowIds=[f"n:{value}" for value in values])


def deleted(sequence: int) -> ControlEvent:
    return ControlEvent("ticks", sequence, 2_000, ControlSignal("deleted"))


@pytest.fixture
async def managed() -> AsyncIterator[Managed]:
    managed = Managed()
    await managed.installation.restore()
    await managed.apply(QUERY)
    reader = managed.runtime.reader
    reader.views["ticks"] = View(4, 500, "running", [ViewRow({"value": 1}, "n:1"), ViewRow({"value": 2.0}, "n:2")])
    reader.tails["ticks"] = [added(3, 1), added(4, 2), added(5, 3), deleted(6)]
    yield managed
    await managed.client.aclose()


async def test_rows(managed: Managed) -> None:
    answer = await managed.client.get(f"{BASE}/rows")
    assert answer.json() == [
        {"header": {"sequence": 4, "timestamp": 500, "state": "running"}},
        {"data": {"value": 1}, "rowId": "n:1"},
        {"data": {"value": 2.0}, "rowId": "n:2"},
    ]
    assert '"value":2.0' in answer.text


@pytest.mark.parametrize("parameter", ["timestamp=1", "at=2026-03-01T00:00:00Z", "sequence=3"])
async def test_past_states_are_not_built(managed: Managed, parameter: str) -> None:
    answer = await managed.client.get(f"{BASE}/rows?{parameter}")
    assert (answer.status_code, answer.json()["code"]) == (400, "NotYet")


async def test_events_after_a_sequence(managed: Managed) -> None:
    answer = await managed.client.get(f"{BASE}/events", params={"after": 3, "limit": 2})
    assert answer.headers["content-type"].startswith("application/x-ndjson")
    assert [json.loads(line)["sequence"] for line in answer.text.splitlines()] == [4, 5]
    whole = await managed.client.get(f"{BASE}/events", params={"after": 3})
    assert [json.loads(line)["sequence"] for line in whole.text.splitlines()] == [4, 5, 6]
    from_now = await managed.client.get(f"{BASE}/events")
    assert [json.loads(line)["sequence"] for line in from_now.text.splitlines()] == [5, 6], "without a sequence: from now on"


async def test_events_as_a_stream_of_server_sent_events(managed: Managed) -> None:
    answer = await managed.client.get(f"{BASE}/events", headers={"Accept": "text/event-stream", "Last-Event-ID": "4"})
    assert answer.headers["content-type"].startswith("text/event-stream")
    assert [part.split("\n")[0] for part in answer.text.split("\n\n") if part.startswith("id")] == ["id: 5", "id: 6"]


async def test_trimmed_events_are_gone(managed: Managed) -> None:
    answer = await managed.client.get(f"{BASE}/events", params={"after": 0})
    assert answer.status_code == 410
    body = answer.json()
    assert (body["requested"], body["earliest"], body["latest"]) == (0, 3, 6)


async def test_watch_is_the_view_and_then_every_event_until_the_query_is_deleted(managed: Managed) -> None:
    answer = await managed.client.get(f"{BASE}/watch")
    events = answer.json()
    assert [(event["kind"], event["sequence"]) for event in events] == [("change", 4), ("change", 5), ("control", 6)]
    assert events[0]["addedResults"] == [{"value": 1}, {"value": 2.0}]
    assert events[0]["addedRowIds"] == ["n:1", "n:2"]
    assert '{"value":2.0}' in answer.text
    assert "metadata" not in answer.text
    assert all(json.loads(line.strip("[], ")) for line in answer.text.splitlines() if line.strip("[], ")), "one event a line"


async def test_watch_after_a_sequence(managed: Managed) -> None:
    events = (await managed.client.get(f"{BASE}/watch", params={"after": 3})).json()
    assert [event["sequence"] for event in events] == [4, 5, 6]
    assert (await managed.client.get(f"{BASE}/watch", params={"after": 0})).status_code == 410


async def test_watch_of_many_rows_and_of_none(managed: Managed) -> None:
    reader = managed.runtime.reader
    reader.views["ticks"] = View(4, 500, "running", [ViewRow({"value": n}, f"n:{n}") for n in range(2_500)])
    events = (await managed.client.get(f"{BASE}/watch")).json()
    assert [len(event["addedResults"]) for event in events if event["sequence"] == 4] == [1_000, 1_000, 500]
    reader.views["ticks"] = View(6, 500, "running", [])
    assert (await managed.client.get(f"{BASE}/watch")).json() == []


async def test_a_query_that_its_container_does_not_have_yet(managed: Managed) -> None:
    managed.runtime.reader.views.clear()
    answer = await managed.client.get(f"{BASE}/rows")
    assert (answer.status_code, answer.headers["retry-after"]) == (503, "1")
    watched = await managed.client.get(f"{BASE}/watch", headers={"Accept": "text/plain"})
    assert (watched.status_code, watched.text) == (503, "Query container is offline")


async def test_a_query_that_is_not_there(managed: Managed) -> None:
    for path in ("rows", "events", "watch", "explain"):
        assert (await managed.client.get(f"/v1/continuousQueries/tocks/{path}")).status_code == 404


async def test_explain(managed: Managed) -> None:
    assert (await managed.client.get(f"{BASE}/explain")).json() == {"id": "ticks", "plan": "plan of ticks in default"}
    assert (await managed.client.get(f"{BASE}/explain", headers={"Accept": "text/plain"})).text == "plan of ticks in default"


@pytest.mark.parametrize("parameter", ["after=-1", "after=x", f"after={2**63}", "limit=many"])
async def test_parameters_that_are_wrong(managed: Managed, parameter: str) -> None:
    answer = await managed.client.get(f"{BASE}/events?{parameter}")
    assert (answer.status_code, answer.json()["code"]) == (400, "BadRequest")
