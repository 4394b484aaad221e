"""The routes of the Debug reaction: the page, its API, and WebSockets that follow a query or all of them."""

from __future__ import annotations

import asyncio
import html
from collections.abc import AsyncGenerator, Collection, Sequence
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import msgspec
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route, WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect

from drasi.errors import DrasiError
from drasi.messages.reading import Gone, QueryNotFound
from drasi.messages.results import ResultEvent
from drasi.reactions import notification
from drasi.reactions.configuration import nothing_configured
from drasi.reactions.feed import READ, Cursor, CutOff, Feed, Part
from drasi.reactions.notification import RawEvent
from drasi.reactions.port import Confirm, Reaction, ReactionContext, ReactionKind
from drasi.reactions.timing import Timing

CHUNK = 256 * 1024
_FILES = Path(__file__).parent
_TYPES = {"debug.js": "text/javascript", "debug.css": "text/css"}
_POLICY = "default-src 'self'; img-src 'self' data:; frame-ancestors 'self'"


class DebugReaction:
    delivers = False

    def __init__(self, given: ReactionContext, timing: Timing | None = None) -> None:
        self._given = given
        self._timing = timing or Timing()
        self._closing = asyncio.Event()
        self._wakes: set[asyncio.Event] = set()
        self.rows = {query_id: self._feed(query_id, self._unpacked) for query_id in given.queries}
        self.events = {query_id: self._feed(query_id, _packed) for query_id in given.queries}

    def _feed(self, query_id: str, render: Any) -> Feed:
        return Feed(query_id, self._given.reader, render, report=self._given.report, timing=self._timing)

    def _unpacked(self, event: RawEvent) -> Sequence[Part]:
        now = self._timing.now_ms()
        if event.controlSignal is not None:
            return (Part(notification.of_control(event, now)),)
        return [Part(text) for _, text in notification.of_rows(event, now)]

    async def start(self) -> None:
        """Feeds start with their first reader."""

    def notice(self, query_id: str, events: bytes) -> None:
        self.rows[query_id].notice(events)
        self.events[query_id].notice(events)

    async def deliver(self, query_id: str, event: ResultEvent, done: Collection[str], confirm: Confirm) -> None:
        """It serves readers."""

    async def close(self) -> None:
        self._closing.set()
        for wake in self._wakes:
            wake.set()
        for feed in (*self.rows.values(), *self.events.values()):
            await feed.close()

    def routes(self) -> Sequence[BaseRoute]:
        return [
            Route("/", self._page, methods=["GET"]),
            Route("/api/queries", self._queries, methods=["GET"]),
            Route("/api/queries/{query}", self._result, methods=["GET"]),
            Route("/api/queries/{query}/debug-information", self._information, methods=["GET"]),
            WebSocketRoute("/api/ws/query/{query}", self._follow_query),
            WebSocketRoute("/api/ws/stream", self._follow_all),
            Route("/{file}", _file, methods=["GET"]),
        ]

    def reads(self, path: str, query: bytes) -> Collection[str] | None:
        """The page and its files hold no rows; everything else says whose."""
        match path.strip("/").split("/"):
            case [""] | ["debug.js"] | ["debug.css"] | ["api", "queries"]:
                return ()
            case ["api", "queries", name, *_] | ["api", "ws", "query", name]:
                return (name,)
            case _:
                return None

    # The page and its API.

    async def _page(self, request: Request) -> Response:
        base = request.scope.get("root_path", "").rstrip("/") + "/"
        text = (_FILES / "index.html").read_text(encoding="utf-8")
        text = text.replace("{{base}}", html.escape(base)).replace("{{reaction}}", html.escape(self._given.id))
        return Response(text, media_type="text/html", headers={"content-security-policy": _POLICY, "cache-control": "no-cache"})

    async def _queries(self, request: Request) -> Response:
        return JSONResponse(list(self.rows))

    async def _result(self, request: Request) -> Response:
        query_id = request.path_params["query"]
        if query_id not in self.rows:
            return _not_found(query_id)
        try:
            view = await self._given.reader.view(query_id)
        except QueryNotFound:
            return _not_found(query_id)
        except DrasiError as error:
            return JSONResponse({"code": error.code, "detail": error.message}, 503, headers={"retry-after": "1"})
        names = dict.fromkeys(name for row in view.rows for name in row.data)
        body = {
            "queryId": query_id,
            "sequence": view.sequence,
            "timestamp": view.timestamp,
            "state": view.state,
            "fieldNames": list(names),
            "data": [row.data for row in view.rows],
            "rowIds": [row.row_id for row in view.rows],
            "errors": [],
        }
        return Response(msgspec.json.encode(body), media_type="application/json")

    async def _information(self, request: Request) -> Response:
        """What is known of a query: its own status where the reader of queries can give it, else the place of its result; and this
        reaction's standing."""
        query_id = request.path_params["query"]
        if query_id not in self.rows:
            return _not_found(query_id)
        known: dict[str, Any] = {
            "queryId": query_id,
            "readers": self.rows[query_id].readers,
            "reaction": self._given.status().get(query_id),
            "status": None,
            "error": None,
        }
        try:
            status = getattr(self._given.reader, "status", None)
            if status is not None:
                known["status"] = status = await status(query_id)
                known |= {
                    "sequence": status.get("sequence"),
                    "state": str(status.get("status", "")).lower(),
                    "rows": status.get("rows"),
                }
            else:
                # The whole result, for its size: the page asks less often when there is no status.
                view = await self._given.reader.view(query_id)
                known |= {"sequence": view.sequence, "timestamp": view.timestamp, "state": view.state, "rows": len(view.rows)}
        except DrasiError as error:
            known["error"] = error.message + (f"; {error.hint}" if error.hint else "")
        return Response(msgspec.json.encode(known), media_type="application/json")

    # WebSockets.

    async def _follow_query(self, socket: WebSocket) -> None:
        query_id = socket.path_params["query"]
        if query_id not in self.rows or not _same_origin(socket):
            await socket.close(1008)
            return
        wake, cut = asyncio.Event(), asyncio.Event()
        await self._serve(socket, self._notifications(query_id, wake, cut), wake, cut)

    async def _follow_all(self, socket: WebSocket) -> None:
        if not _same_origin(socket):
            await socket.close(1008)
            return
        wake, cut = asyncio.Event(), asyncio.Event()
        await self._serve(socket, self._packed_events(wake, cut), wake, cut)

    async def _serve(
        self, socket: WebSocket, messages: AsyncGenerator[bytes, None], wake: asyncio.Event, cut: asyncio.Event
    ) -> None:
        """Sends until the reader leaves, is too slow, or the reaction closes."""
        await socket.accept()
        self._wakes.add(wake)
        sending = asyncio.ensure_future(_send(socket, messages))
        every = {sending, asyncio.ensure_future(_left(socket)), asyncio.ensure_future(cut.wait())}
        try:
            await asyncio.wait(every, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in every:
                task.cancel()
            outcomes = await asyncio.gather(*every, return_exceptions=True)
            await messages.aclose()
            self._wakes.discard(wake)
        if cut.is_set():
            return
        for outcome in outcomes:
            if isinstance(outcome, Exception) and not isinstance(outcome, CutOff | WebSocketDisconnect | OSError):
                raise outcome

    async def _notifications(self, query_id: str, wake: asyncio.Event, cut: asyncio.Event) -> AsyncGenerator[bytes, None]:
        """``h``, ``r`` …, then ``i u d x`` as they come; anew when the place is lost."""
        feed = self.rows[query_id]
        failures = 0
        cursor: Cursor | None = None
        try:
            while not self._closing.is_set():
                try:
                    view = await self._given.reader.view(query_id)
                    now = self._timing.now_ms()
                    yield notification.header(view.sequence, now)
                    for row in view.rows:
                        data = notification.encode(row.data)
                        yield notification.reload(query_id, view.timestamp, data, row.row_id, now)
                    after = view.sequence
                    while cursor is None:
                        steps = await feed.catch_up(after)
                        for step in steps:
                            for part in step.parts:
                                yield part.data
                            after = step.sequence
                        if len(steps) < READ:
                            cursor = feed.join(after, wake, cut)
                    failures = 0
                    while not self._closing.is_set():
                        wake.clear()
                        steps = cursor.take(CHUNK)
                        for step in steps:
                            for part in step.parts:
                                yield part.data
                        if not steps:
                            await wake.wait()
                except Gone:
                    cursor = None
                except CutOff:
                    raise
                except DrasiError as error:
                    failures += 1
                    yield _trouble(error)
                    await self._timing.wait(self._closing, self._timing.backoff(failures))
        finally:
            if cursor is not None:
                cursor.close()

    async def _packed_events(self, wake: asyncio.Event, cut: asyncio.Event) -> AsyncGenerator[bytes, None]:
        """The result events of all queries from now on, as the queries publish them."""
        cursors: dict[str, Cursor] = {}
        failures = 0
        try:
            while not self._closing.is_set():
                wake.clear()
                found = False
                try:
                    for query_id, feed in self.events.items():
                        if query_id not in cursors:
                            joined = feed.join((await self._given.reader.view(query_id)).sequence, wake, cut)
                            if joined is None:
                                continue
                            cursors[query_id] = joined
                        try:
                            steps = cursors[query_id].take(CHUNK)
                        except Gone:
                            del cursors[query_id]
                            steps = []
                        for step in steps:
                            found = True
                            yield step.parts[0].data
                    failures = 0
                except CutOff:
                    raise
                except DrasiError as error:
                    failures += 1
                    yield _trouble(error)
                    await self._timing.wait(self._closing, self._timing.backoff(failures))
                    continue
                if not found:
                    await wake.wait()
        finally:
            for cursor in cursors.values():
                cursor.close()


def _packed(event: RawEvent) -> Sequence[Part]:
    kind = "change" if event.controlSignal is None else "control"
    body: dict[str, Any] = {"kind": kind, "queryId": event.queryId, "sequence": event.sequence, "sourceTimeMs": event.sourceTimeMs}
    if event.controlSignal is not None:
        body["controlSignal"] = event.controlSignal
    else:
        body |= {
            "addedResults": event.addedResults,
            "updatedResults": event.updatedResults,
            "deletedResults": event.deletedResults,
            "addedRowIds": event.addedRowIds,
            "deletedRowIds": event.deletedRowIds,
        }
    return (Part(msgspec.json.encode(body)),)


def _trouble(error: DrasiError) -> bytes:
    return msgspec.json.encode({"kind": "error", "code": error.code, "message": error.message})


async def _send(socket: WebSocket, messages: AsyncGenerator[bytes, None]) -> None:
    try:
        async for message in messages:
            await socket.send_text(message.decode())
    except CutOff:
        await socket.close(1013, "too slow")
        return
    await socket.close(1001)


async def _left(socket: WebSocket) -> None:
    while (await socket.receive())["type"] != "websocket.disconnect":
        pass


def _same_origin(socket: WebSocket) -> bool:
    """Whether no page of another site has opened the socket: browsers do not keep them from that by themselves."""
    origin = socket.headers.get("origin")
    return origin is None or urlsplit(origin).netloc == socket.headers.get("host")


async def _file(request: Request) -> Response:
    name = request.path_params["file"]
    if name not in _TYPES:
        return Response("not found", 404, media_type="text/plain")
    return Response((_FILES / name).read_bytes(), media_type=_TYPES[name], headers={"cache-control": "no-cache"})


def _not_found(query_id: str) -> Response:
    return JSONResponse({"code": "QueryNotFound", "detail": f"this reaction has no query '{query_id}'"}, 404)


def _make(given: ReactionContext) -> Reaction:
    return DebugReaction(given)


KIND = ReactionKind(
    "Debug",
    (),
    schema={
        "type": "object",
        "properties": {
            "portConfigKey": {"type": "integer", "default": 8080, "description": "The port of its endpoint in a cluster"}
        },
    },
    check=nothing_configured,
    make=_make,
)
