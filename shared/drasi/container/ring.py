"""Recent result events, kept to be served: bounded in number and in bytes over all queries."""

from __future__ import annotations

import asyncio
from bisect import bisect_left
from collections import deque
from collections.abc import Iterable

from drasi.container.events import Event

_COMPACT = 1024


class _Tail:
    """Events of one query in the order of their sequences; ``start`` hides those that were evicted."""

    __slots__ = ("events", "sequences", "start")

    def __init__(self) -> None:
        self.sequences: list[int] = []
        self.events: list[bytes] = []
        self.start = 0

    def evict(self) -> int:
        """Lets go of the oldest event; returns its size."""
        size = len(self.events[self.start])
        self.events[self.start] = b""
        self.start += 1
        if self.start >= _COMPACT and self.start * 2 >= len(self.events):
            del self.sequences[: self.start]
            del self.events[: self.start]
            self.start = 0
        return size

    def __len__(self) -> int:
        return len(self.events) - self.start


class Ring:
    """The newest events of all queries; the oldest ones go first, whosever they are."""

    def __init__(self, events: int, size: int) -> None:
        self._most = events
        self._size = size
        self._held = 0
        self._order: deque[_Tail] = deque()
        self._tails: dict[str, _Tail] = {}
        self._waiting: dict[str, set[asyncio.Future[None]]] = {}

    def add(self, events: Iterable[Event]) -> None:
        """Keeps events and wakes whoever waits for one."""
        touched = set()
        for event in events:
            tail = self._tails.get(event.query)
            if tail is None:
                tail = self._tails[event.query] = _Tail()
            tail.sequences.append(event.sequence)
            tail.events.append(event.data)
            self._order.append(tail)
            self._held += len(event.data)
            touched.add(event.query)
        while self._order and (len(self._order) > self._most or self._held > self._size):
            self._held -= self._order.popleft().evict()
        for query in touched:
            for future in self._waiting.get(query, ()):
                if not future.done():
                    future.set_result(None)

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
        self._held = 0
