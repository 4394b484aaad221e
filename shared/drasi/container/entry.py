"""Log entries: what a container has accepted, in order.

Only inputs decide the state, so only inputs are committed. An entry also carries results of earlier entries, so that they can be
served after a restart without evaluating anything, each run of events with a digest by which every replay is checked.
"""

from __future__ import annotations

from collections.abc import Callable
from hashlib import blake2b

import msgspec
import zstandard

from drasi.errors import DrasiError

SEMANTIC_VERSION = 1
"""Rises whenever the same entry may give another result than before. Part of every entry."""

_PLAIN = b"\x00"
_PACKED = b"\x01"
_PACK_FROM = 512_000
_HEAD = 5


class NewerEntry(DrasiError):
    """The entry was written by a newer release: this instance must not go on."""

    code = "NewerEntry"

    def __init__(self, number: int, version: int) -> None:
        super().__init__(
            f"entry {number} of the log has the semantic version {version}; this release evaluates version {SEMANTIC_VERSION}",
            hint="a newer release is at work on this log; run that one",
        )


class Item(msgspec.Struct, frozen=True, array_like=True, tag_field="kind"):
    """One input."""


class Changes(Item, frozen=True, array_like=True, tag="changes"):
    """A message of a change topic as it came: a JSON array of changes of one source."""

    source: str
    data: bytes
    enqueued_ns: int


class Marker(Item, frozen=True, array_like=True, tag="marker"):
    """A marker of a change topic: every change up to its position has come before it."""

    source: str
    data: bytes


class Fragment(Item, frozen=True, array_like=True, tag="fragment"):
    """A slice of an item (encoded, compressed) too large for one entry; the item counts when its last slice is there.

    Slices of another item of the same origin drop the ones before: whoever sent those sends them again.
    """

    origin: str
    nonce: bytes
    index: int
    of: int
    data: bytes


class Unreadable(Item, frozen=True, array_like=True, tag="unreadable"):
    """A message of the control topic that cannot be read; it becomes a dead letter."""

    where: str
    data: bytes
    error: str


class Tick(Item, frozen=True, array_like=True, tag="tick"):
    ts_ns: int


class Configure(Item, frozen=True, array_like=True, tag="configure"):
    """A query is to run as ``spec`` (ContinuousQuery.spec as JSON) says."""

    query: str
    version: int
    spec: bytes
    sequence_from: int


class Remove(Item, frozen=True, array_like=True, tag="delete"):
    query: str


class Start(Item, frozen=True, array_like=True, tag="start"):
    query: str


class Stop(Item, frozen=True, array_like=True, tag="stop"):
    query: str


class Renew(Item, frozen=True, array_like=True, tag="bootstrap"):
    """The sources of a query are to be read again."""

    query: str
    reason: str


class Part(Item, frozen=True, array_like=True, tag="part"):
    """A part of a bootstrap: elements (a JSON array) read from ``cursor``, from the ``offset``-th on.

    Attributes:
        build: Number of the bootstrap in the state.
        position: Of the header, per partition ("" where the source has no partitions).
        following: The source's next cursor, None if there is none.
        last: Whether the body read from ``cursor`` ends here.
        marked: Whether a marker is to be awaited behind the last part.
    """

    build: int
    cursor: str | None
    offset: int
    position: dict[str, str]
    ts_ns: int
    elements: bytes
    following: str | None
    last: bool
    marked: bool
    total: int | None


class Replay(Item, frozen=True, array_like=True, tag="replay"):
    """A dead letter's content is handed to its place again, whatever the watermark says."""

    letter: str
    data: bytes
    force: bool


class Discard(Item, frozen=True, array_like=True, tag="discard"):
    """A dead letter is dropped by an operator."""

    letter: str


class Forget(Item, frozen=True, array_like=True, tag="forget"):
    """A source was deleted: its positions begin anew, and with ``elements`` everything that came from it goes."""

    source: str
    elements: bool


class Reread(Item, frozen=True, array_like=True, tag="reread"):
    """Changes of a source may be lost: what is held of it is read again."""

    source: str
    reason: str


Order = Configure | Remove | Start | Stop | Renew | Forget | Reread
"""What is said of a query or a source."""


class Ordered(Item, frozen=True, array_like=True, tag="ordered"):
    """An order that was pushed. One that is not younger than the last of the same query or source has come again.

    Attributes:
        published_ns: When the bus took it: the bus brings what it has not brought before in the order in which it took it.
        message: Its number there, which tells apart what was taken at one instant.
    """

    published_ns: int
    message: str
    order: Order

    @property
    def subject(self) -> str:
        """What it is about."""
        order = self.order
        return f"source/{order.source}" if isinstance(order, (Forget, Reread)) else f"query/{order.query}"


class Upgrade(Item, frozen=True, array_like=True, tag="upgrade"):
    """From here on a newer release evaluates."""


AnyItem = (
    Changes
    | Marker
    | Fragment
    | Unreadable
    | Tick
    | Configure
    | Remove
    | Start
    | Stop
    | Renew
    | Part
    | Replay
    | Discard
    | Forget
    | Reread
    | Ordered
    | Upgrade
)


class Derived(msgspec.Struct, frozen=True, array_like=True):
    """A run of events that one entry gave for one query.

    Attributes:
        events: Their JSON; empty bytes for an event that is a document of its own.
        digest: Over sequence, time, rows and row ids of all of them.
    """

    entry: int
    query: str
    first: int
    digest: bytes
    events: list[bytes]

    @property
    def key(self) -> tuple[int, str, int]:
        return self.entry, self.query, self.first

    @property
    def last(self) -> int:
        return self.first + len(self.events) - 1

    @property
    def size(self) -> int:
        return 64 + sum(map(len, self.events)) + 8 * len(self.events)

    def inline(self, most: int) -> Derived:
        """As entries carry it: events of more than so many bytes are documents of their own."""
        if max(map(len, self.events)) <= most:
            return self
        events = [event if len(event) <= most else b"" for event in self.events]
        return Derived(self.entry, self.query, self.first, self.digest, events)


class Entry(msgspec.Struct, frozen=True, array_like=True):
    """One entry.

    Attributes:
        at_ns: The instant at which it was accepted; never before that of the entry before.
        instance, nonce: Who wrote it. An instance knows its own entry by the nonce.
        published: The highest entry whose results the writer knew to be published.
        derived: Events of earlier entries that no entry carried yet.
        version: Semantic version of the writer.
    """

    at_ns: int
    instance: str
    nonce: bytes
    published: int
    items: list[AnyItem]
    derived: list[Derived]
    version: int = SEMANTIC_VERSION


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Entry).decode

encode_item = _encode
decode_item: Callable[[bytes], AnyItem] = msgspec.msgpack.Decoder(AnyItem).decode


def encode(entry: Entry) -> bytes:
    """The entry's bytes: a form, the version (readable by every release), the content."""
    body = _encode(entry)
    form = _PLAIN
    if len(body) >= _PACK_FROM:
        packed = zstandard.ZstdCompressor(level=1).compress(body)
        if len(packed) < len(body):
            form, body = _PACKED, packed
    return form + entry.version.to_bytes(4, "big") + body


def version_of(data: bytes) -> int:
    return int.from_bytes(data[1:_HEAD], "big")


def decode(number: int, data: bytes) -> Entry:
    """Reads an entry.

    Raises:
        NewerEntry: A newer release wrote it.
    """
    version = version_of(data)
    if version > SEMANTIC_VERSION:
        raise NewerEntry(number, version)
    body = data[_HEAD:]
    if data[:1] == _PACKED:
        body = zstandard.ZstdDecompressor().decompress(body)
    return _decode(body)


def nonce_of(data: bytes) -> bytes:
    """The nonce, whatever release wrote the entry as long as it can be read; else empty."""
    if version_of(data) > SEMANTIC_VERSION:
        return b""
    return decode(0, data).nonce


def size_of(item: AnyItem) -> int:
    """About how many bytes the item takes in an entry."""
    if isinstance(item, (Changes, Marker, Fragment, Unreadable, Replay)):
        return len(item.data) + 64
    if isinstance(item, Part):
        return len(item.elements) + 256
    if isinstance(item, Configure):
        return len(item.spec) + 64
    if isinstance(item, Ordered):
        return size_of(item.order) + 16
    return 64


def digest(parts: list[bytes]) -> bytes:
    """Over events without their metadata."""
    return blake2b(b"".join(parts), digest_size=16).digest()
