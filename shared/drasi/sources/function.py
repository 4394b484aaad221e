"""The logic of the source function for one source, independent of the application around it."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import random
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Collection, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import msgspec
from starlette.routing import BaseRoute

from drasi import redaction
from drasi.bus.endpoint import Endpoint
from drasi.bus.port import Bus
from drasi.errors import DrasiError
from drasi.messages.changes import Element, Origin, Payload, SourceChange
from drasi.sources.dead_letters import DeadLetters
from drasi.sources.port import (
    BadRequest,
    Labels,
    OriginUnavailable,
    Signed,
    SnapshotEnd,
    SnapshotHeader,
    SnapshotLine,
    SnapshotRequest,
    Source,
    SourceContext,
    SourceKind,
    State,
)
from drasi.sources.publisher import Publisher
from drasi.sources.subscriptions import Subscriptions

_log = logging.getLogger("drasi.sources")

_UNAVAILABLE = frozenset({"OriginUnavailable", "BusUnavailable", "StateUnavailable", "PositionLost", "Unexpected"})
"""Lines of the status with which a source counts as not available."""

_PASSING = frozenset({"PositionLost"})
"""Lines that go when all is well again, within a moment perhaps, and are then among the warnings: it has happened."""

_WARNINGS = frozenset({"TransactionSplit"})
"""Lines that say what has happened, not what is wrong now."""


class _Acquire(msgspec.Struct):
    nodeLabels: list[str] = []  # noqa: N815 -- names of the wire
    relLabels: list[str] = []  # noqa: N815
    protocol: int = 1
    limit: int | None = None
    cursor: str | None = None


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
        only_wanted: Publish only labels that a registered query wants, as soon as one is registered. Right where every container
            registers its queries (``subscribe``); elsewhere the labels of one would be kept from the others.
        push_endpoint: Where Pub/Sub reaches a route of this function (``/push``), for kinds that are pushed to.
        now_ns, sleep: Clock and wait; tests give others.

    Attributes:
        source: The kind's own object (an ``ApplicationSource`` is the host program's handle); there once ``start`` has returned.
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
        only_wanted: bool = False,
        push_endpoint: Callable[[str], Endpoint] | None = None,
        now_ns: Callable[[], int] = time.time_ns,
        sleep: Callable[[float], Awaitable[None]] = asyncio.sleep,
    ) -> None:
        if kind.make is None:
            raise ValueError(f"nothing here implements the kind {kind.name}")
        self.id = source_id
        self._make = kind.make
        self._state = state
        self._now_ns = now_ns
        self._sleep = sleep
        self._messages: dict[str, str] = {}
        self._warnings: dict[str, str] = {}
        self._ready = False
        self._task: asyncio.Task[None] | None = None
        self._subscriptions = Subscriptions(state)
        self._dead_letters = DeadLetters(source_id, state)
        self._publisher = Publisher(source_id, bus, now_ns=now_ns, dead_letter=self._record_dead_letter, warn=self._report)
        self._context = SourceContext(
            id=source_id,
            properties={**kind.defaults, **properties},
            publish=self._publisher.publish,
            state=state,
            wanted=self._subscriptions.wanted if only_wanted else Labels,
            report=self._report,
            dead_letter=self._record_dead_letter,
            now_ns=now_ns,
            schedule_s=schedule_s,
            instance=instance,
            waiting_bytes=lambda: self._publisher.waiting_bytes,
            push_endpoint=push_endpoint,
            sleep=sleep,
        )
        if renew is not None:
            self._context.renew = renew
        self.source: Source | None = None

    async def start(self) -> None:
        """Reads the state and begins to run; an origin that is not reachable is retried and shown in the status.

        Raises:
            DrasiError: The properties ask for what is not there (``NotYet``), or the state cannot be read.
        """
        if self.source is None:
            self.source = self._make(self._context)
        await self._subscriptions.load()
        await self._dead_letters.load()
        if self._task is None:
            self._task = asyncio.create_task(self._run(self.source), name=f"source {self.id}")

    async def subscribe(self, query_node_id: str, query_id: str, node_labels: Sequence[str], rel_labels: Sequence[str]) -> None:
        """``POST /subscription``: from now on these labels are wanted (both empty: everything). Repeating changes nothing."""
        await self._subscriptions.add(query_node_id, query_id, list(node_labels), list(rel_labels))

    async def unsubscribe(self, query_node_id: str, query_id: str) -> None:
        """``DELETE /subscription/{queryNodeId}/{queryId}``."""
        await self._subscriptions.remove(query_node_id, query_id)

    async def acquire(self, body: bytes) -> AsyncIterator[bytes]:
        """``POST /acquire-stream``: the NDJSON lines, each with its newline, after the origin has been reached.

        Raises:
            BadRequest: 400.
            OriginUnavailable: 503.
        """
        try:
            asked = msgspec.json.decode(body or b"{}", type=_Acquire)
        except (msgspec.MsgspecError, RecursionError) as error:
            raise BadRequest(f"the body must be a snapshot request (wire.md section 4): {error}") from error
        if asked.protocol not in (1, 2):
            raise BadRequest(f"protocol must be 1 or 2, not {asked.protocol}")
        if asked.limit is not None and asked.limit < 1:
            raise BadRequest(f"limit must be at least 1, not {asked.limit}")
        if asked.protocol == 1 and (asked.limit is not None or asked.cursor is not None):
            raise BadRequest("limit and cursor need protocol 2")
        request = SnapshotRequest(frozenset(asked.nodeLabels), frozenset(asked.relLabels), asked.limit, asked.cursor)
        if asked.protocol == 1:
            lines = self._lines(request, mark=False)
            await anext(lines)
            return self._elements(request, lines)
        return self._json_lines(await self.snapshot(request))

    async def snapshot(self, request: SnapshotRequest) -> AsyncIterator[SnapshotLine]:
        """The same without JSON: header, elements, end; the marker is published before the last part's end. Same errors.

        A part may end with a cursor although no limit was asked for."""
        lines = self._lines(request, mark=True)
        header = await anext(lines)
        return _behind(header, lines)

    def wake(self) -> None:
        """``POST /``: reads the origin now."""
        if self.source is not None:
            self.source.wake()

    def routes(self) -> Sequence[BaseRoute]:
        """The kind's own routes, below ``/sources/{id}``."""
        if self.source is None:
            self.source = self._make(self._context)
        return self.source.routes()

    def signed(self) -> Collection[str]:
        """Routes of the kind that look at signatures instead of tokens."""
        return self.source.signed() if isinstance(self.source, Signed) else ()

    def status(self) -> dict[str, Any]:
        """``available``, ``messages`` and ``warnings``, ``deadLetters``, ``publishedTotal``; after the first change also
        ``position``, ``lagMs`` and ``lastChange``."""
        publisher = self._publisher
        status: dict[str, Any] = {
            "available": self._ready and not (_UNAVAILABLE & self._messages.keys()),
            "messages": dict(self._messages),
            "publishedTotal": publisher.published,
            "deadLetters": self._dead_letters.total,
            "warnings": [{"code": code, "message": text} for code, text in self._warnings.items()],
        }
        if publisher.last_position is not None:
            status["position"] = publisher.last_position
            status["lagMs"] = publisher.lag_ns // 1_000_000
            status["lastChange"] = datetime.fromtimestamp(publisher.last_change_ns / 1e9, UTC).isoformat().replace("+00:00", "Z")
        return status

    async def dead_letters(self) -> list[dict[str, Any]]:
        """Oldest first: ``id``, ``position``, ``error``, ``at``, ``content``."""
        return self._dead_letters.list()

    async def deprovision(self) -> None:
        """The source was deleted: stops, removes what it made in its origin, forgets its state.

        Raises:
            DrasiError: The origin cannot be cleaned up now; call again."""
        await self._stop()
        if self.source is None:
            self.source = self._make(self._context)
        await self.source.deprovision()
        await self._state.clear()
        await self.close()

    async def restart(self) -> None:
        """What the kind made outside may be gone: it begins again, at its position."""
        await self._stop()
        await self.start()

    async def close(self) -> None:
        """Stops. Nothing is left running; the position stays."""
        await self._stop()
        await self._publisher.close()
        if self.source is not None:
            await self.source.close()

    async def _stop(self) -> None:
        task, self._task = self._task, None
        self._ready = False
        if task is not None:
            task.cancel()
            await asyncio.gather(task, return_exceptions=True)

    async def _run(self, source: Source) -> None:
        failures = 0
        told: str | None = None
        while True:
            try:
                await source.start()
                if told is not None:
                    self._report(told, None)
                self._ready = True
                failures = 0
                await source.run()
            except DrasiError as error:
                code, text = error.code, error.message + (f"; {error.hint}" if error.hint else "")
            except Exception as error:
                code, text = "Unexpected", f"{type(error).__name__} in {type(source).__name__}; see the log"
                _log.exception("source %s", self.id)
            else:
                code, text = "Unexpected", f"{type(source).__name__} ended by itself"
            if told not in (None, code):
                self._report(str(told), None)
            told = code
            self._ready = False
            self._report(code, text)
            failures += 1
            await self._sleep(backoff(failures))

    async def _lines(self, request: SnapshotRequest, *, mark: bool) -> AsyncIterator[SnapshotLine]:
        source = self.source
        if source is None or not self._ready:
            why = "; ".join(self._messages.values()) or "it is starting"
            raise OriginUnavailable(f"source {self.id} is not ready: {why}")
        async with contextlib.aclosing(source.snapshot(request)) as lines:  # type: ignore[type-var]
            async for line in lines:
                if mark and isinstance(line, SnapshotEnd) and line.cursor is None:
                    # The reader takes the end for a promise: behind the marker no older change comes.
                    await self._publisher.publish([await source.mark() or self._bare_marker()], marker=True)
                yield line

    async def _elements(self, request: SnapshotRequest, lines: AsyncIterator[SnapshotLine]) -> AsyncIterator[bytes]:
        """Protocol 1: all elements of all parts, nothing else."""
        while True:
            cursor = None
            async for line in lines:
                if isinstance(line, Element):
                    yield msgspec.json.encode(_with_properties(line)) + b"\n"
                elif isinstance(line, SnapshotEnd):
                    cursor = line.cursor
            if cursor is None:
                return
            lines = self._lines(SnapshotRequest(request.nodes, request.relations, None, cursor), mark=False)

    async def _json_lines(self, lines: AsyncIterator[SnapshotLine]) -> AsyncIterator[bytes]:
        async for line in lines:
            if isinstance(line, SnapshotHeader):
                header = {"source": self.id, "position": line.position, "ts_ns": line.ts_ns}
                yield msgspec.json.encode({"header": header}) + b"\n"
            elif isinstance(line, Element):
                yield msgspec.json.encode(_with_properties(line)) + b"\n"
            else:
                end = {"count": line.count} if line.cursor is None else {"count": line.count, "cursor": line.cursor}
                yield msgspec.json.encode({"end": end}) + b"\n"

    def _bare_marker(self) -> SourceChange:
        return SourceChange("u", Payload(Origin(self.id, "node", self._now_ns())))

    def _report(self, code: str, text: str | None) -> None:
        lines = self._warnings if code in _WARNINGS else self._messages
        text = None if text is None else redaction.clean(text)
        if text is None:
            said = lines.pop(code, None)
            if said is not None and code in _PASSING:
                at = datetime.fromtimestamp(self._now_ns() / 1e9, UTC).isoformat(timespec="seconds").replace("+00:00", "Z")
                self._warnings[code] = f"{said} ({at})"
        elif lines.get(code) != text:
            lines[code] = text
            _log.warning("source %s: %s: %s", self.id, code, text)

    async def _record_dead_letter(self, position: str, content: Mapping[str, Any], error: str) -> None:
        await self._dead_letters.add(position, content, redaction.clean(error), self._now_ns())


def backoff(failures: int) -> float:
    """Seconds before attempt ``failures`` + 1: 1 … 60, with jitter."""
    longest = min(60.0, 2.0 ** min(failures - 1, 10))
    return max(1.0, longest * random.uniform(0.75, 1.0))  # noqa: S311


async def _behind(header: SnapshotLine, lines: AsyncIterator[SnapshotLine]) -> AsyncIterator[SnapshotLine]:
    yield header
    async for line in lines:
        yield line


def _with_properties(element: Element) -> dict[str, Any]:
    line: dict[str, Any] = {"id": element.id, "labels": element.labels, "properties": element.properties}
    for name in ("startId", "endId", "startSource", "endSource"):
        value = getattr(element, name)
        if value is not None:
            line[name] = value
    return line
