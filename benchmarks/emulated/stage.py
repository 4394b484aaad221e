"""The running system: a database, a query container, a reaction that calls and one that streams; and when each change arrived."""

from __future__ import annotations

import asyncio
import json
import re
import sqlite3
import time
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager, closing
from pathlib import Path
from typing import Any, Final

import httpx
import msgspec
from starlette.types import Receive, Scope, Send

from benchmarks import comfort
from drasi.embedded.server import HttpServer, bind
from drasi.emulate.system import EmulatedSystem
from drasi.web.push import read_body, respond

POLL_MS: Final = 5
SCHEMA: Final = """
PRAGMA journal_mode = WAL;
CREATE TABLE Building (id TEXT PRIMARY KEY, name TEXT);
CREATE TABLE Floor (id TEXT PRIMARY KEY, name TEXT, building_id TEXT REFERENCES Building (id));
CREATE TABLE Room (id TEXT PRIMARY KEY, name TEXT, temp REAL, humidity INTEGER, co2 INTEGER, floor_id TEXT REFERENCES Floor (id));
"""
_FIRST: Final = 1_000
_SAMPLE: Final = re.compile(r"^(\w+)(?:\{(.*)\})? (\S+)$", re.MULTILINE)


class _After(msgspec.Struct):
    ComfortLevel: float


class _Payload(msgspec.Struct):
    after: _After | None = None


class _Notification(msgspec.Struct):
    op: str
    payload: _Payload = msgspec.field(default_factory=_Payload)


class _Call(msgspec.Struct):
    after: _After | None = None


class Arrivals:
    """When the change that made a comfort level was sent, and when it came: every level occurs once."""

    def __init__(self) -> None:
        self.sent: dict[float, float] = {}
        self.called: dict[float, float] = {}
        self.streamed: dict[float, float] = {}
        self.news = asyncio.Event()

    def came(self, where: dict[float, float], after: _After | None) -> None:
        if after is not None and after.ComfortLevel not in where:
            where[after.ComfortLevel] = time.perf_counter()
            self.news.set()

    async def all(self, levels: Sequence[float], within_s: float = 240.0) -> None:
        """Returns when the changes that made these levels have come both ways."""
        async with asyncio.timeout(within_s):
            for where in (self.streamed, self.called):
                for level in levels:
                    while level not in where:
                        self.news.clear()
                        await self.news.wait()

    def latencies(self, where: dict[float, float], levels: Sequence[float]) -> list[float]:
        """In milliseconds."""
        return [(where[level] - self.sent[level]) * 1_000 for level in levels]


class Stage:
    """See the module.

    Attributes:
        rooms: How many there are.
    """

    def __init__(self, system: EmulatedSystem, database: Path, rooms: int, queries: int, arrivals: Arrivals) -> None:
        self.system = system
        self.rooms = rooms
        self.queries = queries
        self.arrivals = arrivals
        self._connection = sqlite3.connect(database, timeout=20, isolation_level=None, check_same_thread=False)
        self._connection.execute("PRAGMA synchronous = OFF")
        self._client = httpx.AsyncClient(timeout=30)
        self._number = 0

    async def close(self) -> None:
        self._connection.close()
        await self._client.aclose()

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.system.token}"}

    def change(self) -> float:
        """Writes one change, in a transaction of its own; returns the level it makes."""
        self._number += 1
        room = self._number % self.rooms
        temp = float(_FIRST + self._number)
        level = 50 + temp - 72
        self.arrivals.sent[level] = time.perf_counter()
        self._connection.execute("UPDATE Room SET temp = ? WHERE id = ?", (temp, f"r{room}"))
        return level

    async def used(self) -> Counter[str]:
        """The sums of the metrics of all functions; those of the source also under ``source:``."""
        sums: Counter[str] = Counter()
        places = [("source", "facilities"), ("container", "default"), ("reaction", "calls"), ("reaction", "stream")]
        for place, name in places:
            answer = await self._client.get(f"{self.system.fleet.url(place, name)}/metrics", headers=self.headers)
            answer.raise_for_status()
            for match in _SAMPLE.finditer(answer.text):
                sums[match[1]] += float(match[3])  # type: ignore[assignment]
                sums[f"{place}:{match[1]}"] += float(match[3])  # type: ignore[assignment]
        return sums

    async def follow(self, opened: asyncio.Event) -> None:
        """Reads the stream of the first query."""
        url = f"{self.system.fleet.url('reaction', 'stream')}/events?query=q0"
        decode = msgspec.json.Decoder(_Notification).decode
        headers = {**self.headers, "Accept": "text/event-stream"}
        async with self._client.stream("GET", url, headers=headers, timeout=None) as answer:
            answer.raise_for_status()
            async for line in answer.aiter_lines():
                if line.startswith("data:"):
                    notification = decode(line[5:])
                    if notification.op == "h":
                        opened.set()
                    elif notification.op in "iu":
                        self.arrivals.came(self.arrivals.streamed, notification.payload.after)

    async def running(self) -> None:
        """Returns when every query has read the database."""
        async with asyncio.timeout(120):
            for number in range(self.queries):
                while True:
                    answer = await self._client.get(f"{self.system.url}/queries/q{number}", headers=self.headers)
                    if answer.status_code == 200 and answer.json()[0]["header"]["state"] == "running":
                        break
                    await asyncio.sleep(0.05)


@asynccontextmanager
async def stage(directory: Path, emulators: dict[str, str], project: str, *, rooms: int, queries: int) -> AsyncIterator[Stage]:
    """Starts everything, and returns when the answers are there."""
    state = directory / "state"
    state.mkdir(parents=True)
    database = state / "comfort.db"
    _fill(database, rooms)
    arrivals = Arrivals()
    decode = msgspec.json.Decoder(_Call).decode

    async def target(scope: Scope, receive: Receive, send: Send) -> None:
        body = await read_body(receive)
        arrivals.came(arrivals.called, decode(body).after)
        await respond(send, 204)

    server = HttpServer(target, bind(0), drain_s=1.0)
    await server.start()
    (directory / "resources.json").write_text(_manifests(queries, f"http://127.0.0.1:{server.port}"))
    said: list[str] = []
    system = EmulatedSystem(state, lambda name, text: said.append(f"{name}: {text}"), project=project, **emulators)  # type: ignore[arg-type]
    try:
        await system.start([directory])
        async with asyncio.timeout(120):
            await system.fleet.ready()
        one = Stage(system, database, rooms, queries, arrivals)
        opened = asyncio.Event()
        following = asyncio.create_task(one.follow(opened))
        try:
            await one.running()
            async with asyncio.timeout(60):
                await opened.wait()
            # The reaction begins with the rows there are; behind this change, it has them.
            await arrivals.all([one.change()])
            yield one
        finally:
            following.cancel()
            await asyncio.wait([following])
            await one.close()
    except BaseException:
        print("\n".join(said[-40:]))
        raise
    finally:
        await system.close()
        server.begin_stop()
        await server.stopped()


def texts(queries: int) -> list[str]:
    """Different queries over the same graph. Each change alters the answer of each of them."""
    kinds = list(comfort.QUERIES.values())
    return [kinds[number % len(kinds)].replace("floor(50 ", f"floor({50 + number} ") for number in range(queries)]


def _fill(database: Path, rooms: int) -> None:
    floors = (rooms + 9) // 10
    with closing(sqlite3.connect(database)) as connection:
        connection.executescript(SCHEMA)
        connection.executemany(
            "INSERT INTO Building VALUES (?, ?)", [(f"b{n}", f"Building {n}") for n in range((floors + 9) // 10)]
        )
        connection.executemany(
            "INSERT INTO Floor VALUES (?, ?, ?)", [(f"f{n}", f"Floor {n}", f"b{n // 10}") for n in range(floors)]
        )
        rows = [(f"r{n}", f"Room {n}", 72.5, 42, 500, f"f{n // 10}") for n in range(rooms)]
        connection.executemany("INSERT INTO Room VALUES (?, ?, ?, ?, ?, ?)", rows)
        connection.commit()


def _manifests(queries: int, target: str) -> str:
    relations = [
        {"type": "PART_OF", "table": "Room", "columns": ["floor_id"], "references": "Floor"},
        {"type": "PART_OF", "table": "Floor", "columns": ["building_id"], "references": "Building"},
    ]
    properties = {"path": "comfort.db", "tables": ["Building", "Floor", "Room"], "pollIntervalMs": POLL_MS, "relations": relations}
    documents: list[dict[str, Any]] = [
        {"kind": "Source", "name": "facilities", "spec": {"kind": "SQLite", "properties": properties}}
    ]
    labels = {"nodes": [{"sourceLabel": each} for each in ("Room", "Floor", "Building")], "relations": [{"sourceLabel": "PART_OF"}]}
    for number, text in enumerate(texts(queries)):
        spec = {"sources": {"subscriptions": [{"id": "facilities", **labels}]}, "query": text}
        documents.append({"kind": "ContinuousQuery", "name": f"q{number}", "spec": spec})
    calls = {"kind": "Http", "properties": {"baseUrl": target}, "queries": {"q0": None}}
    stream = {"kind": "SSE", "queries": {f"q{number}": None for number in range(queries)}}
    documents.append({"kind": "Reaction", "name": "calls", "spec": calls})
    documents.append({"kind": "Reaction", "name": "stream", "spec": stream})
    return "\n---\n".join(json.dumps({"apiVersion": "v1", **document}) for document in documents)
