"""Recent result events, kept to be served: bounded in number and in bytes over all queries."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable

from drasi.container.entry import Derived

_COMPACT = 1024


class _Tail:
    """Events of one query in the order of their sequences; ``start`` hides those that were evicted."""

    __slots__ = ("events", "sequences", "start")

    def __init__(self) -> None:
        self.sequences: list[int] = []
        self.events: list[bytes] = []
        self.start = 0

    def evict(self, count: int) -> None:
        """Lets go of the oldest events."""
        stop = self.start + count
        self.events[self.start : stop] = [b""] * count
        self.start = stop
        if self.start >= _COMPACT and self.start * 2 >= len(self.events):
            del self.sequences[: self.start]
            del self.events[: self.start]
            self.start = 0

    def __len__(self) -> int:
        return len(self.events) - self.start


class Ring:
    """The newest events of all queries; the oldest ones go first, whosever they are."""

    def __init__(self, events: int, size: int) -> None:
        self._most = events
        self._size = size
        self._held = 0
        self._order: deque[tuple[_Tail, int, int]] = deque()
        self._count = 0
        self._tails: dict[str, _Tail] = {}
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}

    def add(self, runs: Iterable[Derived]) -> None:
        """Keeps events and wakes whoever waits for one."""
        for run in runs:
            tail = self._tails.get(run.query)
            if tail is None:
                tail = self._tails[run.query] = _Tail()
            count, size = len(run.events), sum(map(len, run.events))
            tail.sequences += range(run.first, run.first + count)
            tail.events += run.events
            self._order.append((tail, count, size))
            self._count += count
            self._held += size
            for future in self._waiting.get(run.query, ()):
                if not future.done():
                    future.set_result(None)
        while self._count > self._most or self._held > self._size:
            self._evict()

    def _evict(self) -> None:
        """The oldest run goes, or as much of it as must."""
        tail, count, size = self._order.popleft()
        if self._count - count < self._most and self._held - size < self._size and count > 1:
            # Half of it may be enough.
            half = count // 2
            first = sum(map(len, tail.events[tail.start : tail.start + half]))
            self._order.appendleft((tail, count - half, size - first))
            count, size = half, first
        tail.evict(count)
        self._count -= count
        self._held -= size

    def first(self, query: str) -> int | None:
        """The first sequence kept."""
        tail = self._tails.get(query)
        return tail.sequences[tail.start] if tail is not None and len(tail) else None

    def after(self, query: str, sequence: int, limit: int) -> list[tuple[int, bytes]]:
        """Kept events after ``sequence``."""
        tail = self._tails.get(query)
        if tail is None:
            return []
        place = bisect_left(tail.sequences, sequence + 1, tail.start)
        stop = place + limit
        return list(zip(tail.sequences[place:stop], tail.events[place:stop], strict=True))

    async def changed(self, query: str) -> None:
        """Returns when an event of the query was added."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        waiting = self._waiting.setdefault(query, set())
        waiting.add(future)
        try:
            await future
        finally:
            waiting.discard(future)
            if not waiting and self._waiting.get(query) is waiting:
                del self._waiting[query]

    def wake(self) -> None:
        """Wakes everybody: the container closes."""
        for waiting in self._waiting.values():
            for future in waiting:
                if not future.done():
                    future.set_result(None)

    def clear(self) -> None:
        """The state was restored anew."""
        self._order.clear()
        self._tails.clear()
        self._count = self._held = 0
