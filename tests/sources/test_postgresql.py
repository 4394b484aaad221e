"""The PostgreSQL source: other programs change a real database, the graph follows."""

from __future__ import annotations

import asyncio
import json
import random
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest

from drasi.messages.changes import Element
from drasi.sources.function import SourceFunction
from drasi.sources.port import BadRequest, Labels, OriginUnavailable, SnapshotRequest
from tests.postgres import Server, postgres, running
from tests.sources.postgres_world import PostgresWorld, snapshot_graph, whole_snapshot, world_of
from tests.sources.world import Graph, eventually

__all__ = ["postgres"]


@pytest.fixture
async def world(postgres: Server) -> AsyncIterator[PostgresWorld]:
    async with world_of(postgres) as made:
        yield made


async def test_what_another_program_writes_arrives(world: PostgresWorld) -> None:
    client = world.client()
    client.execute('CREATE TABLE "Room" (id int PRIMARY KEY, name text, temp float8)')
    function = await world.watch(tables=["public.Room"])
    client.execute("""INSERT INTO "Room" VALUES (1, 'hall', 20.5), (2, 'attic', NULL)""")
    client.execute('UPDATE "Room" SET temp = 0.1::float8 + 0.2::float8 WHERE id = 1')
    client.execute('DELETE FROM "Room" WHERE id = 2')
    await world.settled(function)
    assert world.bus.said == [("i", "public:Room:1"), ("i", "public:Room:2"), ("u", "public:Room:1"), ("d", "public:Room:2")]
    assert world.bus.graph.properties() == {"public:Room:1": {"id": 1, "name": "hall", "temp": 0.1 + 0.2}}
    [insert, second, update, _] = world.bus.changes
    assert insert.payload.after is not None
    assert insert.payload.after.labels == ["Room"]
    assert insert.payload.source.tx == second.payload.source.tx != update.payload.source.tx
    assert insert.payload.source.position == f"{insert.payload.source.lsn:016X}-00000001"
    [[now]] = client.execute("SELECT (extract(epoch FROM now()) * 1000000)::bigint")
    assert now - 60_000_000 < insert.payload.source.ts_ns // 1_000 <= now
