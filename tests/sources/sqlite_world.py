"""A database, a source that watches it, and the graph that its changes make."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

from drasi.messages.changes import Element
from drasi.sources.function import SourceFunction
from drasi.sources.port import SnapshotEnd, SnapshotHeader, SnapshotRequest
from drasi.sources.sqlite.source import KIND
from drasi.sources.state import MemoryState
from tests.sources.world import RecordingBus, eventually

POLL_MS = 5


class SQLiteWorld:
    def __init__(self, path: Path) -> None:
        self.path = path
        self.bus = RecordingBus()
        self.state = MemoryState()
        self.renewals: list[str] = []
        self.connections: list[sqlite3.Connection] = []
        self.functions: list[SourceFunction] = []

    def client(self) -> sqlite3.Connection:
        """Any other program that uses the database."""
        connection = sqlite3.connect(self.path, isolation_level=None)
        connection.execute("PRAGMA synchronous = OFF")
        self.connections.append(connection)
        return connection

    def function(self, **properties: Any) -> SourceFunction:
        made = SourceFunction(
            "db",
            KIND,
            {"path": str(self.path), "pollIntervalMs": POLL_MS, **properties},
            bus=self.bus,
            state=self.state,
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
        await self.until(lambda: function.status()["available"])
        return function

    def forget_journal(self) -> None:
        """Before another file takes the database's place."""
        for ending in ("-wal", "-shm"):
            Path(f"{self.path}{ending}").unlink(missing_ok=True)

    async def until(self, condition: Callable[[], bool]) -> None:
        await eventually(condition, pause_s=0.002)

    async def until_graph(self, expected: Callable[[], Any], actual: Callable[[], Any]) -> None:
        """Waits for the source to catch up; then the two must be equal."""
        await eventually(lambda: bool(expected() == actual()), pause_s=0.005)

    async def settled(self, function: SourceFunction) -> None:
        """Waits until everything captured so far is published."""
        assert function.source is not None
        async with asyncio.timeout(20):
            await function.source.mark()

    async def close(self) -> None:
        for function in self.functions:
            await function.close()
        for connection in self.connections:
            connection.close()

    async def _renew(self, reason: str) -> None:
        self.renewals.append(reason)


async def read_part(function: SourceFunction, request: SnapshotRequest) -> tuple[SnapshotHeader, list[Element], SnapshotEnd]:
    lines = [line async for line in await function.snapshot(request)]
    header, *elements, end = lines
    assert isinstance(header, SnapshotHeader)
    assert isinstance(end, SnapshotEnd)
    return header, [element for element in elements if isinstance(element, Element)], end
