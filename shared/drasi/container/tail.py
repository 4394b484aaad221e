"""The tail of a query: its events after a sequence, from memory as far as that reaches, else from the log."""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable

from drasi.container import entry as entries
from drasi.container.machine import Machine
from drasi.container.publisher import document_of
from drasi.container.ring import Ring
from drasi.errors import DrasiError
from drasi.log.port import Log, LogTrimmed
from drasi.messages.reading import Gone, QueryNotFound, QueryUnavailable

_PAGE = 64
_DELETED = b'"controlSignal":{"kind":"deleted"}'
_STARTED = b'"controlSignal":{"kind":"bootstrapStarted"}'


class Tail:
    """Reads events of one container's queries.

    Args:
        machine: The state as it is now.
        catch_up: Reads the log to its head: another instance may have written what is asked for.
    """

    def __init__(self, log: Log, ring: Ring, machine: Callable[[], Machine], catch_up: Callable[[], Awaitable[None]]) -> None:
        self._log = log
        self._ring = ring
        self._machine = machine
        self._catch_up = catch_up

    def latest(self, query_id: str) -> int:
        """The last sequence given, also of a query that is gone.

        Raises:
            QueryNotFound
        """
        machine = self._machine()
        query = machine.queries.get(query_id)
        if query is not None:
            return query.sequence
        last = machine.retired.get(query_id)
        if last is None:
            raise QueryNotFound(f"View `{query_id}` not found")
        return last

    async def read(self, query_id: str, after: int, limit: int) -> list[tuple[int, bytes]]:
        """The events there are after ``after``, at most ``limit``.

        Raises:
            Gone, QueryNotFound, QueryUnavailable
        """
        try:
            latest = self.latest(query_id)
        except QueryNotFound:
            # Another instance may have been told of it.
            await self._read_log()
            latest = self.latest(query_id)
        if after > latest:
            await self._read_log()
            latest = self.latest(query_id)
            if after > latest:
                raise Gone(after, self._ring.first(query_id) or latest, latest)
        if after == latest or limit <= 0:
            return []
        first = self._ring.first(query_id)
        if first is not None and first <= after + 1:
            found = self._ring.after(query_id, after, limit)
        else:
            found = await self._from_log(query_id, after, limit)
            if not found or (found[0][0] != after + 1 and _STARTED not in found[0][1]):
                earliest = found[0][0] if found else await self._earliest(query_id, latest)
                raise Gone(after, earliest, latest)
        machine = self._machine()
        if machine.mismatches:
            for sequence, _ in found:
                if machine.diverged(query_id, sequence):
                    raise Gone(after, sequence + 1, latest)
        return found

    async def _read_log(self) -> None:
        try:
            await self._catch_up()
        except DrasiError as error:
            raise QueryUnavailable(f"the log cannot be read: {error.message}", hint=error.hint) from error

    async def _from_log(self, query_id: str, after: int, limit: int) -> list[tuple[int, bytes]]:
        found: list[tuple[int, bytes]] = []
        try:
            async for sequence, event in self._carried(query_id, after):
                found.append((sequence, event))
                if len(found) >= limit:
                    break
        except LogTrimmed:
            found.clear()
        except DrasiError as error:
            raise QueryUnavailable(f"the log cannot be read: {error.message}", hint=error.hint) from error
        last = found[-1][0] if found else after
        kept = self._ring.first(query_id)
        # What no entry of the log carries yet is in memory.
        for derived in self._machine().uncarried.values():
            if derived.query == query_id and derived.last > last and len(found) < limit:
                for sequence, event in enumerate(derived.events, derived.first):
                    if sequence > last and len(found) < limit:
                        whole = event or await self._document(query_id, sequence)
                        if whole is not None:
                            found.append((sequence, whole))
                last = found[-1][0] if found else last
        if kept is not None and len(found) < limit and kept == last + 1:
            found += self._ring.after(query_id, last, limit - len(found))
        return found

    async def _carried(self, query_id: str, after: int) -> AsyncIterator[tuple[int, bytes]]:
        """Events that entries of the log carry."""
        query = self._machine().queries.get(query_id)
        begin = 0
        for sequence, entry in query.marks if query is not None else ():
            if sequence <= after + 1:
                begin = entry
        begin = max(begin, await self._log.earliest() - 1)
        while page := await self._log.read(begin, _PAGE):
            for log_entry in page:
                begin = log_entry.number
                for derived in entries.decode(log_entry.number, log_entry.data).derived:
                    if derived.query != query_id or derived.last <= after:
                        continue
                    for sequence, event in enumerate(derived.events, derived.first):
                        if sequence > after:
                            whole = event or await self._document(query_id, sequence)
                            if whole is None:
                                return
                            yield sequence, whole

    async def _document(self, query_id: str, sequence: int) -> bytes | None:
        """An event kept by itself."""
        return await self._log.get(document_of(query_id, sequence))

    async def _earliest(self, query_id: str, latest: int) -> int:
        try:
            async for sequence, _ in self._carried(query_id, -1):
                return int(sequence)
        except DrasiError:
            pass
        return self._ring.first(query_id) or latest


def is_deleted(event: bytes) -> bool:
    """Whether this is a query's last event."""
    return _DELETED in event[-400:]
