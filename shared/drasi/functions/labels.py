"""Which changes a container's subscriptions let through: those with the labels that its queries want (wire.md section 1.2)."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterable
from functools import lru_cache
from typing import Final

import msgspec

from drasi.container.labels import NOTHING, Wanted
from drasi.container.port import SnapshotPart, SnapshotReader
from drasi.container.query import define
from drasi.errors import DrasiError
from drasi.resources.known import container_of
from drasi.resources.manifest import filled
from drasi.resources.resource import CONTINUOUS_QUERY, Resource, sources_of
from drasi.sources.port import OriginUnavailable

_EVERYTHING: Final = Wanted(None, None)
_LOOK_S: Final = 0.2
_LOOKS: Final = 25


def change_subscription(container: str, source: str) -> str:
    # A point is in no resource's name, so no two subscriptions have one name.
    return f"{container}.{source}.changes"


def change_topic(source: str) -> str:
    return f"{source}-change"


def wanted_labels(queries: Iterable[Resource], container: str, source: str) -> frozenset[str] | None:
    """Labels and types that the queries of a container want of a source; None: everything."""
    wanted = NOTHING
    for query in queries:
        if container_of(query) == container and source in sources_of(query):
            needs = _needs(msgspec.json.encode(filled(CONTINUOUS_QUERY, query.spec), order="sorted"))
            wanted |= needs.get(source, NOTHING) if needs is not None else _EVERYTHING
    return None if wanted.nodes is None or wanted.relations is None else wanted.nodes | wanted.relations


@lru_cache(maxsize=1_024)
def _needs(spec: bytes) -> dict[str, Wanted] | None:
    """By source; None: this release cannot say."""
    try:
        return define(spec).needs
    except DrasiError:
        return None


class HeardSnapshots:
    """A ``SnapshotReader`` that begins to read a source once the container hears of what it is going to read.

    While the filter of its subscription is being replaced, changes of labels that are new are dropped by the watermark: only what
    is read afterwards has them.

    Args:
        reader: Reads.
        hears: Whether the container's subscription to a source lets labels through (None: everything).
        sleep: Waits; tests give another.
    """

    def __init__(
        self,
        reader: SnapshotReader,
        hears: Callable[[str, frozenset[str] | None], Awaitable[bool]],
        *,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        self._reader = reader
        self._hears = hears
        self._sleep = sleep

    async def read(self, source: str, nodes: frozenset[str], relations: frozenset[str], cursor: str | None) -> SnapshotPart:
        if cursor is None:
            await self._heard(source, nodes | relations or None)
        return await self._reader.read(source, nodes, relations, cursor)

    async def _heard(self, source: str, labels: frozenset[str] | None) -> None:
        for _ in range(_LOOKS):
            if await self._hears(source, labels):
                return
            await self._sleep(_LOOK_S)
        raise OriginUnavailable(
            f"the subscription to source '{source}' does not let through what the query wants yet",
            hint="management replaces its filter; see whether it and this function are pushed to",
        )
