"""The source itself: peeks, publishes, stores its position, advances the slot."""

from __future__ import annotations

import asyncio
import re
from collections.abc import AsyncIterator, Sequence
from contextlib import aclosing

import msgspec
import psycopg
from starlette.routing import BaseRoute

from drasi.errors import DrasiError
from drasi.messages.changes import Origin, Payload, SourceChange
from drasi.sources.pauses import Pauses
from drasi.sources.port import SnapshotLine, SnapshotRequest, SourceContext, StateConflict
from drasi.sources.postgresql import publication, slot, snapshot, waiting
from drasi.sources.postgresql.assembly import Assembly
from drasi.sources.postgresql.catalog import Catalog, read_catalog
from drasi.sources.postgresql.connection import Connection, NotAllowed, address_of, connect, refused, system_of
from drasi.sources.postgresql.layout import Layout, difference, layout_of
from drasi.sources.postgresql.mapping import position_before
from drasi.sources.relational import Problems, wanted

PEEK = 30_000
"""Messages one peek asks for: the server reads the log again for each."""

_CHUNK = 2_000
"""Changes that are published, and noted, at a time."""

_IDLE_BYTES = 1 << 20
"""So much of the log may pass without a change of ours before the slot gives it up."""

_LOOK_AGAIN = 10
"""Polls after which the catalogue is read again."""

_SHIFT = 1 << 40
"""More than was ever published without being noted."""


class Position(msgspec.Struct, frozen=True):
    """What the state keeps.

    Attributes:
        lsn: Everything committed before it is published.
        system: Which database this is a position in, and which of its histories.
        shift: What positions are higher than the log's places: a server that was restored or failed over goes back in these, but
            containers take a position that is not higher than all before for a repetition.
        tables: The tables that are captured, and their numbers there.
        layouts: What elements of their rows depend on.
        decimals: How decimals are written.
    """

    lsn: int
    system: str
    shift: int = 0
    tables: dict[str, int] = {}
    layouts: dict[str, Layout] = {}
    decimals: str = ""


_decode_position = msgspec.json.Decoder(Position).decode
_decode_columns = msgspec.json.Decoder(dict[str, list[str]]).decode
_PASSING = ("OriginUnavailable", "BusUnavailable", "StateUnavailable", "SlotBusy", "NotAllowed", "WrongSlot")


class PostgreSQLSource:
    """Watches tables of one database.

    A crash between publication and the state repeats the same changes with the same positions; one between the state and the slot
    repeats nothing: what begins before the stored position is passed over.
    """

    def __init__(self, context: SourceContext) -> None:
        properties = context.properties
        self._context = context
        self._address = address_of(context.id, properties)
        self._wanted = wanted(properties)
        self._decimals = str(properties["decimals"])
        made = re.sub(r"[^a-z0-9_]", "_", f"rg_{context.id}".lower())[:63]
        self._slot = str(properties.get("slotName") or made)
        self._publication = str(properties.get("publicationName") or made)
        self._poll_s = context.schedule_s or 1.0
        self._stop_when_lost = properties["onPositionLost"] == "stop"
        self._connection: Connection | None = None
        self._catalog = Catalog((), (), {})
        self._stored: str | None = None
        self._position = Position(0, "")
        self._columns: dict[str, list[str]] = {}
        self._stored_columns: str | None = None
        self._prepared: Connection | None = None
        self._reached = 0
        self._peeked = 0
        self._written = 0
        self._polls = 0
        self._failures = 0
        self._problems = Problems(context.report)
        self._pauses = Pauses(context.sleep)
        self._moved = asyncio.Condition()

    async def start(self) -> None:
        connection = await self._connected()
        try:
            await self._prepare(connection)
        except psycopg.Error as error:
            raise refused(self._address, error) from None
        self._polls = 0

    async def run(self) -> None:
        while True:
            try:
                connection = await self._connected()
                if connection is not self._prepared:
                    # Another server may answer at the same address now.
                    await self._prepare(connection)
                more = await self._step(connection)
                if self._failures:
                    self._failures = 0
                    for code in _PASSING:
                        self._context.report(code, None)
                if not more:
                    await self._pauses.pause(self._poll_s)
            except (slot.SlotGone, StateConflict):
                await self.start()
            except psycopg.errors.ObjectInUse as error:
                await self._failed("SlotBusy", f"another process reads the slot: {error.diag.message_primary}")
            except psycopg.Error as error:
                refusal = refused(self._address, error)
                await self._failed(refusal.code, _told(refusal))
            except DrasiError as error:
                if not error.retryable:
                    raise
                await self._failed(error.code, _told(error))

    async def snapshot(self, request: SnapshotRequest) -> AsyncIterator[SnapshotLine]:
        context = self._context
        stored = await context.state.get("position")
        position = _decode_position(stored) if stored is not None else self._position
        reading = snapshot.Reading(
            context.id,
            self._address,
            position.system,
            position.shift,
            self._wanted,
            self._decimals,
            int(context.properties["pageSize"]),
            context.report,
            context.sleep,
        )
        async with aclosing(snapshot.read_part(reading, request, context.now_ns())) as lines:
            async for line in lines:
                yield line

    async def mark(self) -> SourceChange | None:
        """Waits until what is in the log now is published."""
        try:
            async with await connect(self._address) as connection:
                flushed, newest = await slot.ends(connection)
                if flushed < newest:
                    await slot.flush(connection)
        except psycopg.Error as error:
            raise refused(self._address, error) from None
        self.wake()
        async with self._moved:
            await self._moved.wait_for(lambda: self._reached >= newest)
        position = position_before(newest + self._position.shift)
        origin = Origin(self._context.id, "node", self._context.now_ns(), newest, position=position)
        return SourceChange("u", Payload(origin))

    def wake(self) -> None:
        self._pauses.wake()

    def routes(self) -> Sequence[BaseRoute]:
        return ()

    async def deprovision(self) -> None:
        await self.close()
        try:
            async with await connect(self._address) as connection:
                await slot.drop(connection, self._slot)
                await publication.drop(connection, self._publication)
        except psycopg.Error as error:
            raise refused(self._address, error) from None

    async def close(self) -> None:
        connection, self._connection = self._connection, None
        if connection is not None:
            await connection.close()

    # The origin.

    async def _connected(self) -> Connection:
        if self._connection is not None and (self._connection.closed or self._connection.broken):
            await self.close()
        if self._connection is None:
            self._connection = await connect(self._address)
        return self._connection

    async def _prepare(self, connection: Connection) -> None:
        """Publication, slot and position, as they must be; what was lost is asked for again."""
        self._prepared = None
        system = await self._check(connection)
        catalog = await read_catalog(connection, self._wanted)
        self._problems.show(catalog.problems)
        renewed, added = await publication.ensure(connection, self._publication, catalog.tables)
        found = await slot.find(connection, self._slot)
        # Read behind the slot: whoever advances it has noted so before.
        stored = await self._recall()
        lost: str | None = None
        if stored is not None:
            _, written = await slot.ends(connection)
            lost = self._lost(stored, found, system, written, publication_gone=renewed)
        elif found is not None and (renewed or found.invalid):
            lost = found.invalid or f"publication {self._publication} was gone"
        if lost is not None:
            if self._stop_when_lost and stored is not None:
                raise slot.SlotGone(lost, hint="set onPositionLost: rebootstrap to read everything again")
            self._context.report("PositionLost", f"{lost}; queries read it again")
            if found is not None:
                await slot.drop(connection, self._slot)
                found = None
        if found is None:
            pid = connection.info.backend_pid
            watch = waiting.watched(
                self._address, pid, what="the replication slot", report=self._context.report, sleep=self._context.sleep
            )
            async with watch:
                found = await slot.create(connection, self._slot)
        tables, layouts = _described(catalog)
        for table in catalog.tables:
            seen = self._columns.setdefault(".".join(table.full), [])
            seen += [column.name for column in table.columns if column.name not in seen]
        reason = lost
        if reason is None and stored is not None:
            reason = _changed(stored, tables, layouts, {".".join(name) for name in added}, self._decimals)
        lsn = found.confirmed if stored is None or lost is not None else stored.lsn
        shift = stored.shift if stored is not None else 0
        if stored is not None and (stored.system != system or lsn < stored.lsn):
            shift += max(0, stored.lsn - lsn) + _SHIFT
        await self._keep_columns()
        if reason is not None:
            # Asked for before the new position is kept: a crash in between asks once more.
            await self._context.renew(reason)
        await self._keep(Position(lsn, system, shift, tables, layouts, self._decimals))
        self._catalog = catalog
        self._reached = self._peeked = self._written = 0
        self._prepared = connection
        self._context.report("PositionLost", None)
        self._context.report("NotPublished", None)

    async def _recall(self) -> Position | None:
        state = self._context.state
        self._stored = await state.get("position")
        self._stored_columns = await state.get("columns")
        self._columns = _decode_columns(self._stored_columns) if self._stored_columns else {}
        return _decode_position(self._stored) if self._stored is not None else None

    async def _check(self, connection: Connection) -> str:
        """Which database this is, once it is certain that changes can be read from it."""
        if connection.info.server_version < 130_000:
            raise NotAllowed(f"{self._address} is older than PostgreSQL 13", hint="upgrade the server")
        cursor = await connection.execute("SELECT current_setting('wal_level'), pg_is_in_recovery()")
        row = await cursor.fetchone()
        assert row is not None
        level, standby = row
        if standby:
            raise NotAllowed(f"{self._address} is a standby", hint="let the property host name the primary server")
        if level != "logical":
            hint = "run: ALTER SYSTEM SET wal_level = logical; then restart the server"
            raise NotAllowed(f"wal_level of {self._address} is {level}", hint=hint)
        return await system_of(connection)

    def _lost(self, stored: Position, found: slot.Slot | None, system: str, written: int, *, publication_gone: bool) -> str | None:
        """Why the stored position is worth nothing any more."""
        if stored.system.rpartition("/")[0] != system.rpartition("/")[0]:
            return f"{self._address} is another database than before"
        if stored.system != system or written < stored.lsn:
            return f"{self._address} was restored or failed over"
        if found is None:
            return f"replication slot {self._slot} is gone"
        if found.invalid:
            return found.invalid
        if publication_gone:
            return f"publication {self._publication} was gone"
        if found.confirmed > stored.lsn:
            return f"replication slot {self._slot} was advanced by somebody else, or made anew"
        return None

    # A poll.

    async def _step(self, connection: Connection) -> bool:
        """One peek and what follows from it; whether more is waiting."""
        self._polls += 1
        if self._polls % _LOOK_AGAIN == 0:
            await self._look_again(connection)
        newest, written = await slot.ends(connection)
        found = await slot.find(connection, self._slot)
        if found is None or found.invalid or found.confirmed > self._position.lsn:
            raise slot.SlotGone(f"replication slot {self._slot} is not where it was")
        if newest == self._peeked and found.confirmed >= self._position.lsn:
            return False
        # The end of what is flushed may lie inside a commit, which is then neither read nor over. The end of what is written does
        # not: once as much as that is flushed, everything that begins before it can be read.
        border = newest if written <= newest else max(self._reached, self._written if self._written <= newest else 0)
        assembly = Assembly(
            self._context.id,
            self._catalog,
            decimals=self._decimals,
            wanted=self._context.wanted,
            after=self._position.lsn,
            shift=self._position.shift,
            columns=self._columns,
        )
        count = 0
        async with aclosing(slot.peek(connection, self._slot, self._publication, PEEK)) as pages:
            async for page in pages:
                count += len(page)
                await assembly.read(connection, page)
                if assembly.behind:
                    assembly.behind = False
                    if await self._look_again(connection):
                        return True
                if assembly.waiting >= _CHUNK:
                    await self._publish(assembly)
                # Others on this loop have their turn between two pages.
                await asyncio.sleep(0)
        await self._publish(assembly)
        more = count >= PEEK
        through = assembly.end if more else max(border, self._position.lsn)
        if through - self._position.lsn >= (1 if more else _IDLE_BYTES):
            await self._keep(msgspec.structs.replace(self._position, lsn=through))
        if found.confirmed < self._position.lsn:
            await slot.advance(connection, self._slot, self._position.lsn)
        if not more:
            self._peeked = newest
            if self._written <= newest:
                self._written = written
        await self._tell(self._position.lsn if more else through)
        return more

    async def _publish(self, assembly: Assembly) -> None:
        chunk = assembly.take()
        if chunk.split:
            text = "a transaction is so large that its parts are evaluated one by one"
            self._context.report("TransactionSplit", text)
        for letter in chunk.letters:
            await self._context.dead_letter(letter.position, letter.content, letter.error)
        if chunk.changes:
            await self._context.publish(chunk.changes)
        await self._keep_columns()
        if chunk.changes or chunk.letters:
            await self._keep(msgspec.structs.replace(self._position, lsn=chunk.end))

    async def _look_again(self, connection: Connection) -> bool:
        """Tables that came, went or changed since; whether rows mean something else now."""
        catalog = await read_catalog(connection, self._wanted)
        held = await publication.held_by(connection, self._publication)
        tables, layouts = _described(catalog)
        whole = {table.full for table in catalog.tables} <= held
        if whole and (tables, layouts) == (self._position.tables, self._position.layouts):
            if catalog != self._catalog:
                self._catalog = catalog
                self._problems.show(catalog.problems)
            self._context.report("NotPublished", None)
            return False
        try:
            await self._prepare(connection)
        except NotAllowed as error:
            # What is captured so far goes on.
            self._prepared = connection
            self._context.report("NotPublished", _told(error))
            return False
        return True

    async def _keep(self, position: Position) -> None:
        if position == self._position and self._stored is not None:
            return
        value = msgspec.json.encode(position).decode()
        if value != self._stored:
            await self._context.state.put("position", value, expected=self._stored)
        self._stored = value
        self._position = position

    async def _keep_columns(self) -> None:
        value = msgspec.json.encode(self._columns, order="deterministic").decode()
        if value != self._stored_columns:
            await self._context.state.put("columns", value, expected=self._stored_columns)
            self._stored_columns = value

    async def _tell(self, reached: int) -> None:
        self._reached = reached
        async with self._moved:
            self._moved.notify_all()

    async def _failed(self, code: str, text: str) -> None:
        self._failures += 1
        self._context.report(code, text)
        await self._pauses.after(self._failures)


def _told(error: DrasiError) -> str:
    return error.message + (f"; {error.hint}" if error.hint else "")


def _described(catalog: Catalog) -> tuple[dict[str, int], dict[str, Layout]]:
    tables = {".".join(table.full): table for table in catalog.tables}
    return {name: table.id for name, table in tables.items()}, {name: layout_of(table) for name, table in tables.items()}


def _changed(stored: Position, tables: dict[str, int], layouts: dict[str, Layout], added: set[str], decimals: str) -> str | None:
    """Why the containers' copies are incomplete, or not what would be read now, although no position was lost."""
    before = stored.tables
    fresh = sorted({name for name, number in tables.items() if before.get(name) != number} | added & tables.keys())
    gone = sorted(before.keys() - tables.keys())
    said = [f"{word}: {', '.join(names)}" for word, names in (("new tables", fresh), ("tables that are gone", gone)) if names]
    for name, layout in layouts.items():
        known = stored.layouts.get(name)
        what = difference(known, layout) if known is not None and name not in fresh else None
        if what is not None:
            said.append(f"{name} has {what}")
    if stored.decimals not in ("", decimals):
        said.append(f"decimals are written as {decimals}")
    return "; ".join(said) or None
