"""``SSE``: a live stream per query, or over several, that starts with the current rows and goes on from there.

Every row of an event has the id ``{query}:{sequence}.{k}``: k rows of that event have been sent. A stream over several queries has
the vector of them. ``Last-Event-ID`` continues exactly there, also inside an event (connectors.md section 8).
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncGenerator, Collection, Sequence
from typing import Any

import msgspec
from starlette.datastructures import QueryParams
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from drasi.errors import DrasiError
from drasi.messages.reading import Gone, QueryNotFound
from drasi.messages.results import ChangeEvent, ResultEvent
from drasi.reactions import notification
from drasi.reactions.configuration import SERVER_PROPERTIES, Entry, EntryForm, choose
from drasi.reactions.feed import READ, Cursor, CutOff, Feed, Part, Step
from drasi.reactions.notification import RawEvent, RawRow
from drasi.reactions.port import Confirm, Reaction, ReactionContext, ReactionKind
from drasi.reactions.rows import ENTRY, RowChange, context
from drasi.reactions.timing import Timing
from drasi.templates import RenderError

logger = logging.getLogger(__name__)

FORM = EntryForm({"template": "body"}, plain=("path",))
COMPLETE = 2**32 - 1
"""As k: every row of the event, and of the result up to it, has been sent."""
CHUNK = 256 * 1024

Position = tuple[int, int]
"""Sequence and k."""


class SseReaction:
    delivers = False

    def __init__(self, given: ReactionContext, timing: Timing | None = None) -> None:
        properties = given.properties
        self.given = given
        self.timing = timing or Timing()
        self.path = "/" + str(properties.get("ssePath") or "/events").strip("/")
        self.heartbeat_s = float(properties.get("heartbeatIntervalMs") or 30000) / 1000
        self.closing = asyncio.Event()
        self._streams: set[asyncio.Event] = set()
        self._entries: dict[str, dict[str, Entry]] = {
            query_id: FORM.read(choose(query_id, given.queries, properties).value)[0] for query_id in given.queries
        }
        self.feeds = {
            query_id: Feed(query_id, given.reader, self._rendered, report=given.report, timing=self.timing)
            for query_id in given.queries
        }

    async def start(self) -> None:
        """Feeds start with their first reader."""

    def notice(self, query_id: str, events: bytes) -> None:
        self.feeds[query_id].notice(events)

    async def deliver(self, query_id: str, event: ResultEvent, done: Collection[str], confirm: Confirm) -> None:
        """It serves readers."""

    async def close(self) -> None:
        self.closing.set()
        for wake in self._streams:
            wake.set()
        for feed in self.feeds.values():
            await feed.close()

    def routes(self) -> Sequence[BaseRoute]:
        routes: list[BaseRoute] = [Route(path, self._events, methods=["GET"]) for path in sorted(self._paths())]
        return [*routes, Route("/snapshot/{query}", self._snapshot, methods=["GET"])]

    def reads(self, path: str, query: bytes) -> Collection[str] | None:
        """A snapshot is of one query; a stream, of those it asks for."""
        parts = path.strip("/").split("/")
        if len(parts) == 2 and parts[0] == "snapshot" and "/" + "/".join(parts) not in self._paths():
            return (parts[1],)
        return _wanted(QueryParams(query)) or None

    def _paths(self) -> set[str]:
        paths = {self.path}
        for entries in self._entries.values():
            paths |= {self._full(entry.plain["path"]) for entry in entries.values() if "path" in entry.plain}
        return paths

    def _full(self, path: str) -> str:
        """An entry's ``path``: absolute, or below ``ssePath``. The usual one is empty."""
        full = path if path.startswith("/") else f"{self.path}/{path}"
        return "/" + full.strip("/")

    async def _events(self, request: Request) -> Response:
        wanted = _wanted(request.query_params)
        unknown = [name for name in wanted if name not in self.feeds]
        if unknown:
            return _not_found(unknown[0])
        queries = list(dict.fromkeys(wanted)) or list(self.feeds)
        last = request.headers.get("last-event-id") or request.query_params.get("lastEventId") or ""
        path = request.scope["path"][len(request.scope.get("root_path", "")) :] if "root_path" in request.scope else self.path
        stream = Stream(self, queries, parse_id(last), "" if path.rstrip("/") == self.path else path.rstrip("/"))
        return EventStream(stream)

    async def _snapshot(self, request: Request) -> Response:
        query_id = request.path_params["query"]
        if query_id not in self.feeds:
            return _not_found(query_id)
        try:
            view = await self.given.reader.view(query_id)
        except QueryNotFound:
            return _not_found(query_id)
        except DrasiError as error:
            return JSONResponse({"code": error.code, "detail": error.message}, 503, headers={"retry-after": "1"})
        head = {"header": {"sequence": view.sequence, "timestamp": view.timestamp, "state": view.state}}
        body: list[Any] = [head, *({"data": row.data, "rowId": row.row_id} for row in view.rows)]
        return Response(msgspec.json.encode(body), media_type="application/json")

    # What a stream asks for.

    def opened(self, wake: asyncio.Event) -> None:
        self._streams.add(wake)

    def closed(self, wake: asyncio.Event) -> None:
        self._streams.discard(wake)

    def part(self, event: RawEvent, row: RawRow, text: bytes) -> Part:
        """One row as data of a frame: its notification, or what the template of its operation makes of it."""
        entry = self._entries[event.queryId].get(ENTRY[row.op])
        if entry is None or not (entry.templates or entry.plain):
            return Part(b"data: " + text + b"\n\n")
        path = self._full(entry.plain["path"]) if "path" in entry.plain else ""
        path = "" if path == self.path else path
        template = entry.templates.get("template")
        if template is None:
            return Part(b"data: " + text + b"\n\n", path)
        try:
            rendered = template.render(_context(self.given.id, event, row))
        except RenderError as error:
            self.given.report(f"Template:{event.queryId}", f"a row of event {event.sequence} is left out: {error.message}")
            return Part(b"", path)
        lines = rendered.replace("\r\n", "\n").replace("\r", "\n").split("\n")
        return Part("".join(f"data: {line}\n" for line in lines).encode("utf-8", "replace") + b"\n", path)

    def _rendered(self, event: RawEvent) -> Sequence[Part]:
        now = self.timing.now_ms()
        if event.controlSignal is not None:
            return (Part(b"data: " + notification.of_control(event, now) + b"\n\n"),)
        if not self._entries[event.queryId]:
            return [Part(b"data: %b\n\n" % text) for _, text in notification.of_rows(event, now)]
        return [self.part(event, row, text) for row, text in notification.of_rows(event, now)]


class Stream:
    """What one reader is sent."""

    def __init__(self, reaction: SseReaction, queries: list[str], positions: dict[str, Position], path: str = "") -> None:
        self._reaction = reaction
        self._queries = queries
        self._resumed = {query_id: positions[query_id] for query_id in queries if query_id in positions}
        self._path = path
        self._at: dict[str, Position] = dict(self._resumed)
        self._cursors: dict[str, Cursor] = {}
        self._wake = asyncio.Event()
        self.cut = asyncio.Event()
        """Set when this reader is cut off."""

    async def frames(self) -> AsyncGenerator[bytes, None]:
        """Chunks of frames, for ever.

        Raises:
            CutOff: The reader is too slow.
        """
        reaction = self._reaction
        reaction.opened(self._wake)
        try:
            for query_id in self._queries:
                async for chunk in self._begin(query_id):
                    yield chunk
            while not reaction.closing.is_set():
                self._wake.clear()
                chunk = b""
                for query_id in self._queries:
                    try:
                        chunk += b"".join(self._frames(query_id, step) for step in self._cursors[query_id].take(CHUNK))
                    except Gone:
                        self._leave(query_id)
                        self._resumed.pop(query_id, None)
                        async for part in self._begin(query_id):
                            yield part
                if chunk:
                    yield chunk
                elif not self._wake.is_set():
                    try:
                        # Not wait_for: before Python 3.12 it loses a cancellation that meets the wake-up.
                        async with asyncio.timeout(reaction.heartbeat_s):
                            await self._wake.wait()
                    except TimeoutError:
                        chunk = b": heartbeat\n\n"
                    if chunk:
                        yield chunk
        finally:
            reaction.closed(self._wake)
            for query_id in list(self._cursors):
                self._leave(query_id)

    def _leave(self, query_id: str) -> None:
        cursor = self._cursors.pop(query_id, None)
        if cursor is not None:
            cursor.close()

    async def _begin(self, query_id: str) -> AsyncGenerator[bytes, None]:
        """The result, or what follows the position resumed, up to where the feed can be joined."""
        reaction = self._reaction
        feed = reaction.feeds[query_id]
        failures = 0
        while not reaction.closing.is_set():
            try:
                if query_id in self._resumed:
                    sequence, k = self._at[query_id] = self._resumed[query_id]
                    # Part of an event was sent: that event is read again, and its first k rows are left out.
                    after = sequence if k >= COMPLETE else sequence - 1
                else:
                    async for chunk in self._result(query_id):
                        yield chunk
                    after = self._at[query_id][0]
                while True:
                    steps = await feed.catch_up(after)
                    if steps:
                        yield b"".join(self._frames(query_id, step) for step in steps)
                        after = steps[-1].sequence
                        # A repeated attempt goes on from here.
                        self._resumed[query_id] = self._at[query_id]
                    if len(steps) < READ:
                        cursor = feed.join(after, self._wake, self.cut)
                        if cursor is not None:
                            self._cursors[query_id] = cursor
                            return
            except Gone:
                self._resumed.pop(query_id, None)
                self._at.pop(query_id, None)
            except DrasiError as error:
                failures += 1
                yield f": {error.code} of {query_id}; trying again\n\n".encode()
                if query_id in self._at:
                    self._resumed[query_id] = self._at[query_id]
                await reaction.timing.wait(reaction.closing, reaction.timing.backoff(failures))

    async def _result(self, query_id: str) -> AsyncGenerator[bytes, None]:
        """``h``, then the rows; only the last one has an id, so that a reader cut off in between begins anew."""
        reaction = self._reaction
        view = await reaction.given.reader.view(query_id)
        now = reaction.timing.now_ms()
        pieces = [b"data: " + notification.header(view.sequence, now) + b"\n\n"]
        size = 0
        last = len(view.rows) - 1
        for index, row in enumerate(view.rows):
            data = notification.encode(row.data)
            text = notification.reload(query_id, view.timestamp, data, row.row_id, now)
            event = RawEvent(query_id, view.sequence, view.timestamp)
            part = reaction.part(event, RawRow("i", row.row_id, None, data), text)
            if index == last:
                self._at[query_id] = (view.sequence, COMPLETE)
                pieces.append(self._id())
            pieces.append(part.data if part.path == self._path else b"")
            size += len(part.data)
            if size > CHUNK:
                yield b"".join(pieces)
                pieces, size = [], 0
        self._at[query_id] = (view.sequence, COMPLETE)
        yield b"".join(pieces)

    def _frames(self, query_id: str, step: Step) -> bytes:
        sequence, k = self._at[query_id]
        seen = k if step.sequence == sequence else 0
        alone = len(self._queries) == 1
        if alone and not seen and not self._path:
            if step.joined is None:
                step.joined = b"".join(
                    b"id: %b:%d.%d\n%b" % (query_id.encode(), step.sequence, number, part.data)
                    for number, part in enumerate(step.parts, 1)
                    if part.data and not part.path
                )
            self._at[query_id] = (step.sequence, len(step.parts))
            return step.joined
        pieces = []
        for number, part in enumerate(step.parts, 1):
            self._at[query_id] = (step.sequence, number)
            if number > seen and part.data and part.path == self._path:
                pieces.append(self._id() + part.data)
        if not step.parts:
            self._at[query_id] = (step.sequence, 0)
        return b"".join(pieces)

    def _id(self) -> bytes:
        at = ",".join(f"{query_id}:{sequence}.{k}" for query_id, (sequence, k) in self._at.items())
        return f"id: {at}\n".encode()


class EventStream(Response):
    """Sends a stream's chunks as the client takes them, and ends the connection of a client that does not."""

    media_type = "text/event-stream"

    def __init__(self, stream: Stream) -> None:
        self._stream = stream
        super().__init__(headers={"cache-control": "no-cache", "x-accel-buffering": "no"})
        self.raw_headers = [item for item in self.raw_headers if item[0] != b"content-length"]

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": self.raw_headers})
        sending = asyncio.ensure_future(self._send(send))
        every = {sending, asyncio.ensure_future(_disconnected(receive)), asyncio.ensure_future(self._stream.cut.wait())}
        try:
            await asyncio.wait(every, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for task in every:
                task.cancel()
            outcomes = await asyncio.gather(*every, return_exceptions=True)
        for outcome in outcomes:
            if isinstance(outcome, Exception) and not isinstance(outcome, CutOff | OSError):
                raise outcome

    async def _send(self, send: Send) -> None:
        frames = self._stream.frames()
        try:
            async for chunk in frames:
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except CutOff:
            pass
        finally:
            await frames.aclose()
        await send({"type": "http.response.body", "body": b"", "more_body": False})


def _wanted(parameters: QueryParams) -> list[str]:
    return [name for item in parameters.getlist("query") for name in item.split(",") if name]


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


def parse_id(text: str) -> dict[str, Position]:
    """``q1:57.2,q2:12.1`` → positions; what is not of that form gives none."""
    positions: dict[str, Position] = {}
    for item in text.split(","):
        name, _, place = item.strip().rpartition(":")
        sequence, dot, k = place.partition(".")
        if name and dot and sequence.isdecimal() and k.isdecimal() and len(place) < 40:
            positions[name] = int(sequence), int(k)
    return positions


def _context(reaction_id: str, event: RawEvent, row: RawRow) -> dict[str, Any]:
    before = msgspec.json.decode(row.before) if row.before is not None else None
    after = msgspec.json.decode(row.after) if row.after is not None else None
    change = ChangeEvent(event.queryId, event.sequence, event.sourceTimeMs)
    return context(reaction_id, change, RowChange(row.op, row.row_id, before, after))


def _not_found(query_id: str) -> Response:
    return JSONResponse({"code": "QueryNotFound", "detail": f"this reaction has no query '{query_id}'"}, 404)


def _make(given: ReactionContext) -> Reaction:
    return SseReaction(given)


KIND = ReactionKind(
    "SSE",
    ("sse",),
    schema={
        "type": "object",
        "properties": {
            "ssePath": {"type": "string", "default": "/events", "description": "Path of the stream"},
            "heartbeatIntervalMs": {
                "type": "integer",
                "minimum": 1,
                "default": 30000,
                "description": "Milliseconds of silence until a heartbeat",
            },
            **SERVER_PROPERTIES,
        },
    },
    check=FORM.check,
    make=_make,
)
