"""A database of a real PostgreSQL, a source that watches it, and the graph that its changes make."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any

import psycopg

from drasi.messages.changes import Element
from drasi.sources.function import SourceFunction
from drasi.sources.port import SnapshotEnd, SnapshotHeader, SnapshotRequest
from drasi.sources.postgresql.kind import KIND
from drasi.sources.state import MemoryState
from tests.postgres import Server
from tests.sources.sqlite_world import read_part
from tests.sources.world import Graph, RecordingBus, eventually

Client = psycopg.Connection[tuple[Any, ...]]


class PostgresWorld:
    def __init__(self, server: Server, database: str) -> None:
        self.server = server
        self.database = database
        self.bus = RecordingBus()
        self.state = MemoryState()
        self.renewals: list[str] = []
        self.functions: list[SourceFunction] = []
        self.clients: list[Client] = []

    def client(self) -> Client:
        """Any other program that uses the database."""
        client = self.server.connect(self.database)
        self.clients.append(client)
        return client

    def function(self, source_id: str = "db", **properties: Any) -> SourceFunction:
        server = self.server
        given = {
            "host": server.host,
            "port": server.port,
            "database": self.database,
            "user": server.superuser,
            "password": server.password,
            "slotName": f"{source_id}_{self.database}",
            **properties,
        }
        made = SourceFunction(
            source_id,
            KIND,
            given,
            bus=self.bus,
            state=self.state,
            schedule_s=0.005,
            renew=self._renew,
            only_wanted=True,
            sleep=lambda seconds: asyncio.sleep(min(seconds, 0.02)),
        )
        self.functions.append(made)
        return made

    async def watch(self, **properties: Any) -> SourceFunction:
        """A source that has started."""
        function = self.function(**properties)
        await function.start()
        await self.available(function)
        return function

    async def available(self, function: SourceFunction) -> None:
        await eventually(lambda: bool(function.status()["available"]), pause_s=0.002)

    async def settled(self, function: SourceFunction) -> None:
        """Waits until everything committed so far is published."""
        assert function.source is not None
        async with asyncio.timeout(20):
            await function.source.mark()

    async def close(self) -> None:
        for function in self.functions:
            await function.close()
        for client in self.clients:
            client.close()

    async def _renew(self, reason: str) -> None:
        self.renewals.append(reason)


@asynccontextmanager
async def world_of(server: Server) -> AsyncIterator[PostgresWorld]:
    database = server.new_database()
    made = PostgresWorld(server, database)
    try:
        yield made
    finally:
        await made.close()
        server.drop_database(database)


async def whole_snapshot(
    function: SourceFunction, request: SnapshotRequest | None = None
) -> tuple[list[SnapshotHeader], list[Element], list[SnapshotEnd]]:
    """All parts."""
    asked = request or SnapshotRequest()
    headers, elements, ends = [], [], []
    cursor: str | None = None
    while True:
        part = SnapshotRequest(asked.nodes, asked.relations, asked.limit, cursor)
        header, found, end = await read_part(function, part)
        headers.append(header)
        elements += found
        ends.append(end)
        cursor = end.cursor
        if cursor is None:
            return headers, elements, ends


async def snapshot_graph(function: SourceFunction) -> Graph:
    """The graph that a snapshot makes."""
    _, elements, _ = await whole_snapshot(function)
    graph = Graph()
    for element in elements:
        properties = {name: value for name, value in element.properties.items() if value is not None}
        assert element.id not in graph.elements
        graph.elements[element.id] = Element(element.id, element.labels, properties, element.startId, element.endId)
    return graph
