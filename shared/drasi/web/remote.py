"""Queries and sources that run in other processes, read over HTTP (wire.md sections 4 and 7)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any

import httpx
import msgspec

from drasi.container import SnapshotPart, SourceMissing
from drasi.messages.changes import Element
from drasi.messages.reading import Gone, QueryNotFound, QueryUnavailable, View, ViewRow
from drasi.messages.results import ResultEvent, decode_event
from drasi.sources.port import OriginUnavailable
from drasi.web.query import HEARTBEAT_S, LATEST

Address = Callable[[str], str | Awaitable[str]]
"""From the name of a query or source to the URL of the function that has it; what must be looked up is awaited."""

Credentials = Callable[[str], dict[str, str]]
"""From the scope that a request needs to the headers that show it."""

TIMEOUT = httpx.Timeout(10.0, read=3 * HEARTBEAT_S)
"""A stream that is silent for three heartbeats is broken."""

_PART = 1_000
_MARKED_BY = "position"


def no_credentials(scope: str) -> dict[str, str]:
    """Where no token is checked."""
    return {}


class _Gone(msgspec.Struct):
    requested: int
    earliest: int
    latest: int


class RemoteReader:
    """A ``QueryReader`` of query functions.

    Args:
        client: With ``TIMEOUT``; closed by the caller.
        address: Where the query function of a query is.
        credentials: What it is shown.
    """

    def __init__(self, client: httpx.AsyncClient, address: Address, *, credentials: Credentials = no_credentials) -> None:
        self._client = client
        self._address = address
        self._credentials = credentials

    async def view(self, query_id: str) -> View:
        try:
            answer = await self._client.get(
                f"{await _located(self._address, query_id)}/queries/{query_id}", headers=self._credentials(f"query:read:{query_id}")
            )
        except httpx.HTTPError as error:
            raise _unavailable(query_id, error) from error
        await _check(answer, query_id)
        try:
            header, *rows = msgspec.json.decode(answer.content)
            header = header["header"]
            items = [ViewRow(row["data"], row["rowId"]) for row in rows]
            return View(header["sequence"], header["timestamp"], header["state"], items)
        except (msgspec.MsgspecError, KeyError, ValueError, TypeError) as error:
            raise QueryUnavailable(f"the view of '{query_id}' was cut short; it is read again") from error

    async def events(self, query_id: str, after: int) -> AsyncIterator[ResultEvent]:
        async for event in self._lines(query_id, {"after": after}):
            yield event

    async def read_events(self, query_id: str, after: int, limit: int) -> list[ResultEvent]:
        found: list[ResultEvent] = []
        async for event in self._lines(query_id, {"after": after, "limit": limit}, only_there_are=after):
            found.append(event)  # noqa: PERF401 -- an asynchronous comprehension would not be closed
        return found

    async def _lines(
        self, query_id: str, parameters: dict[str, int], only_there_are: int | None = None
    ) -> AsyncIterator[ResultEvent]:
        url = f"{await _located(self._address, query_id)}/queries/{query_id}/events"
        try:
            headers = self._credentials(f"query:read:{query_id}")
            async with self._client.stream("GET", url, params=parameters, headers=headers) as answer:
                await _check(answer, query_id)
                latest = int(answer.headers.get(LATEST, "0"))
                if only_there_are is not None and latest <= only_there_are:
                    return
                async for line in answer.aiter_lines():
                    if not line:
                        continue
                    event = decode_event(line)
                    yield event
                    if only_there_are is not None and event.sequence >= latest:
                        return
        except (httpx.HTTPError, msgspec.MsgspecError) as error:
            raise _unavailable(query_id, error) from error


class RemoteSnapshots:
    """A ``SnapshotReader`` of source functions."""

    def __init__(
        self, client: httpx.AsyncClient, address: Address, *, part: int = _PART, credentials: Credentials = no_credentials
    ) -> None:
        self._client = client
        self._address = address
        self._credentials = credentials
        self._part = part

    async def read(self, source: str, nodes: frozenset[str], relations: frozenset[str], cursor: str | None) -> SnapshotPart:
        asked: dict[str, Any] = {"nodeLabels": sorted(nodes), "relLabels": sorted(relations), "protocol": 2, "limit": self._part}
        if cursor is not None:
            asked["cursor"] = cursor
        try:
            headers = self._credentials(f"source:read:{source}")
            answer = await self._client.post(f"{await _located(self._address, source)}/acquire-stream", json=asked, headers=headers)
        except httpx.HTTPError as error:
            raise OriginUnavailable(f"source '{source}' cannot be reached: {type(error).__name__}") from error
        if answer.status_code == 404:
            raise SourceMissing(f"there is no source '{source}' at its address yet", hint="apply it; the query waits")
        if answer.status_code != 200:
            raise OriginUnavailable(f"source '{source}' answered {answer.status_code}: {answer.text[:300]}")
        return _part(source, answer.content)


async def _located(address: Address, name: str) -> str:
    found = address(name)
    return found if isinstance(found, str) else await found


def _part(source: str, body: bytes) -> SnapshotPart:
    try:
        first, *lines, last = body.splitlines()
        header = msgspec.json.decode(first)["header"]
        end = msgspec.json.decode(last)["end"]
        elements = [msgspec.json.decode(line, type=Element) for line in lines]
    except (msgspec.MsgspecError, KeyError, ValueError, TypeError) as error:
        raise OriginUnavailable(f"the snapshot of '{source}' ended before its end; it is read again") from error
    if end["count"] != len(elements):
        raise OriginUnavailable(
            f"the snapshot of '{source}' says {end['count']} elements and has {len(elements)}; it is read again"
        )
    position = header.get(_MARKED_BY)
    return SnapshotPart(elements, position, header["ts_ns"], end.get("cursor"), marked=bool(position))


async def _check(answer: httpx.Response, query_id: str) -> None:
    if answer.status_code == 200:
        return
    body = await answer.aread()
    if answer.status_code == 404:
        raise QueryNotFound(f"View `{query_id}` not found")
    if answer.status_code == 410:
        gone = msgspec.json.decode(body, type=_Gone)
        raise Gone(gone.requested, gone.earliest, gone.latest)
    raise QueryUnavailable(
        f"the query function of '{query_id}' answered {answer.status_code}: {body[:300].decode(errors='replace')}"
    )


def _unavailable(query_id: str, error: Exception) -> QueryUnavailable:
    return QueryUnavailable(f"the query function of '{query_id}' cannot be read: {type(error).__name__}", hint="it is tried again")
