"""The mark of a log in Firestore: the one document that says that the log is there, and how far it is trimmed.

A log begins with its mark, which gets a random name. Whoever finds no mark, or one of another name, where it saw one before, knows
that everything is gone, also if somebody has begun anew meanwhile.
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import dataclass, replace
from datetime import datetime

import msgspec

from drasi.firestore.client import FirestoreClient, Found, Refused
from drasi.log.port import LogDamaged, LogLost

FORMAT = 1


@dataclass(frozen=True, slots=True)
class Mark:
    """As it was read.

    Attributes:
        born: The log's random name.
        trimmed: Entries up to here are not to be read any more; raised before any of them is deleted.
        swept: Entries up to here are deleted.
        pending: What is trimmed and not yet deleted: (up to which entry, when it was trimmed in seconds of the server's clock).
        deleting: The log is being deleted; whoever meets it so goes on with that.
        version: Of the document.
    """

    born: bytes
    trimmed: int
    swept: int
    pending: tuple[tuple[int, int], ...]
    deleting: bool
    version: datetime

    def due(self, now: datetime, keep_s: float) -> int:
        """Up to which entry may be deleted."""
        moment = now.timestamp()
        return max([number for number, at in self.pending if at + keep_s <= moment], default=self.swept)


class MarkDocument:
    """Reads and replaces the mark of one log.

    Attributes:
        known: As this handle saw it last; None before the first time.
    """

    def __init__(self, client: FirestoreClient, path: str) -> None:
        self._client = client
        self.path = path
        self.known: Mark | None = None

    async def find(self) -> Mark | None:
        """What there is, whosever it is."""
        found, _ = await self._client.read([self.path])
        return self._mark(found[self.path]) if self.path in found else None

    async def begin(self) -> Mark | None:
        """Makes the mark of a new log; None if somebody else has made one."""
        born = os.urandom(12)
        with contextlib.suppress(Refused):
            await self._client.commit([self._client.create(self.path, {"born": born, "format": FORMAT, "trimmed": 0, "swept": 0})])
        found = await self.find()
        return found if found is not None and found.born == born else None

    async def look(self) -> tuple[Mark, datetime]:
        """The mark, and the server's clock.

        Raises:
            LogLost: It is not the one that this handle has begun with.
        """
        found, now = await self._client.read([self.path])
        return self.judge(found.get(self.path)), now

    def judge(self, found: Found | None) -> Mark:
        """The mark, if it is the one that this handle has begun with. Raises LogLost."""
        known = self.known
        mark = self._mark(found) if found is not None else None
        if mark is None or (known is not None and (mark.born != known.born or mark.deleting)):
            what = "another log is in its place" if mark is not None and not mark.deleting else "the log is not there any more"
            raise LogLost(
                f"{self.path}: {what}; what this process knows of it is lost",
                hint="the database was emptied (an emulator restarted) or the log deleted: restart the process and apply the "
                "queries again, they bootstrap from their sources",
            )
        self.known = mark
        return mark

    async def write(
        self,
        mark: Mark,
        *,
        trimmed: int | None = None,
        swept: int | None = None,
        pending: tuple[tuple[int, int], ...] | None = None,
        deleting: bool = False,
    ) -> Mark | None:
        """Replaces ``mark``; None if it is not what is stored any more."""
        new = replace(
            mark,
            trimmed=mark.trimmed if trimmed is None else trimmed,
            swept=mark.swept if swept is None else swept,
            pending=mark.pending if pending is None else pending,
            deleting=deleting,
        )
        fields: dict[str, bytes | str | int] = {
            "born": new.born,
            "format": FORMAT,
            "trimmed": new.trimmed,
            "swept": new.swept,
            "pending": msgspec.msgpack.encode(new.pending),
        }
        if deleting:
            fields["deleting"] = 1
        try:
            (version,) = await self._client.commit([self._client.set(self.path, fields, over=mark.version)])
        except Refused:
            return None
        self.known = replace(new, version=version)
        return self.known

    async def remove(self) -> None:
        await self._client.commit([self._client.delete(self.path)])

    def _mark(self, found: Found) -> Mark:
        fields = found.fields
        if fields.get("format") != FORMAT:
            raise LogDamaged(
                f"{self.path} is a log of format {fields.get('format')}; this release reads format {FORMAT}",
                hint="run the release that wrote it, or a newer one",
            )
        pending = fields.get("pending")
        return Mark(
            born=fields["born"],
            trimmed=fields["trimmed"],
            swept=fields["swept"],
            pending=msgspec.msgpack.decode(pending, type=tuple[tuple[int, int], ...]) if pending else (),
            deleting="deleting" in fields,
            version=found.updated,
        )
