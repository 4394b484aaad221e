"""What kinds have in common that are told of changes instead of reading them: positions from a counter, no snapshot."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence

from drasi.messages.changes import SourceChange
from drasi.sources.port import SnapshotEnd, SnapshotHeader, SnapshotLine, SnapshotRequest, Source, SourceContext, State

_BLOCK = 10_000


class Counter:
    """Numbers that rise for ever, also over restarts: they are reserved in blocks, so that a number costs no write."""

    def __init__(self, state: State, name: str) -> None:
        self._state = state
        self._name = name
        self._lock = asyncio.Lock()
        self._next = 0
        self._reserved = -1

    async def reserve(self, count: int) -> None:
        """Makes sure that the next ``count`` calls of ``next`` have a number, if no other task calls it in between."""
        while self._reserved - self._next + 1 < count:
            async with self._lock:
                if self._reserved - self._next + 1 < count:
                    stored = await self._state.get(self._name)
                    first = int(stored or 0) + 1
                    reserved = first + max(count, _BLOCK) - 1
                    await self._state.put(self._name, str(reserved), expected=stored)
                    if first != self._reserved + 1:
                        self._next = first
                    self._reserved = reserved

    def next(self) -> int:
        number = self._next
        self._next += 1
        return number


class PushedSource(Source):
    """A source without a stream of its own. What it publishes gets its position in the order of publication.

    Args:
        partition: The stream of positions within the source; None: there is only one.
    """

    def __init__(self, context: SourceContext, *, partition: str | None) -> None:
        self.context = context
        self._partition = partition
        self._counter = Counter(context.state, "counter" if partition is None else f"counter/{partition}")

    async def start(self) -> None:
        await self._counter.reserve(1)

    async def run(self) -> None:
        await asyncio.get_running_loop().create_future()

    async def publish(self, changes: Sequence[SourceChange], arrange: Callable[[int], None] | None = None) -> None:
        """Gives positions and publishes.

        Args:
            arrange: Called with the first number before anything is published (to name a transaction after it).
        """
        await self._counter.reserve(len(changes))
        # No await from here to the publisher's queue: positions must rise in the order of publication.
        for index, change in enumerate(changes):
            number = self._counter.next()
            if index == 0 and arrange is not None:
                arrange(number)
            origin = change.payload.source
            origin.lsn = number
            origin.position = f"{number:020d}"
            origin.partition = self._partition
        await self.context.publish(changes)

    async def snapshot(self, request: SnapshotRequest) -> AsyncIterator[SnapshotLine]:
        yield SnapshotHeader("", self.context.now_ns())
        yield SnapshotEnd(0)
