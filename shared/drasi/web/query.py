"""The query function: changes and control messages in, rows and the tail of events out (wire.md sections 1.4 and 7)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import ClassVar, Protocol

import msgspec
from prometheus_client.metrics_core import Metric
from starlette.convertors import Convertor, register_url_convertor
from starlette.requests import Request
from starlette.responses import PlainTextResponse, Response, StreamingResponse
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp

from drasi.bus.port import Deliver
from drasi.container import Container
from drasi.errors import DrasiError
from drasi.messages.reading import View
from drasi.values import to_json
from drasi.web.container import container_routes
from drasi.web.direct import routes_app
from drasi.web.health import health_routes
from drasi.web.metrics import query_metrics, registry_of
from drasi.web.push import PushFront
from drasi.web.stores import Stores
from drasi.web.streams import close, with_heartbeat

HEARTBEAT_S = 15.0
LATEST = "Drasi-Latest-Sequence"
"""Header of the tail: the last event there was when the answer began, so that a reader knows when it has caught up."""
_ROWS_PER_CHUNK = 500
_LARGEST_INT64 = 2**63 - 1
_MOST_DIGITS = 100  # int() refuses thousands of them


class QueryName(Convertor[str]):
    """A resource's name in a path (which no file with an extension is)."""

    regex = "[a-z0-9](?:[-a-z0-9]{0,48}[a-z0-9])?"

    def convert(self, value: str) -> str:
        return value

    def to_string(self, value: str) -> str:
        return value


register_url_convertor("query", QueryName())


class Queries(Protocol):
    """Where the routes find the state machine of a query."""

    def machine_of(self, query_id: str) -> Container:
        """Raises QueryNotFound."""
        ...

    async def refresh(self) -> None:
        """Reads what other instances have done, if this one has not looked for a while."""
        ...


class WrongParameter(DrasiError):
    """A parameter of the request that is not what it must be."""

    code: ClassVar[str] = "BadRequest"


@dataclass(frozen=True, slots=True)
class QueryRoutes:
    """View and tail of queries.

    Args:
        queries: Where they are.
        heartbeat_s: How often a silent stream says that it lives.
    """

    queries: Queries
    heartbeat_s: float = HEARTBEAT_S

    def routes(self) -> list[BaseRoute]:
        return [
            Route("/queries/{id:query}", self.view),
            Route("/queries/{id:query}/events", self.events),
            Route("/{id:query}", self.view),
        ]

    async def view(self, request: Request) -> Response:
        """``GET /queries/{id}``: one consistent state, as a JSON array that is written as it is read."""
        for name in ("timestamp", "at", "sequence"):
            if name in request.query_params:
                return PlainTextResponse(
                    f"NotYet: ?{name}= (a past state of the result) is not built yet; leave it out for the result now", 400
                )
        query = request.path_params["id"]
        await self.queries.refresh()
        view = self.queries.machine_of(query).view(query)
        return StreamingResponse(write_view(view), media_type="application/json")

    async def events(self, request: Request) -> Response:
        """``GET /queries/{id}/events``: result events after a sequence, as NDJSON or server-sent events."""
        query = request.path_params["id"]
        as_sse = "text/event-stream" in request.headers.get("accept", "")
        try:
            after = _integer(request.headers.get("last-event-id") if as_sse else None, "Last-Event-ID")
            if after is None:
                after = _integer(request.query_params.get("after"), "after")
            limit = _integer(request.query_params.get("limit"), "limit")
        except WrongParameter as error:
            return PlainTextResponse(error.message, 400)
        await self.queries.refresh()
        machine = self.queries.machine_of(query)
        if after is None:
            after = machine.view(query).sequence
        await machine.read_events_json(query, after, 1)  # raises what the stream would, while there can be another status
        events = _limited(machine.events_json(query, after), limit)
        headers = {"Cache-Control": "no-store", LATEST: str(machine.view(query).sequence)}
        if as_sse:
            return StreamingResponse(
                self._sse(events), media_type="text/event-stream", headers={**headers, "X-Accel-Buffering": "no"}
            )
        return StreamingResponse(self._ndjson(events), media_type="application/x-ndjson", headers=headers)

    async def _sse(self, events: AsyncIterator[tuple[int, bytes]]) -> AsyncIterator[bytes]:
        yield b"retry: 1000\n\n"
        async for event in with_heartbeat(_until_broken(events), self.heartbeat_s):
            yield b":\n\n" if event is None else b"id: %d\ndata: %b\n\n" % event

    async def _ndjson(self, events: AsyncIterator[tuple[int, bytes]]) -> AsyncIterator[bytes]:
        async for event in with_heartbeat(_until_broken(events), self.heartbeat_s):
            yield b"\n" if event is None else event[1] + b"\n"


def query_app(
    container: Stores,
    *,
    heartbeat_s: float = HEARTBEAT_S,
    attend: Callable[[Deliver], Deliver] = lambda deliver: deliver,
    metrics: Callable[[], Iterable[Metric]] = tuple,
) -> ASGIApp:
    """The application of one query container that has started.

    Args:
        attend: The bus's own work with what is pushed.
        metrics: Of what the process stands on.
    """
    registry = registry_of(lambda: query_metrics([container]), metrics)
    routes = [
        *health_routes(container.ready, registry),
        *container_routes(container),
        *QueryRoutes(container, heartbeat_s).routes(),
    ]
    deliveries = {"/changes": attend(container.changes), "/control": attend(container.control)}
    return PushFront(deliveries, routes_app(routes))


def write_view(view: View) -> Iterable[bytes]:
    """The JSON array of wire.md section 7 in pieces: a header, then the rows."""
    header = {"header": {"sequence": view.sequence, "timestamp": view.timestamp, "state": view.state}}
    yield b"[" + msgspec.json.encode(header)
    for start in range(0, len(view.rows), _ROWS_PER_CHUNK):
        rows = view.rows[start : start + _ROWS_PER_CHUNK]
        yield "".join(f',{{"data":{to_json(row.data)},"rowId":{to_json(row.row_id)}}}' for row in rows).encode()
    yield b"]"


async def _until_broken(events: AsyncIterator[tuple[int, bytes]]) -> AsyncIterator[tuple[int, bytes]]:
    """A tail that cannot go on (trimmed, container closed) ends: the reader asks again, and is told why with a status."""
    try:
        async for event in events:
            yield event
    except DrasiError:
        return
    finally:
        await close(events)


async def _limited(events: AsyncIterator[tuple[int, bytes]], limit: int | None) -> AsyncIterator[tuple[int, bytes]]:
    left = limit
    try:
        while left is None or left > 0:
            yield await anext(events)
            if left is not None:
                left -= 1
    except StopAsyncIteration:
        return
    finally:
        await close(events)


def _integer(text: str | None, name: str) -> int | None:
    if text is None or text == "":
        return None
    if not text.isascii() or not text.isdigit() or len(text) > _MOST_DIGITS or int(text) > _LARGEST_INT64:
        raise WrongParameter(f"{name} must be a whole number from 0, not '{text[:50]}'")
    return int(text)


__all__: Sequence[str] = ["Queries", "QueryRoutes", "query_app", "write_view"]
