"""What a listener asks Firestore's stream for, and what the stream says between two of its snapshots."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field

from google.cloud.firestore_v1.types import Document, ListenRequest, ListenResponse

from drasi.errors import DrasiError
from drasi.sources.firestore_documents import Collections


@dataclass(frozen=True, slots=True)
class CollectionTarget:
    """One query of the stream.

    Attributes:
        pattern: The first pattern of the source that it serves.
        parent: The path of the document that the collection is in, of a ``fixed`` one.
    """

    id: int
    pattern: int
    collection: str
    parent: str
    fixed: bool

    def has(self, path: str) -> bool:
        parent, _, _ = path.rpartition("/")
        above, _, collection = parent.rpartition("/")
        return collection == self.collection and (not self.fixed or above == self.parent)


@dataclass(slots=True)
class Told:
    """What a stream said since its last snapshot.

    Attributes:
        documents: By path: the document, or None with the instant at which it was not there.
        all_of: By target that is told anew: the paths there are.
        counts: By target: how many there are.
        current: Targets of which everything was told that there is; this stays over snapshots.
        before_ns: The snapshot before on this stream.
    """

    documents: dict[str, tuple[Document | None, int]] = field(default_factory=dict)
    all_of: dict[int, set[str]] = field(default_factory=dict)
    counts: dict[int, int] = field(default_factory=dict)
    current: set[int] = field(default_factory=set)
    before_ns: int = 0


class Broken(Exception):
    """The stream ended; what for a person is to be said, if it does not come back."""


def targets_of(collections: Collections) -> list[CollectionTarget]:
    """One for each query that the patterns need."""
    found: dict[tuple[str, str, bool], CollectionTarget] = {}
    for pattern in range(len(collections.patterns)):
        key = collections.query(pattern)
        found.setdefault(key, CollectionTarget(len(found) + 1, pattern, *key))
    return list(found.values())


def next_of(reading: asyncio.Future[ListenResponse]) -> ListenResponse:
    try:
        return reading.result()
    except StopAsyncIteration:
        raise Broken("Firestore ended the stream of changes; it is opened again") from None
    except DrasiError as error:
        raise Broken(error.message + (f"; {error.hint}" if error.hint else "")) from error


class Requests:
    """What is asked on one stream, as it is asked."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[ListenRequest] = asyncio.Queue()

    def put(self, request: ListenRequest) -> None:
        self._queue.put_nowait(request)

    def __aiter__(self) -> Requests:
        return self

    async def __anext__(self) -> ListenRequest:
        return await self._queue.get()
