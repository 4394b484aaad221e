"""Rows, events, watch and plan of queries, handed on by management (cli-and-api.md sections 4.2 and 5.5)."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import ClassVar, Final

import msgspec
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route

from drasi.errors import DrasiError
from drasi.messages.reading import QueryNotFound, QueryUnavailable, View
from drasi.messages.results import ChangeEvent, ControlEvent, ResultEvent
from drasi.messages.results import encode as encode_event
from drasi.resources.resource import CONTINUOUS_QUERY
from drasi.values import to_json
from drasi.web.installation import Installation
from drasi.web.problems import problem
from drasi.web.query import HEARTBEAT_S, write_view
from drasi.web.streams import with_heartbeat

ROWS_PER_EVENT: Final = 1_000
_EVENTS_PER_READ: Final = 1_000
_MOST_DIGITS: Final = 100  # int() refuses thousands of them


class WrongParameter(DrasiError):
    code: ClassVar[str] = "BadRequest"


class NotYet(DrasiError):
    code: ClassVar[str] = "NotYet"


def query_routes(installation: Installation, *, heartbeat_s: float = HEARTBEAT_S) -> list[BaseRoute]:
    """The routes below ``/v1/continuousQueries/{id}`` that read a query."""
    proxy = _Proxy(installation, heartbeat_s)
    base = "/v1/continuousQueries/{id}"
    return [
        Route(f"{base}/rows", proxy.rows),
        Route(f"{base}/events", proxy.events),
        Route(f"{base}/watch", proxy.watch),
        Route(f"{base}/explain", proxy.explain),
    ]


class _Proxy:
    def __init__(self, installation: Installation, heartbeat_s: float) -> None:
        self._installation = installation
        self._heartbeat_s = heartbeat_s

    async def rows(self, request: Request) -> Response:
        """The view, as the query function writes it."""
        for name in ("timestamp", "at", "sequence"):
            if name in request.query_params:
                raise NotYet(f"?{name}= (a past state of the result) is not built yet", hint="leave it out for the result now")
        view = await self._view(request)
        return StreamingResponse(write_view(view), media_type="application/json")

    async def events(self, request: Request) -> Response:
        """The tail: NDJSON, or server-sent events for those who ask for them; with ``limit`` it ends there."""
        name = await self._known(request)
        as_sse = "text/event-stream" in request.headers.get("accept", "")
        after = _whole(request.headers.get("last-event-id") if as_sse else None, "Last-Event-ID")
        if after is None:
            after = _whole(request.query_params.get("after"), "after")
        limit = _whole(request.query_params.get("limit"), "limit")
        if after is None:
            after = (await self._view(request)).sequence
        # Raises what the stream would, while the answer can still have another status.
        first = await self._installation.runtime.reader.read_events(name, after, min(limit or 1, _EVENTS_PER_READ))
        if limit is not None and len(first) >= limit:
            return StreamingResponse(_written(first[:limit], as_sse), media_type=_media(as_sse))
        tail = self._installation.runtime.reader.events(name, after)
        return StreamingResponse(self._tail(tail, limit, as_sse), media_type=_media(as_sse), headers={"Cache-Control": "no-store"})

    async def _tail(self, events: AsyncIterator[ResultEvent], limit: int | None, as_sse: bool) -> AsyncIterator[bytes]:
        left = limit
        beating = with_heartbeat(events, self._heartbeat_s)
        try:
            if left == 0:
                return
            async for event in beating:
                if event is None:
                    yield b":\n\n" if as_sse else b"\n"
                    continue
                yield _line(event, as_sse)
                if left is not None:
                    left -= 1
                    if left == 0:
                        return
        finally:
            await beating.aclose()  # type: ignore[attr-defined]

    async def watch(self, request: Request) -> Response:
        """A JSON array: the rows of the view as ``change`` events, then every event after it, until the query is deleted."""
        name = await self._known(request)
        after = _whole(request.query_params.get("after"), "after")
        view = None
        if after is None:
            try:
                view = await self._view(request)
            except QueryUnavailable:
                return problem(request, 503, "QueryUnavailable", "Query container is offline")
            after = view.sequence
        else:
            await self._installation.runtime.reader.read_events(name, after, 1)
        events = self._installation.runtime.reader.events(name, after)
        return StreamingResponse(
            self._watched(name, view, events), media_type="application/json", headers={"Cache-Control": "no-store"}
        )

    async def _watched(self, name: str, view: View | None, events: AsyncIterator[ResultEvent]) -> AsyncIterator[bytes]:
        """One event per line, so that a reader can split the array before it ends."""
        beating = with_heartbeat(events, self._heartbeat_s)
        comma = b""
        try:
            yield b"["
            for event in _view_events(name, view) if view is not None else ():
                yield comma + b"\n" + event
                comma = b","
            async for event_or_beat in beating:
                if event_or_beat is None:
                    yield b" "
                    continue
                yield comma + b"\n" + encode(event_or_beat)
                comma = b","
                if isinstance(event_or_beat, ControlEvent) and event_or_beat.controlSignal.kind == "deleted":
                    break
            yield b"\n]"
        finally:
            await beating.aclose()  # type: ignore[attr-defined]

    async def explain(self, request: Request) -> Response:
        """The plan, as text or in a JSON object."""
        name = await self._known(request)
        query = await self._installation.query(name)
        container = str(query.spec.get("container") or "default")
        plan = await self._installation.runtime.explain(container, name)
        if "json" in request.headers.get("accept", ""):
            return Response(msgspec.json.encode({"id": name, "plan": plan}), media_type="application/json")
        return PlainTextResponse(plan)

    async def _known(self, request: Request) -> str:
        name: str = request.path_params["id"].partition(":")[0]
        await self._installation.get(CONTINUOUS_QUERY, name)
        return name

    async def _view(self, request: Request) -> View:
        name = await self._known(request)
        try:
            return await self._installation.runtime.reader.view(name)
        except QueryNotFound as error:
            # It is stored, so its container has yet to take it in.
            raise QueryUnavailable(
                f"query '{name}' is not in its container yet", hint="wait for it: drasi wait query " + name
            ) from error


def _view_events(name: str, view: View) -> list[bytes]:
    parts = []
    for start in range(0, len(view.rows), ROWS_PER_EVENT):
        rows = view.rows[start : start + ROWS_PER_EVENT]
        empty = ChangeEvent(
            queryId=name, sequence=view.sequence, sourceTimeMs=view.timestamp, addedRowIds=[row.row_id for row in rows]
        )
        added = ",".join(to_json(row.data) for row in rows)
        # Rows are written by their own rules (wire.md section 9); the rest of the event by the encoder.
        parts.append(encode(empty).replace(b'"addedResults":[]', f'"addedResults":[{added}]'.encode(), 1))
    return parts


def encode(event: ResultEvent) -> bytes:
    """An event as it was published: without ``metadata`` where it has none (that is its last member)."""
    text = encode_event(event)
    return text.removesuffix(b',"metadata":null}') + b"}" if event.metadata is None else text


async def _written(events: list[ResultEvent], as_sse: bool) -> AsyncIterator[bytes]:
    for event in events:
        yield _line(event, as_sse)


def _line(event: ResultEvent, as_sse: bool) -> bytes:
    return b"id: %d\ndata: %b\n\n" % (event.sequence, encode(event)) if as_sse else encode(event) + b"\n"


def _media(as_sse: bool) -> str:
    return "text/event-stream" if as_sse else "application/x-ndjson"


def _whole(text: str | None, name: str) -> int | None:
    if text is None or text == "":
        return None
    if not text.isascii() or not text.isdigit() or len(text) > _MOST_DIGITS or int(text) >= 2**63:
        raise WrongParameter(f"{name} must be a whole number from 0, not '{text[:50]}'")
    return int(text)
