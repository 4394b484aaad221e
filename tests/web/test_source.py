"""The source function's routes, over a real source of kind Http or Mock."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

import httpx

from drasi.sources.function import SourceFunction
from drasi.sources.registry import kinds
from drasi.sources.state import MemoryState
from drasi.web.source import source_app
from tests.web.served import serving


class Published:
    """A bus that keeps what is published."""

    def __init__(self) -> None:
        self.changes: list[dict[str, Any]] = []

    async def publish(self, topic: str, data: bytes, *, attributes: Mapping[str, str] | None = None, ordering_key: str = "") -> str:
        self.changes += json.loads(data)
        return str(len(self.changes))


@asynccontextmanager
async def _source(kind: str, properties: dict[str, Any]) -> AsyncIterator[tuple[httpx.AsyncClient, Published]]:
    bus = Published()
    source = SourceFunction("db", kinds()[kind], properties, bus=bus, state=MemoryState())  # type: ignore[arg-type]
    await source.start()
    try:
        async with serving(source_app("db", source)) as client:
            yield client, bus
    finally:
        await source.close()


EVENT = {"operation": "insert", "element": {"type": "node", "id": "n1", "labels": ["N"], "properties": {"x": 1}}}


async def test_the_kinds_routes_are_at_the_root_and_below_its_name() -> None:
    async with _source("Http", {}) as (client, bus):
        assert (await client.post("/events", json=EVENT)).status_code == 202
        assert (await client.post("/sources/db/events", json=EVENT)).status_code == 202
        assert (await client.post("/sources/other/events", json=EVENT)).status_code == 404
    assert [change["payload"]["after"]["id"] for change in bus.changes] == ["n1", "n1"]


async def test_supports_stream_and_trigger() -> None:
    async with _source("Mock", {}) as (client, _):
        assert (await client.get("/supports-stream")).status_code == 204
        assert (await client.post("/supports-stream")).status_code == 204
        assert (await client.post("/")).status_code == 204


async def test_acquire_stream_speaks_both_protocols() -> None:
    async with _source("Http", {}) as (client, _):
        two = await client.post("/acquire-stream", json={"nodeLabels": ["N"], "relLabels": [], "protocol": 2})
        assert two.headers["content-type"] == "application/x-ndjson"
        lines = [json.loads(line) for line in two.text.splitlines()]
        assert lines[0]["header"]["source"] == "db"
        assert lines[-1]["end"] == {"count": 0}
        one = await client.post("/acquire-stream", json={"nodeLabels": [], "relLabels": []})
        assert (one.status_code, one.text) == (200, "")
        bad = await client.post("/acquire-stream", content=b"{")
        assert bad.status_code == 400
        assert "snapshot request" in bad.text


async def test_a_subscription_is_answered_with_the_snapshot() -> None:
    async with _source("Http", {}) as (client, _):
        body = {"queryId": "q", "queryNodeId": "default", "nodeLabels": ["N"], "relLabels": []}
        assert (await client.post("/subscription", json=body)).status_code == 200
        assert (await client.delete("/subscription/default/q")).status_code == 200
        bad = await client.post("/subscription", json={"queryId": "q"})
        assert bad.status_code == 400
        assert "queryNodeId" in bad.text


async def test_health_and_metrics() -> None:
    async with _source("Http", {}) as (client, _):
        await client.post("/events", json=EVENT)
        assert (await client.get("/healthz")).status_code == 200
        assert (await client.get("/readyz")).status_code == 200
        metrics = (await client.get("/metrics")).text
    assert 'drasi_source_available{source="db"} 1.0' in metrics
    assert 'drasi_source_published_total{source="db"} 1.0' in metrics
