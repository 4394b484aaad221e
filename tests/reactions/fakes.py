"""Stand-ins: a query with view and tail, a clock that stands still, an HTTP target that fails as it is told."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

import msgspec

from drasi.messages.envelope import Message
from drasi.messages.reading import Gone, QueryNotFound, QueryUnavailable, View, ViewRow
from drasi.messages.results import ChangeEvent, ControlEvent, ControlKind, ControlSignal, ResultEvent, Row, UpdatedRow
from drasi.reactions.timing import Timing


async def until(condition: Callable[[], object], clock: Clock | None = None, *, deadline_s: float = 10.0) -> None:
    """Lets the loop run until ``condition`` holds; a clock given is moved on whenever nothing else happens."""
    end = time.monotonic() + deadline_s
    rounds = 0
    while not condition():
        assert time.monotonic() < end, "the condition did not come true"
        await asyncio.sleep(0.001 if rounds % 5 == 4 else 0)
        rounds += 1
        if clock is not None and rounds % 20 == 0 and not condition():
            clock.skip()


async def settle(rounds: int = 50) -> None:
    """Lets everything that can run now run."""
    for _ in range(rounds):
        await asyncio.sleep(0)


class Clock:
    """Time that moves only when told."""

    def __init__(self) -> None:
        self.now = 0.0
        self.slept: list[float] = []
        self._sleepers: list[tuple[float, asyncio.Future[None]]] = []

    def timing(self, chance: float = 1.0) -> Timing:
        return Timing(lambda: self.now, lambda: int(self.now * 1000), self.sleep, lambda: chance)

    async def sleep(self, seconds: float) -> None:
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self.slept.append(seconds)
        self._sleepers.append((self.now + seconds, future))
        await future

    def skip(self) -> None:
        """To the next instant that somebody waits for."""
        self._sleepers = [item for item in self._sleepers if not item[1].done()]
        if self._sleepers:
            self.advance(min(due for due, _ in self._sleepers) - self.now)

    def advance(self, seconds: float) -> None:
        self.now += max(0.0, seconds)
        for due, future in self._sleepers:
            if due <= self.now and not future.done():
                future.set_result(None)


class Query:
    """A query whose answer is a table of ``row id → row``."""

    def __init__(self, name: str = "q", sequence: int = 0) -> None:
        self.name = name
        self.sequence = sequence
        self.rows: dict[str, Row] = {}
        self.tail: list[ResultEvent] = []
        self.state = "running"
        self.unavailable = False
        self.reads: list[int] = []

    def change(
        self, *, add: Mapping[str, Row] | None = None, update: Mapping[str, Row] | None = None, delete: tuple[str, ...] = ()
    ) -> ChangeEvent:
        self.sequence += 1
        event = ChangeEvent(self.name, self.sequence, 1_772_352_930_000 + self.sequence)
        for row_id in delete:
            event.deletedResults.append(self.rows.pop(row_id))
            event.deletedRowIds.append(row_id)
        for row_id, row in (update or {}).items():
            event.updatedResults.append(UpdatedRow(self.rows[row_id], row, row_id))
            self.rows[row_id] = row
        for row_id, row in (add or {}).items():
            event.addedResults.append(row)
            event.addedRowIds.append(row_id)
            self.rows[row_id] = row
        self.tail.append(event)
        return event

    def control(self, kind: ControlKind, *, jump: int = 0) -> ControlEvent:
        self.sequence += 1 + jump
        event = ControlEvent(self.name, self.sequence, 0, ControlSignal(kind))
        self.tail.append(event)
        if kind == "bootstrapStarted":
            self.rows.clear()
            self.state = "bootstrapping"
        elif kind == "running":
            self.state = "running"
        return event

    def trim(self, through: int) -> None:
        self.tail = [event for event in self.tail if event.sequence > through]


class Reader:
    """``QueryReader`` over queries of this process."""

    def __init__(self, *queries: Query) -> None:
        self.queries = {query.name: query for query in queries}

    def _query(self, name: str) -> Query:
        query = self.queries.get(name)
        if query is None:
            raise QueryNotFound(f"View `{name}` not found")
        if query.unavailable:
            raise QueryUnavailable(f"the container of '{name}' is down")
        return query

    async def view(self, query_id: str) -> View:
        query = self._query(query_id)
        rows = [] if query.state == "bootstrapping" else [ViewRow(dict(row), row_id) for row_id, row in query.rows.items()]
        return View(query.sequence, 1_772_352_930_000 + query.sequence, query.state, rows)

    async def read_events(self, query_id: str, after: int, limit: int) -> list[ResultEvent]:
        query = self._query(query_id)
        query.reads.append(after)
        if query.tail and after < query.tail[0].sequence - 1 and not isinstance(query.tail[0], ControlEvent):
            raise Gone(after, query.tail[0].sequence, query.sequence)
        if not query.tail and after < query.sequence:
            raise Gone(after, query.sequence + 1, query.sequence)
        return [event for event in query.tail if event.sequence > after][:limit]

    async def events(self, query_id: str, after: int) -> AsyncIterator[ResultEvent]:
        while True:
            for event in await self.read_events(query_id, after, 100):
                after = event.sequence
                yield event
            await asyncio.sleep(0)


def pushed(*events: ResultEvent, **attributes: str) -> Message:
    """The message that a query publishes for these events."""
    first, last = events[0], events[-1]
    named = {
        "drasi-type": "result",
        "query": first.queryId,
        "firstSequence": str(first.sequence),
        "lastSequence": str(last.sequence),
    }
    return Message(msgspec.json.encode(list(events)), {**named, **attributes}, first.queryId)


@dataclass(frozen=True, slots=True)
class Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return msgspec.json.decode(self.body)

    @property
    def key(self) -> str:
        return self.headers["idempotency-key"]


@dataclass(frozen=True, slots=True)
class Answer:
    """``status`` 0: the connection is reset after the request was taken; -1: no answer at all."""

    status: int = 204
    headers: Mapping[str, str] = field(default_factory=dict)


class Target:
    """A small HTTP server. ``answer`` says what each request gets; what was taken stands in ``requests``."""

    def __init__(self) -> None:
        self.requests: list[Request] = []
        self.answer: Callable[[Request], Answer] = lambda _request: Answer()
        self.port = 0
        self._server: asyncio.Server | None = None
        self._open: set[asyncio.StreamWriter] = set()

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    async def up(self) -> None:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", self.port)
        self.port = self._server.sockets[0].getsockname()[1]

    async def down(self) -> None:
        if self._server is not None:
            self._server.close()
            for writer in list(self._open):
                writer.transport.abort()
            await self._server.wait_closed()
            self._server = None

    def distinct(self) -> list[Request]:
        """What is left when the keys already known are dropped."""
        known: dict[str, Request] = {}
        for request in self.requests:
            known.setdefault(request.key, request)
        return list(known.values())

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self._open.add(writer)
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self._open.discard(writer)
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = await reader.readuntil(b"\r\n\r\n")
        first, *lines = head.decode("latin-1").rstrip().split("\r\n")
        method, path, _ = first.split(" ")
        headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in lines)}
        body = await reader.readexactly(int(headers.get("content-length", "0")))
        headers = {name: value.encode("latin-1").decode() for name, value in headers.items()}
        request = Request(method, path, headers, body)
        answer = self.answer(request)
        if answer.status <= 0 or answer.status < 300:
            self.requests.append(request)
        if answer.status == 0:
            writer.transport.abort()
            return False
        if answer.status == -1:
            await asyncio.Event().wait()
        more = "".join(f"{name}: {value}\r\n" for name, value in answer.headers.items())
        writer.write(f"HTTP/1.1 {answer.status} Answer\r\ncontent-length: 0\r\n{more}\r\n".encode())
        await writer.drain()
        return True
