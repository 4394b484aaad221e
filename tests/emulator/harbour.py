"""A harbour as four kinds of processes on the emulators: its database, its resources, and who listens to it."""

from __future__ import annotations

import asyncio
import itertools
import json
import random
import sqlite3
from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import asynccontextmanager, closing, contextmanager
from pathlib import Path
from typing import Any

import httpx
from starlette.types import Receive, Scope, Send

from drasi.embedded.server import HttpServer, bind
from drasi.emulate.system import EmulatedSystem
from drasi.resources.secrets import variable_name
from drasi.web.push import read_body, respond
from tests.emulator import emulators
from tests.postgres import Server

SHIPS = 40
BERTHS = 6
QUERIES = {
    # Of the default container, which has one instance.
    "berth-load": ("default", "MATCH (s:Ship) RETURN s.berth AS berth, count(s) AS ships, sum(s.draught) AS draught"),
    # Of a container with two.
    "deep-ships": ("pair", "MATCH (s:Ship) WHERE s.draught > 20 RETURN s.id AS ship, s.berth AS berth, s.draught AS draught"),
}
DIRECT = {
    "berth-load": "SELECT berth, count(*) AS ships, sum(draught) AS draught FROM Ship GROUP BY berth",
    "deep-ships": "SELECT id AS ship, berth, draught FROM Ship WHERE draught > 20",
}

LOAD = {"berth", "ships", "draught"}

FUNCTIONS = [
    ("management", "management"),
    ("source", "harbour-db"),
    ("container", "default"),
    ("container", "pair"),
    ("reaction", "alerts"),
    ("reaction", "board"),
    ("reaction", "loads"),
]

_projects = itertools.count(1)

SCHEMA = "CREATE TABLE Ship (id TEXT PRIMARY KEY, berth INTEGER NOT NULL, draught INTEGER NOT NULL)"
FLEET = [(f"ship-{number}", number % BERTHS, number) for number in range(SHIPS)]
PAIR = {"defaultStore": "durable", "storage": {"durable": {"kind": "firestore"}}}


class SqliteDatabase:
    """The harbour's ships in a file."""

    def __init__(self, state: Path) -> None:
        self._file = state / "harbour.db"
        self.source = {"kind": "SQLite", "properties": {"path": "harbour.db", "tables": ["Ship"], "pollIntervalMs": 20}}
        with self._connected() as connection:
            connection.execute("PRAGMA journal_mode = WAL")
            connection.execute(SCHEMA)
            connection.executemany("INSERT INTO Ship VALUES (?, ?, ?)", FLEET)

    def write(self, statements: Iterable[str]) -> None:
        """Each in a transaction of its own."""
        with self._connected() as connection:
            for statement in statements:
                connection.execute(statement)

    def read(self, statement: str) -> list[dict[str, Any]]:
        with self._connected() as connection:
            connection.row_factory = sqlite3.Row
            return [dict(row) for row in connection.execute(statement)]

    @contextmanager
    def _connected(self) -> Iterator[sqlite3.Connection]:
        with closing(sqlite3.connect(self._file, timeout=20, isolation_level=None)) as connection:
            yield connection


class PostgresDatabase:
    """The same in a database of a server."""

    def __init__(self, server: Server) -> None:
        self._server = server
        self._name = server.new_database()
        place = {"host": server.host, "port": server.port, "database": self._name, "user": server.superuser}
        password = {"kind": "Secret", "name": "harbour", "key": "password"}
        properties = {**place, "password": password, "tables": ["public.Ship"]}
        self.source = {"kind": "PostgreSQL", "schedule": "20ms", "properties": properties}
        values = ", ".join(str(ship) for ship in FLEET)
        self.write([SCHEMA, f"INSERT INTO Ship VALUES {values}"])

    def write(self, statements: Iterable[str]) -> None:
        """Each in a transaction of its own."""
        with self._server.connect(self._name) as connection:
            for statement in statements:
                connection.execute(statement.replace(" Ship ", ' "Ship" ').encode())

    def read(self, statement: str) -> list[dict[str, Any]]:
        with self._server.connect(self._name) as connection:
            cursor = connection.execute(f"{statement} ".replace(" Ship ", ' "Ship" ').encode())
            names = [column.name for column in cursor.description or ()]
            return [dict(zip(names, row, strict=True)) for row in cursor]


Database = SqliteDatabase | PostgresDatabase


class Target:
    """Takes the calls of the Http reaction; with ``failing`` it answers now and then that it cannot, and takes the call or not."""

    def __init__(self) -> None:
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.failing = 0.0
        self.url = ""
        self._random = random.Random(7)

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body = json.loads(await read_body(receive))
        key = dict(scope["headers"])[b"idempotency-key"].decode()
        fate = self._random.random()
        if fate >= self.failing / 2:
            self.calls.append((key, body))
        await respond(send, 503 if fate < self.failing else 204)


@asynccontextmanager
async def target() -> AsyncIterator[Target]:
    """A target on a port of its own."""
    found = Target()
    server = HttpServer(found, bind(0), drain_s=1.0)
    await server.start()
    found.url = f"http://127.0.0.1:{server.port}"
    try:
        yield found
    finally:
        server.begin_stop()
        await server.stopped()


class Harbour:
    """The running system, and its database."""

    def __init__(self, database: Database, system: EmulatedSystem, calls: Target, firestore: str) -> None:
        self.database = database
        self.system = system
        self.calls = calls
        self.firestore = firestore
        self.client = httpx.AsyncClient(timeout=20)

    @property
    def headers(self) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.system.token}"}

    def direct(self, query: str) -> list[dict[str, Any]]:
        """The answer by SQL."""
        return in_order(self.database.read(DIRECT[query]))

    async def rows(self, query: str) -> list[dict[str, Any]] | None:
        """The answer by the query function; None: it has none yet."""
        try:
            answer = await self.client.get(f"{self.system.url}/queries/{query}", headers=self.headers)
        except httpx.HTTPError:
            return None
        if answer.status_code != 200:
            return None
        header, *items = answer.json()
        return in_order([item["data"] for item in items]) if header["header"]["state"] == "running" else None

    async def loads(self) -> list[dict[str, Any]]:
        """What the Firestore reaction keeps, as another program reads it."""
        url = f"http://{self.firestore}/v1/projects/{self.system.project}/databases/(default)/documents/loads"
        documents = (await self.client.get(url, headers={"Authorization": "Bearer owner"})).json().get("documents", [])
        rows = [
            {name: int(value["integerValue"]) for name, value in document["fields"].items() if name in LOAD}
            for document in documents
            if document["fields"].keys() >= LOAD
        ]
        return in_order(rows)

    async def agrees(self) -> bool:
        """Whether every answer is that of the database."""
        return all([await self.rows(query) == self.direct(query) for query in QUERIES])

    async def tail(self, query: str, after: int = 0) -> list[dict[str, Any]]:
        """The result events up to the newest."""
        url = f"{self.system.url}/queries/{query}"
        latest = (await self.client.get(url, headers=self.headers)).json()[0]["header"]["sequence"]
        asked = {"after": after, "limit": latest - after}
        answer = await self.client.get(f"{url}/events", params=asked, headers=self.headers)
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.splitlines() if line]

    async def standing(self) -> str:
        """Answers, and what the functions say of themselves: for who looks for the reason of a failure."""
        found = []
        asked = [(f"rows of {query}", f"{self.system.url}/queries/{query}") for query in QUERIES]
        asked += [(name, f"{self.system.fleet.url(place, name)}/status") for place, name in FUNCTIONS]
        for what, url in asked:
            try:
                answer = await self.client.get(url, headers=self.headers)
            except httpx.HTTPError as error:
                found.append(f"{what}: {type(error).__name__}")
            else:
                found.append(f"{what}: {answer.status_code} {answer.text}")
        found += [f"{query} by SQL: {self.direct(query)}" for query in QUERIES]
        return "\n".join(found)

    async def follow(self, query: str, seen: dict[int, Any]) -> None:
        """Reads server-sent events for ever, as a browser does: after a break from the last id on."""
        url = f"{self.system.url}/queries/{query}/events"
        while True:
            last = max(seen, default=0)
            headers = {**self.headers, "Accept": "text/event-stream", "Last-Event-ID": str(last)}
            try:
                async with self.client.stream("GET", url, headers=headers) as stream:
                    if stream.status_code == 200:
                        async for line in stream.aiter_lines():
                            if line.startswith("data: "):
                                event = json.loads(line[6:])
                                assert event["sequence"] not in seen
                                seen[event["sequence"]] = event
            except httpx.HTTPError:
                pass
            await asyncio.sleep(0.05)

    async def read_notifications(self, seen: list[dict[str, Any]]) -> None:
        """Reads the stream of the SSE reaction until it breaks."""
        url = f"{self.system.url}/reactions/board/events"
        headers = {**self.headers, "Accept": "text/event-stream"}
        async with self.client.stream("GET", url, params={"query": "deep-ships"}, headers=headers) as stream:
            async for line in stream.aiter_lines():
                if line.startswith("data: "):
                    seen.append(json.loads(line[6:]))  # noqa: PERF401 -- others look at it meanwhile


@asynccontextmanager
async def harbour(
    directory: Path,
    said: list[str],
    server: Server | None = None,
    *,
    firestore: str | None = None,
    documents: str | None = None,
    pubsub: str | None = None,
    heal: bool = True,
    hosts: int = 2,
    variables: dict[str, str] | None = None,
) -> AsyncIterator[Harbour]:
    """Everything runs; over SQLite, or over PostgreSQL.

    Args:
        firestore: ``host:port`` where the functions find the emulator, if something is between, or it is one of its own.
        documents: Where the emulator itself is, if something is between.
        pubsub: The same as ``firestore``.
        heal: Whether it begins anew by itself when Firestore was emptied.
        hosts: Instances of the second container.
        variables: More for the environment of the functions.
    """
    state = directory / "state"
    state.mkdir()
    database = SqliteDatabase(state) if server is None else PostgresDatabase(server)
    project = f"drasi-harbour-{next(_projects)}"
    secrets = {} if server is None else {variable_name("harbour", "password"): server.password}
    system = EmulatedSystem(
        state,
        lambda name, text: said.append(f"{name}: {text}"),
        firestore=firestore or emulators.firestore(),
        pubsub=pubsub or emulators.pubsub(),
        heal=heal,
        project=project,
        variables={**(variables or {}), **secrets},
    )
    async with target() as calls:
        (directory / "resources.json").write_text(resources(database.source, calls.url, project, hosts))
        await system.start([directory])
        running = Harbour(database, system, calls, documents or firestore or emulators.firestore())
        try:
            await system.fleet.ready()
            yield running
        except AssertionError:
            print(await running.standing())
            raise
        finally:
            await running.client.aclose()
            await system.close()


def resources(source: dict[str, Any], url: str, project: str, hosts: int = 2) -> str:
    """The manifests."""
    queries = [
        {
            "kind": "ContinuousQuery",
            "name": name,
            "spec": {"container": container, "sources": {"subscriptions": [{"id": "harbour-db"}]}, "query": text},
        }
        for name, (container, text) in QUERIES.items()
    ]
    wanted = dict.fromkeys(QUERIES)
    properties = {"baseUrl": url, "timeoutMs": 2000}
    reactions = [
        {"kind": "Reaction", "name": "alerts", "spec": {"kind": "Http", "properties": properties, "queries": wanted}},
        {"kind": "Reaction", "name": "board", "spec": {"kind": "SSE", "queries": wanted}},
    ]
    collection = {"project": project, "collection": "loads"}
    loads = {"kind": "Firestore", "properties": collection, "queries": {"berth-load": None}}
    reactions.append({"kind": "Reaction", "name": "loads", "spec": loads})
    pair = {"kind": "QueryContainer", "name": "pair", "spec": {"queryHostCount": hosts, **PAIR}}
    documents = [pair, {"kind": "Source", "name": "harbour-db", "spec": source}, *queries, *reactions]
    return "\n---\n".join(json.dumps({"apiVersion": "v1", **document}) for document in documents)


def in_order(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    return sorted(rows, key=lambda row: json.dumps(row, sort_keys=True))
