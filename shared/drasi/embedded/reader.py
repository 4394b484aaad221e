"""Rows, events and snapshots within one process: what goes over HTTP elsewhere."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import aclosing
from typing import Any

from drasi.container import Container, SnapshotPart, SourceMissing
from drasi.messages.changes import Element
from drasi.messages.reading import View
from drasi.messages.results import ResultEvent
from drasi.sources.function import SourceFunction
from drasi.sources.port import OriginUnavailable, SnapshotEnd, SnapshotHeader, SnapshotRequest

PART = 1_000
"""Elements of one part of a snapshot."""


class ProcessReader:
    """A ``QueryReader`` over the state machines of this process."""

    def __init__(self, machine_of: Callable[[str], Container]) -> None:
        self._machine_of = machine_of

    async def view(self, query_id: str) -> View:
        return self._machine_of(query_id).view(query_id)

    async def events(self, query_id: str, after: int) -> AsyncIterator[ResultEvent]:
        async with aclosing(self._machine_of(query_id).events(query_id, after)) as events:  # type: ignore[type-var]
            async for event in events:
                yield event

    async def read_events(self, query_id: str, after: int, limit: int) -> list[ResultEvent]:
        return await self._machine_of(query_id).read_events(query_id, after, limit)

    async def status(self, query_id: str) -> Mapping[str, Any]:
        """What pages of reactions show of a query's state."""
        return self._machine_of(query_id).query_status(query_id)


class ProcessSnapshots:
    """A ``SnapshotReader`` over the sources of this process.

    Args:
        find: The source of a name at this moment, and whether its kind has a stream that can be marked; None: not there.
        part: Elements asked for at a time.
    """

    def __init__(self, find: Callable[[str], tuple[SourceFunction, bool] | None], *, part: int = PART) -> None:
        self._find = find
        self._part = part

    async def read(self, source: str, nodes: frozenset[str], relations: frozenset[str], cursor: str | None) -> SnapshotPart:
        found = self._find(source)
        if found is None:
            raise SourceMissing(f"there is no source '{source}' yet", hint="apply it; the query waits")
        function, streams = found
        request = SnapshotRequest(nodes, relations, self._part, cursor)
        header: SnapshotHeader | None = None
        end: SnapshotEnd | None = None
        elements: list[Element] = []
        async for line in await function.snapshot(request):
            if isinstance(line, Element):
                elements.append(line)
            elif isinstance(line, SnapshotHeader):
                header = line
            else:
                end = line
        if header is None or end is None or end.count != len(elements):
            raise OriginUnavailable(f"the snapshot of '{source}' ended before its end; it is read again")
        return SnapshotPart(elements, header.position, header.ts_ns, end.cursor, marked=streams)
