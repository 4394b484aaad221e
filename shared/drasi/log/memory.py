"""A log in memory: for tests, and for stores that may be lost with their process."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence

from drasi.errors import DrasiError
from drasi.log.port import ENTRY_LIMIT, EntryExists, EntryTooLarge, LogEntry, LogTrimmed, LogUnavailable

_READ_BYTES = 8 * 1024 * 1024


class MemoryStore:
    """What several handles share: the store itself."""

    def __init__(self) -> None:
        self.entries: dict[int, bytes] = {}
        self.documents: dict[str, bytes] = {}
        self.head = 0
        self.trimmed = 0
        self.waiting: set[asyncio.Future[None]] = set()


class MemoryLog:
    """One instance's handle of a ``MemoryStore``; without one it makes its own."""

    durable = False
    retain_bytes = 16_000_000
    retain_s = 0
    problem: DrasiError | None = None

    def __init__(self, store: MemoryStore | None = None, *, entry_limit: int = ENTRY_LIMIT) -> None:
        self._store = store if store is not None else MemoryStore()
        self._closed = False
        self.entry_limit = entry_limit

    async def create(self, number: int, data: bytes) -> None:
        store = self._open()
        if len(data) > self.entry_limit:
            raise EntryTooLarge(f"entry {number} has {len(data)} bytes; the log takes {self.entry_limit}")
        if number != store.head + 1:
            raise EntryExists(f"entry {number} is not the one after the head, {store.head}")
        store.entries[number] = bytes(data)
        store.head = number
        for future in store.waiting:
            if not future.done():
                future.set_result(None)

    async def read(self, after: int, limit: int) -> list[LogEntry]:
        store = self._open()
        if after < store.trimmed:
            raise LogTrimmed(after, store.trimmed + 1)
        found: list[LogEntry] = []
        size = 0
        for number in range(after + 1, min(after + limit, store.head) + 1):
            data = store.entries[number]
            size += len(data)
            if found and size > _READ_BYTES:
                break
            found.append(LogEntry(number, data))
        return found

    async def head(self) -> int:
        return self._open().head

    async def earliest(self) -> int:
        return self._open().trimmed + 1

    async def trim(self, through: int) -> None:
        store = self._open()
        through = min(through, store.head)
        for number in range(store.trimmed + 1, through + 1):
            del store.entries[number]
        store.trimmed = max(store.trimmed, through)

    async def changed(self, after: int) -> None:
        store = self._open()
        if store.head > after:
            return
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        store.waiting.add(future)
        try:
            await future
        finally:
            store.waiting.discard(future)

    async def put(self, name: str, data: bytes) -> None:
        self._open().documents[name] = bytes(data)

    async def get(self, name: str) -> bytes | None:
        return self._open().documents.get(name)

    async def names(self, prefix: str) -> list[str]:
        return sorted(name for name in self._open().documents if name.startswith(prefix))

    async def drop(self, names: Sequence[str]) -> None:
        documents = self._open().documents
        for name in names:
            documents.pop(name, None)

    async def delete(self) -> None:
        store = self._open()
        store.entries.clear()
        store.documents.clear()
        store.head = store.trimmed = 0
        self._closed = True

    async def close(self) -> None:
        self._closed = True

    def _open(self) -> MemoryStore:
        if self._closed:
            raise LogUnavailable("the log is closed")
        return self._store
