"""The logic of the source function for one source, independent of the application around it."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from typing import Any

from starlette.routing import BaseRoute

from drasi.bus.port import Bus
from drasi.sources.port import SnapshotLine, SnapshotRequest, SourceKind, State


class SourceFunction:
    """One source at work.

    Args:
        source_id: The resource's name; the topic is ``{source_id}-change``.
        kind: From the registry; must have ``make``.
        properties: Resolved and checked; defaults of the kind are added.
        bus: Where changes go.
        state: This source's durable memory (``drasi.sources.state``).
        schedule_s: ``spec.schedule`` in seconds, if given.
        renew: Called with a reason when the containers' copies of the source must be read again (a lost position).
        instance: Which of the function's instances this is.
        now_ns, sleep: Clock and wait; tests give others.
    """

    def __init__(
        self,
        source_id: str,
        kind: SourceKind,
        properties: Mapping[str, Any],
        *,
        bus: Bus,
        state: State,
        schedule_s: float | None = None,
        renew: Callable[[str], Awaitable[None]] | None = None,
        instance: str = "0",
        now_ns: Callable[[], int] = time.time_ns,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        raise NotImplementedError

    async def start(self) -> None:
        """Reads the state and begins to run; an origin that is not reachable is retried and shown in the status."""
        raise NotImplementedError

    async def subscribe(self, query_node_id: str, query_id: str, node_labels: Sequence[str], rel_labels: Sequence[str]) -> None:
        """``POST /subscription``: from now on these labels are wanted (both empty: everything). Repeating changes nothing.

        As long as nobody is registered, everything is published."""
        raise NotImplementedError

    async def unsubscribe(self, query_node_id: str, query_id: str) -> None:
        """``DELETE /subscription/{queryNodeId}/{queryId}``."""
        raise NotImplementedError

    async def acquire(self, body: bytes) -> AsyncIterator[bytes]:
        """``POST /acquire-stream``: the NDJSON lines, each with its newline, after the origin has been reached.

        Raises:
            BadRequest: 400.
            OriginUnavailable: 503.
        """
        raise NotImplementedError

    async def snapshot(self, request: SnapshotRequest) -> AsyncIterator[SnapshotLine]:
        """The same without JSON: header, elements, end; the marker is published before the last part's end. Same errors."""
        raise NotImplementedError

    def wake(self) -> None:
        """``POST /``: reads the origin now."""
        raise NotImplementedError

    def routes(self) -> Sequence[BaseRoute]:
        """The kind's own routes, below ``/sources/{id}``."""
        raise NotImplementedError

    def status(self) -> dict[str, Any]:
        """``available``, ``messages``, ``position``, ``lagMs``, ``publishedTotal``, ``lastChange``, ``deadLetters``, ``warnings``."""
        raise NotImplementedError

    async def dead_letters(self) -> list[dict[str, Any]]:
        """Oldest first: ``id``, ``position``, ``error``, ``at``, ``content``."""
        raise NotImplementedError

    async def deprovision(self) -> None:
        """The source was deleted: stops, removes what it made in its origin, forgets its state.

        Raises:
            DrasiError: The origin cannot be cleaned up now; call again."""
        raise NotImplementedError

    async def close(self) -> None:
        """Stops. Nothing is left running; the position stays."""
        raise NotImplementedError
