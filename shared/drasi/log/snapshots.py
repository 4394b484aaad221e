"""How a state is kept in a log's documents: sections packed into compressed, checksummed chunks, and a manifest written last.

A manifest names, for every section, the chunk it is in; sections that did not change since the previous snapshot stay in that
one's chunks. What was torn by a crash has no manifest, or one whose checksum is wrong, and is passed over. Chunks of nobody's
manifest are swept.
"""

from __future__ import annotations

import asyncio
import contextlib
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterator
from hashlib import blake2b

import msgspec
import zstandard

from drasi.errors import DrasiError
from drasi.log.port import Log

CHUNK_BYTES = 900_000
MANIFESTS = "snapshot/"
_CHUNKS = "chunk/"
_LEVEL = 3
_AHEAD = 4


class SnapshotTorn(DrasiError):
    """A document of the snapshot is missing or damaged."""

    code = "SnapshotTorn"


class Place(msgspec.Struct, frozen=True, array_like=True):
    """Where a section is: in a chunk's content, behind the compression."""

    chunk: str
    offset: int
    size: int


class Chunk(msgspec.Struct, frozen=True, array_like=True):
    """Checksum of the document, and the size of its content."""

    checksum: bytes
    size: int


class Manifest(msgspec.Struct, frozen=True):
    """One snapshot.

    Attributes:
        number: The entry after which the state was so.
        version: The semantic version that made it.
        written: Bytes of the log up to there, since its beginning; ``at_ns`` the entry's instant.
        trail: Earlier snapshots as (number, at_ns, written), for the decision where to trim.
        chunks: Every chunk that a section is in.
    """

    number: int
    version: int
    at_ns: int
    written: int
    sections: dict[str, Place]
    chunks: dict[str, Chunk]
    trail: list[tuple[int, int, int]] = []


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Manifest).decode


def check(data: bytes) -> bytes:
    return blake2b(data, digest_size=16).digest()


class SnapshotWriter:
    """Writes one snapshot: ``add`` every changed section, ``keep`` the others, then ``finish``."""

    def __init__(self, log: Log, number: int, instance: str) -> None:
        self._log = log
        self._number = number
        self._prefix = f"{number:020d}-{instance}"
        self._packer = zstandard.ZstdCompressor(level=_LEVEL)
        self._sections: dict[str, Place] = {}
        self._chunks: dict[str, Chunk] = {}
        self._open: list[tuple[str, bytes]] = []
        self._size = 0
        self._next = 0

    async def add(self, section: str, data: bytes) -> None:
        self._open.append((section, data))
        self._size += len(data)
        if self._size >= CHUNK_BYTES:
            await self._flush()

    def keep(self, section: str, previous: Manifest) -> None:
        place = self._sections[section] = previous.sections[section]
        self._chunks[place.chunk] = previous.chunks[place.chunk]

    async def finish(self, *, version: int, at_ns: int, written: int, trail: list[tuple[int, int, int]]) -> Manifest:
        await self._flush()
        manifest = Manifest(self._number, version, at_ns, written, self._sections, self._chunks, trail)
        body = self._packer.compress(_encode(manifest))
        await self._log.put(f"{MANIFESTS}{self._prefix}", check(body) + body)
        return manifest

    async def _flush(self) -> None:
        if not self._open:
            return
        name = f"{_CHUNKS}{self._prefix}/{self._next:06d}"
        offset = 0
        for section, data in self._open:
            self._sections[section] = Place(name, offset, len(data))
            offset += len(data)
        packed = self._packer.compress(b"".join(data for _, data in self._open))
        self._chunks[name] = Chunk(check(packed), offset)
        self._open.clear()
        self._size = 0
        self._next += 1
        await self._log.put(name, packed)


async def newest_first(log: Log) -> AsyncIterator[Manifest]:
    """The manifests that can be read, newest first; each is read when it is asked for."""
    for name in reversed(await log.names(MANIFESTS)):
        with contextlib.suppress(SnapshotTorn):
            yield await _manifest(log, name)


async def manifests(log: Log) -> list[Manifest]:
    """The manifests that can be read, newest first."""
    return [manifest async for manifest in newest_first(log)]


async def numbers(log: Log) -> set[int]:
    """After which entries there are snapshots, whole or not."""
    return {_number(name, MANIFESTS) for name in await log.names(MANIFESTS)}


async def sections(log: Log, manifest: Manifest, *, first: str | None = None) -> AsyncGenerator[tuple[str, bytes], None]:
    """Every section, chunk by chunk; each chunk is read once, some ahead.

    Args:
        first: The section to begin with.

    Raises:
        SnapshotTorn: A chunk is missing or damaged. What was yielded before is to be thrown away.
    """
    if first is not None and first not in manifest.sections:
        raise SnapshotTorn(f"snapshot {manifest.number} has no section {first}")
    by_chunk: dict[str, list[tuple[str, Place]]] = {}
    for section, place in sorted(manifest.sections.items(), key=lambda item: item[0] != first):
        by_chunk.setdefault(place.chunk, []).append((section, place))
    leading = manifest.sections[first].chunk if first is not None else None
    names = sorted(by_chunk, key=lambda name: (name != leading, name))
    reading = deque(asyncio.create_task(log.get(name)) for name in names[:_AHEAD])
    try:
        for index, name in enumerate(names):
            packed = await reading[0]
            reading.popleft()
            if index + _AHEAD < len(names):
                reading.append(asyncio.create_task(log.get(names[index + _AHEAD])))
            if packed is None:
                raise SnapshotTorn(f"document {name} of snapshot {manifest.number} is missing")
            content = _unpack(name, packed, manifest.chunks[name].checksum)
            for section, place in by_chunk[name]:
                yield section, content[place.offset : place.offset + place.size]
    finally:
        for task in reading:
            task.cancel()
        await asyncio.gather(*reading, return_exceptions=True)


def sparse(manifest: Manifest) -> frozenset[str]:
    """Sections in chunks most of whose content no manifest of now needs: better written again, or chunks would pile up."""
    used: dict[str, int] = {}
    for place in manifest.sections.values():
        used[place.chunk] = used.get(place.chunk, 0) + place.size
    thin = {name for name, chunk in manifest.chunks.items() if used[name] * 4 < chunk.size}
    return frozenset(section for section, place in manifest.sections.items() if place.chunk in thin)


async def sweep(log: Log, kept: int) -> list[Manifest]:
    """Removes all but the newest ``kept`` snapshots, and chunks that no kept one names.

    Chunks younger than the oldest kept snapshot stay: another instance may be about to write their manifest.

    Returns:
        The snapshots kept, newest first.
    """
    names = await log.names(MANIFESTS)
    chunks = await log.names(_CHUNKS)
    present = set(chunks)
    # What another instance's sweep took away under a manifest's feet does not count as kept.
    keep = [manifest for manifest in await manifests(log) if manifest.chunks.keys() <= present][:kept]
    if not keep:
        return []
    oldest = keep[-1].number
    await log.drop([name for name in names if _number(name, MANIFESTS) < oldest])
    named = {chunk for manifest in keep for chunk in manifest.chunks}
    await log.drop([name for name in chunks if name not in named and _number(name, _CHUNKS) < oldest])
    return keep


def _number(name: str, prefix: str) -> int:
    return int(name[len(prefix) :].partition("-")[0])


async def _manifest(log: Log, name: str) -> Manifest:
    data = await log.get(name)
    if data is None:
        raise SnapshotTorn(f"document {name} is missing")
    try:
        return _decode(_unpack(name, data[16:], data[:16]))
    except msgspec.MsgspecError as error:
        raise SnapshotTorn(f"document {name} is no manifest: {error}") from error


def _unpack(name: str, packed: bytes, checksum: bytes) -> bytes:
    if check(packed) != checksum:
        raise SnapshotTorn(f"document {name} is damaged")
    try:
        return zstandard.ZstdDecompressor().decompress(packed)
    except zstandard.ZstdError as error:
        raise SnapshotTorn(f"document {name} is damaged: {error}") from error
