"""A log in Firestore: entry n is the document ``drasi-log/{n}``, created on the condition that it does not exist.

Firestore can say 'absent' but not 'never was', so three things keep a number used. The mark (``firestore_mark``) is raised before
entries are deleted; they are deleted an hour after that at the earliest; and who has not proved within ten minutes that the head is
where it believes reads it again before it creates, as does who lost the connection: the server that came back may be an empty one.

docs/firestore.md has the documents, limits and costs.
"""

from __future__ import annotations

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from drasi.errors import DrasiError
from drasi.firestore import blobs
from drasi.firestore.client import DEADLINE_S, FirestoreClient, FirestoreUnavailable, Found, Refused
from drasi.log.firestore_documents import Documents
from drasi.log.firestore_mark import Mark, MarkDocument
from drasi.log.port import (
    ENTRY_LIMIT,
    EntryExists,
    EntryTooLarge,
    LogDamaged,
    LogEntry,
    LogLost,
    LogTrimmed,
    LogUnavailable,
)
from drasi.log.snapshots import MANIFESTS

T = TypeVar("T")

PROOF_S = 600.0
KEEP_S = 3600.0

_READ_BYTES = 8 * 1024 * 1024
_TRIES = 3
_PROBES = 16


@dataclass(frozen=True, slots=True)
class _Proof:
    """At ``began``, over a connection, the log reached at least to entry ``number``, and the entry after it was never deleted."""

    number: int
    began: float
    connection: int


class FirestoreLog:
    """One instance's handle of the log below one document.

    Args:
        client: Stays open when the log is closed.
        path: The log's mark, ``{collectionPrefix}/{store}``; everything of the log is below it.
        poll_s: How often a follower looks for entries of other instances.
        watch_s: How often it is looked whether the log is still there, beside every loss of the connection.
        keep_s: How long a trimmed entry is kept.
        proof_s: How long a proof of the head is good for.
        deadline_s: Of a create.
        monotonic: The clock of proofs.
    """

    durable = True
    retain_bytes = 1_000_000_000

    def __init__(
        self,
        client: FirestoreClient,
        path: str,
        *,
        entry_limit: int = ENTRY_LIMIT,
        poll_s: float = 0.5,
        watch_s: float = 5.0,
        keep_s: float = KEEP_S,
        proof_s: float = PROOF_S,
        deadline_s: float = DEADLINE_S,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        self.path = path
        self.entry_limit = entry_limit
        self.problem: DrasiError | None = None
        self._client = client
        self._poll_s = poll_s
        self._watch_s = watch_s
        self._keep_s = keep_s
        self.retain_s = int(keep_s)
        self._proof_s = proof_s
        self._deadline_s = deadline_s
        self._monotonic = monotonic
        self._entries = f"{path}/drasi-log"
        self._documents = Documents(client, f"{path}/drasi-documents")
        self._marks = MarkDocument(client, path)
        self._number = 0
        self._own = 0
        self._heard = True
        self._proof: _Proof | None = None
        self._grown: set[asyncio.Future[None]] = set()
        self._creates = _Line()
        self._writes = _Line()
        self._opening = asyncio.Lock()
        self._watching: asyncio.Task[None] | None = None
        self._closed = False

    # --- entries ---

    async def create(self, number: int, data: bytes) -> None:
        if len(data) > self.entry_limit:
            raise EntryTooLarge(f"entry {number} has {len(data)} bytes; the log takes {self.entry_limit}")
        with self._call():
            try:
                await self._creates.run(self._create(number, data))
            except asyncio.CancelledError:
                self._heard = False
                raise

    async def _create(self, number: int, data: bytes) -> None:
        await self._open()
        if number <= self._number:
            raise EntryExists(f"entry {number} is not the one after the head of {self.path}")
        if not self._proved(number - 1):
            await self._prove(number - 1)
        began, connection = self._monotonic(), self._client.connection
        path = self._entry(number)
        head = self._client.create(path, _fields(data))
        writes = [write for commit in blobs.commits(self._client, path, head, data, b"") for write in commit]
        try:
            await self._client.commit(writes, once=True, deadline_s=self._deadline_s)
        except Refused as error:
            raise EntryExists(f"entry {number} of {self.path} exists") from error
        except FirestoreUnavailable:
            self._proof = None
            raise
        self._own = number
        self._reached(number, began, connection)

    async def read(self, after: int, limit: int) -> list[LogEntry]:
        with self._call():
            await self._creates.idle()
            await self._open()
            for _ in range(_TRIES):
                began, connection = self._monotonic(), self._client.connection
                heads, (mark, _) = await asyncio.gather(self._heads(after, limit), self._look())
                if after < mark.trimmed:
                    raise LogTrimmed(after, mark.trimmed + 1)
                numbers = [int(head.id) for head in heads]
                if numbers and numbers != list(range(after + 1, after + len(numbers) + 1)):
                    # Trimmed and deleted between the two answers; or damaged, which another look tells.
                    continue
                if not numbers and await self._snapshot_beyond(after):
                    # Written between the two answers; or damaged.
                    continue
                if numbers:
                    self._reached(numbers[-1], began, connection)
                elif after == max(self._number, mark.trimmed):
                    self._reached(after, began, connection)
                try:
                    datas = await blobs.contents(self._client, heads)
                except blobs.Torn:
                    continue
                return [LogEntry(number, data) for number, data in zip(numbers, datas, strict=True)]
        raise LogDamaged(
            f"entries of {self.path} after {after} are missing, though later ones or a snapshot are there",
            hint="somebody deleted documents; delete the container's log and apply its queries again",
        )

    async def head(self) -> int:
        with self._call():
            await self._creates.idle()
            await self._open()
            began, connection = self._monotonic(), self._client.connection
            mark, _ = await self._look()
            number = max(self._number, mark.trimmed)
            # Entries are without gap: steps that double find the head in some calls, whatever its distance.
            while there := await self._there([number + (1 << power) for power in range(_PROBES)]):
                number = max(there)
            self._reached(number, began, connection)
            return number

    async def earliest(self) -> int:
        with self._call():
            await self._open()
            mark, _ = await self._look()
            return mark.trimmed + 1

    async def trim(self, through: int) -> None:
        with self._call():
            await self._open()
            if through > self._number:
                through = min(through, await self.head())
            while True:
                mark, now = await self._look()
                if through <= mark.trimmed:
                    break
                pending = (*mark.pending, (through, int(now.timestamp())))
                if await self._marks.write(mark, trimmed=through, pending=pending) is not None:
                    break
            mark, now = await self._look()
            due = mark.due(now, self._keep_s)
            if due > mark.swept:
                await self._sweep(mark.swept, due)
                while mark.swept < due:
                    rest = tuple(each for each in mark.pending if each[0] > due)
                    if await self._marks.write(mark, swept=due, pending=rest) is not None:
                        break
                    mark, _ = await self._look()

    async def changed(self, after: int) -> None:
        with self._call():
            while True:
                await self._open()
                # Who creates knows of its own entries, and that nobody was before it: a busy writer reads nothing.
                own = self._own
                after = max(after, own if self._heard else 0)
                if self._number > after or (self._marks.known is not None and self._marks.known.trimmed > after):
                    return
                if await self._there([after + 1]):
                    return
                await self._growth(self._poll_s)
                while self._own > own:
                    own = self._own
                    await self._growth(self._poll_s)

    # --- documents ---

    async def put(self, name: str, data: bytes) -> None:
        with self._call():
            await self._writes.run(self._opened(lambda: self._documents.put(name, data)))

    async def get(self, name: str) -> bytes | None:
        with self._call():
            await self._writes.idle()
            await self._open()
            return await self._documents.get(name)

    async def names(self, prefix: str) -> list[str]:
        with self._call():
            await self._writes.idle()
            await self._open()
            return await self._documents.names(prefix)

    async def drop(self, names: Sequence[str]) -> None:
        with self._call():
            await self._writes.run(self._opened(lambda: self._documents.drop(names)))

    # --- ends ---

    async def delete(self) -> None:
        if self._closed:
            return
        with self._call(), contextlib.suppress(LogLost):
            await self._open()
            while True:
                mark, _ = await self._look()
                if await self._marks.write(mark, deleting=True) is not None:
                    break
            await self._erase()
        await self.close()

    async def close(self) -> None:
        if self._closed:
            return
        self._closed = True
        await self._creates.idle()
        await self._writes.idle()
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.wait([self._watching])
        self._wake()

    # --- whether it is there ---

    @contextlib.contextmanager
    def _call(self) -> Iterator[None]:
        """What Firestore says, as a log says it."""
        if self._closed:
            raise LogUnavailable(f"the log {self.path} is closed", hint="the process is stopping")
        try:
            yield
        except FirestoreUnavailable as error:
            raise LogUnavailable(error.message, hint=error.hint) from error

    async def _opened(self, call: Callable[[], Awaitable[T]]) -> T:
        await self._open()
        return await call()

    async def _open(self) -> None:
        """Finds the log, or begins it."""
        if self.problem is not None:
            raise self.problem
        if self._marks.known is not None:
            return
        async with self._opening:
            while self._marks.known is None:
                mark = await self._marks.find()
                if mark is None:
                    await self._unless_remains()
                    mark = await self._marks.begin()
                elif mark.deleting:
                    # Who was deleting it did not come to the end.
                    await self._erase()
                    mark = None
                self._marks.known = mark
        if self._watching is None and not self._closed:
            self._watching = asyncio.create_task(self._watch(), name=f"watch of the log {self.path}")

    async def _unless_remains(self) -> None:
        """A log without its mark cannot be gone on with."""
        if not await self._client.ids(self._entries, limit=1) and not await self._documents.names("", limit=1):
            return
        if await self._marks.find() is None:
            raise LogDamaged(
                f"{self.path} has entries or documents, but not the document that says how far it is trimmed",
                hint=f"somebody deleted it; delete everything below {self.path} and apply the queries again",
            )

    async def _look(self) -> tuple[Mark, Any]:
        try:
            return await self._marks.look()
        except LogLost as error:
            self.problem = error
            self._wake()
            raise

    async def _watch(self) -> None:
        while self.problem is None:
            with contextlib.suppress(TimeoutError, DrasiError):
                await asyncio.wait_for(self._client.disconnected(), self._watch_s)
            with contextlib.suppress(DrasiError):
                await self._look()

    async def _erase(self) -> None:
        await self._client.clear(self._entries)
        await self._client.clear(f"{self._entries}-parts")
        await self._documents.clear()
        await self._marks.remove()

    # --- the head ---

    def _proved(self, number: int) -> bool:
        proof = self._proof
        return (
            proof is not None
            and proof.number == number
            and self._monotonic() - proof.began < self._proof_s
            and proof.connection == self._client.connection
            and self._client.connected
        )

    async def _prove(self, number: int) -> None:
        """Makes sure that entry ``number`` is there, or was the last one trimmed, and that the one after it was not deleted."""
        began, connection = self._monotonic(), self._client.connection
        paths = [self._marks.path, *([self._entry(number)] if number > 0 else [])]
        found, _ = await self._client.read(paths, fields=["born", "format", "trimmed", "swept", "pending", "deleting", "size"])
        try:
            mark = self._marks.judge(found.get(self._marks.path))
        except LogLost as error:
            self.problem = error
            self._wake()
            raise
        if mark.trimmed > number or (number > mark.trimmed and self._entry(number) not in found):
            raise EntryExists(f"entry {number + 1} is not the one after the head of {self.path}")
        self._reached(number, began, connection)

    def _reached(self, number: int, began: float, connection: int) -> None:
        if number >= self._number and (self._proof is None or number >= self._proof.number):
            self._proof = _Proof(number, began, connection)
        if number > self._number:
            self._number = number
            self._wake()

    def _wake(self) -> None:
        for future in self._grown:
            if not future.done():
                future.set_result(None)

    async def _growth(self, timeout_s: float) -> None:
        """Waits until this handle knows of more entries, or until the time is over."""
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._grown.add(future)
        try:
            await asyncio.wait([future], timeout=timeout_s)
        finally:
            self._grown.discard(future)

    # --- documents of entries ---

    def _entry(self, number: int) -> str:
        return f"{self._entries}/{number:020d}"

    async def _heads(self, after: int, limit: int) -> list[Found]:
        first = f"{max(0, after + 1):020d}"
        return await self._client.query(self._entries, first=first, limit=limit, weigh=_size, most=_READ_BYTES)

    async def _there(self, numbers: Sequence[int]) -> list[int]:
        paths = {self._entry(number): number for number in numbers}
        found, _ = await self._client.read(list(paths), fields=["size"])
        return [paths[path] for path in found]

    async def _snapshot_beyond(self, after: int) -> bool:
        return bool(await self._documents.names(MANIFESTS, first=f"{MANIFESTS}{after + 1:020d}", limit=1))

    async def _sweep(self, swept: int, due: int) -> None:
        """Deletes the entries after ``swept`` up to ``due``; their numbers are known, so nothing is read."""
        await self._client.delete_all(self._entries, (f"{number:020d}" for number in range(swept + 1, due + 1)))
        parts = f"{self._entries}-parts"
        ids = await self._client.ids(parts, first=f"{swept + 1:020d}", beyond=f"{due + 1:020d}")
        await self._client.delete_all(parts, ids)


class _Line:
    """Calls one after the other, in the order in which they were made. One whose caller went away is finished all the same."""

    def __init__(self) -> None:
        self._last: asyncio.Task[Any] | None = None

    async def run(self, call: Coroutine[Any, Any, T]) -> T:
        task = self._last = asyncio.create_task(self._after(self._last, call))
        task.add_done_callback(_retrieved)
        return await asyncio.shield(task)

    async def idle(self) -> None:
        """Returns when everything asked for until now is done."""
        if self._last is not None and not self._last.done():
            await asyncio.wait([self._last])

    @staticmethod
    async def _after(before: asyncio.Task[Any] | None, call: Coroutine[Any, Any, T]) -> T:
        if before is not None and not before.done():
            await asyncio.wait([before])
        return await call


def _retrieved(task: asyncio.Task[Any]) -> None:
    if not task.cancelled():
        task.exception()


def _size(head: Found) -> int:
    return int(head.fields["size"]) if "size" in head.fields else len(head.fields["data"])


def _fields(data: bytes) -> dict[str, bytes | int]:
    fields = blobs.head_fields(data, b"")
    del fields["nonce"]
    return fields
