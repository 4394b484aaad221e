"""What a log must do."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from drasi.errors import DrasiError

ENTRY_LIMIT = 3_500_000
"""Bytes of the largest entry that every log takes: what one atomic commit carries in the emulator as in the cloud."""


@dataclass(frozen=True, slots=True)
class LogEntry:
    number: int
    data: bytes


class EntryExists(DrasiError):
    """The number is taken, or not the next one: read the log. The entry there may be the caller's own (its answer was lost)."""

    code = "EntryExists"
    retryable = True


class EntryTooLarge(DrasiError):
    """The entry is beyond the log's ``entry_limit``; nothing was written."""

    code = "EntryTooLarge"


class LogUnavailable(DrasiError):
    """The log did not answer in time, is locked, or cannot be reached. What was asked may have happened or not."""

    code = "LogUnavailable"
    retryable = True


class LogFull(LogUnavailable):
    """There is no room for what was to be written; nothing was. It succeeds when there is room again."""

    code = "LogFull"


class LogTrimmed(DrasiError):
    """The entries asked for are not kept any more.

    Attributes:
        earliest: The first entry there is.
    """

    code = "LogTrimmed"

    def __init__(self, after: int, earliest: int) -> None:
        super().__init__(
            f"entry {after + 1} of the log is trimmed; the first one kept is {earliest}",
            hint="restore from the newest snapshot and go on from there",
        )
        self.earliest = earliest


class LogDamaged(DrasiError):
    """What the log holds cannot be read: no snapshot is whole and the entries before are trimmed, or the file is no log."""

    code = "LogDamaged"


class LogLost(DrasiError):
    """What the log held is gone: its store was emptied or begins anew, or the log was deleted."""

    code = "LogLost"


class Log(Protocol):
    """One instance's handle of one log: entries 1, 2, 3 …, and documents (blobs by name) beside them.

    An implementation guarantees, and ``tests/log/contract.py`` checks:

    * ``create`` is conditional, atomic and durable: of any number of instances that create entry n, exactly one succeeds, and
      when it returns the entry survives the death of the process. An entry is never altered afterwards.
    * Entries are created without gap. A number once used stays used, also after it has been trimmed: who sleeps through a trim
      and wakes with an old head gets ``EntryExists``. (An implementation that can only say 'absent' keeps entries for an hour
      past their snapshot, and reads the head again before it creates when its last proof of the head, by the monotonic clock
      before that request left, is older than ten minutes.)
    * ``create`` is tried once, with a deadline of at most 30 s: a retry inside would turn success into ``EntryExists``. After
      any error but ``EntryTooLarge`` and ``LogFull`` the caller reads the log to learn what happened.
    * ``read`` never takes a trimmed entry for the head: it raises ``LogTrimmed``.
    * A document is written whole or not at all; its size is not limited by that of one record of the store.
    * Nothing blocks the event loop. Calls of one handle take effect in the order in which they were made.
    """

    @property
    def entry_limit(self) -> int:
        """Bytes of the largest entry (at least ``ENTRY_LIMIT``)."""
        ...

    @property
    def durable(self) -> bool:
        """Whether entries outlive the process."""
        ...

    @property
    def retain_bytes(self) -> int:
        """How much of it is kept for readers of old entries, if nobody says otherwise."""
        ...

    @property
    def retain_s(self) -> int:
        """How long an entry is kept at least past the snapshot that makes it superfluous."""
        ...

    @property
    def problem(self) -> DrasiError | None:
        """What is wrong with the log, noticed without a call: ``LogLost``. From then on every call raises it."""
        ...

    async def create(self, number: int, data: bytes) -> None:
        """Creates entry ``number``, which must be the one after the head.

        Raises:
            EntryExists, EntryTooLarge, LogUnavailable, LogFull
        """
        ...

    async def read(self, after: int, limit: int) -> list[LogEntry]:
        """Entries after+1 … in order: at most ``limit``, at most some 8 MiB but at least one; empty at the head.

        Raises:
            LogTrimmed, LogUnavailable
        """
        ...

    async def head(self) -> int:
        """The highest number used; 0 if none was."""
        ...

    async def earliest(self) -> int:
        """The first entry that can be read; head + 1 if there is none."""
        ...

    async def trim(self, through: int) -> None:
        """Removes entries up to ``through`` (never beyond the head). The numbers stay used."""
        ...

    async def changed(self, after: int) -> None:
        """Returns when there may be an entry after ``after``: for followers. Polls every 500 ms where the store cannot tell.

        Entries that this handle has created itself need not be told.
        """
        ...

    async def put(self, name: str, data: bytes) -> None:
        """Writes a document, in place of one of that name.

        Raises:
            LogUnavailable, LogFull
        """
        ...

    async def get(self, name: str) -> bytes | None: ...

    async def names(self, prefix: str) -> list[str]:
        """Names of the documents that begin with ``prefix``, in byte order."""
        ...

    async def drop(self, names: Sequence[str]) -> None:
        """Removes documents; what is not there is no error."""
        ...

    async def delete(self) -> None:
        """Removes the whole log (its container was deleted). The handle is closed."""
        ...

    async def close(self) -> None:
        """Waits for the calls under way."""
        ...
