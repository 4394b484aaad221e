"""State cut into chunks, so that a snapshot never stops evaluation: a chunk touched while one is under way is copied first."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any
from zlib import crc32

import msgspec


class Chunks:
    """Which chunks of something changed since the last snapshot, and which a snapshot under way still has to take.

    Args:
        name: Prefix of the sections' names.
        count: How many chunks there are.
        dump: Writes one chunk as it is now.
    """

    __slots__ = ("_copied", "_dump", "_wanted", "count", "dirty", "name", "pending")

    def __init__(self, name: str, count: int, dump: Callable[[int], bytes]) -> None:
        self.name = name
        self.count = count
        self.dirty: set[int] = set(range(count))
        self.pending: set[int] = set()
        self._copied: dict[int, bytes] = {}
        self._wanted: set[int] = set()
        self._dump = dump

    def touch(self, chunk: int) -> None:
        """Must be called before the chunk changes."""
        self.dirty.add(chunk)
        if chunk in self.pending:
            self.pending.discard(chunk)
            self._copied[chunk] = self._dump(chunk)

    def section(self, chunk: int) -> str:
        return f"{self.name}/{chunk}"

    def begin(self, stored: Iterable[str], rewrite: frozenset[str]) -> tuple[list[str], list[int]]:
        """A snapshot begins.

        Args:
            stored: Sections that an earlier snapshot has.
            rewrite: Those of them that are to be written again all the same.

        Returns:
            Sections that the earlier snapshot keeps for this one, and chunks to take.
        """
        known = set(stored)
        keep: list[str] = []
        for chunk in range(self.count):
            section = self.section(chunk)
            if chunk in self.dirty or section not in known or section in rewrite:
                self._wanted.add(chunk)
            else:
                keep.append(section)
        self.pending = set(self._wanted)
        self.dirty.clear()
        return keep, sorted(self._wanted)

    def take(self, chunk: int) -> bytes:
        """The chunk as it was when the snapshot began."""
        if chunk in self._copied:
            return self._copied.pop(chunk)
        data = self._dump(chunk)
        self.pending.discard(chunk)
        return data

    def end(self, *, written: bool) -> None:
        """The snapshot is there, or failed: then what it should have taken counts as changed."""
        if not written:
            self.dirty |= self._wanted
        self._wanted.clear()
        self.pending.clear()
        self._copied.clear()

    def clean(self) -> None:
        """The state was just loaded from a snapshot: nothing differs from it."""
        self.dirty.clear()


_encode = msgspec.msgpack.Encoder().encode
_SHARDS = 64


class Sharded:
    """A dictionary of text to plain values, in chunks."""

    __slots__ = ("_shards", "chunks")

    def __init__(self, name: str) -> None:
        self._shards: list[dict[str, Any]] = [{} for _ in range(_SHARDS)]
        self.chunks = Chunks(name, _SHARDS, self._dump)

    def get(self, key: str) -> Any:
        return self._shards[crc32(key.encode()) % _SHARDS].get(key)

    def set(self, key: str, value: Any) -> None:
        shard = crc32(key.encode()) % _SHARDS
        self.chunks.touch(shard)
        self._shards[shard][key] = value

    def drop(self, key: str) -> None:
        shard = crc32(key.encode()) % _SHARDS
        self.chunks.touch(shard)
        self._shards[shard].pop(key, None)

    def items(self) -> Iterable[tuple[str, Any]]:
        for shard in self._shards:
            yield from shard.items()

    def __len__(self) -> int:
        return sum(map(len, self._shards))

    def load(self, chunk: int, data: bytes) -> None:
        self._shards[chunk] = msgspec.msgpack.decode(data)

    def _dump(self, chunk: int) -> bytes:
        return _encode(self._shards[chunk])
