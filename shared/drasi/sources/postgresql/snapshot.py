"""Parts of a snapshot: rows as they were at one exact position of the log.

A temporary replication slot exports the snapshot at which its stream would begin: what was committed before its consistent point
is in it, and nothing else. A transaction of REPEATABLE READ beside ``pg_current_wal_lsn()`` is no such cut: a commit can stand in
the log and not be visible yet.
"""

from __future__ import annotations

import base64
import secrets
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass

import msgspec
import psycopg

from drasi.messages.changes import Element
from drasi.sources.port import BadRequest, Labels, OriginUnavailable, SnapshotEnd, SnapshotHeader, SnapshotLine, SnapshotRequest
from drasi.sources.postgresql import waiting
from drasi.sources.postgresql.catalog import Catalog, Table, read_catalog
from drasi.sources.postgresql.connection import Address, Connection, connect, refused, statement, system_of
from drasi.sources.postgresql.mapping import BadRow, Shape, position_before
from drasi.sources.postgresql.pgoutput import Row
from drasi.sources.postgresql.slot import lsn_of, next_count
from drasi.sources.relational import Wanted

_PAGES = 50
_FIRST = 50
_CURSOR = "drasi_rows"

Report = Callable[[str, str | None], None]


class _Place(msgspec.Struct, frozen=True):
    """Where a part begins: in this table, behind this key, leaving out so many elements of the next row."""

    table: tuple[str, str]
    after: tuple[str, ...] | None = None
    skip: int = 0


@dataclass(frozen=True, slots=True)
class Reading:
    """What a part needs to know of its source."""

    source_id: str
    address: Address
    system: str
    shift: int
    wanted: Wanted
    decimals: str
    page_size: int
    report: Report
    sleep: Callable[[float], Awaitable[None]]


async def read_part(reading: Reading, request: SnapshotRequest, now_ns: int) -> AsyncGenerator[SnapshotLine]:
    """One part: header, elements, end.

    Raises:
        BadRequest: The cursor is none of ours.
        OriginUnavailable: The database cannot be read now.
    """
    place = _decode_place(request.cursor) if request.cursor else None
    everything = not request.nodes and not request.relations
    wanted = Labels() if everything else Labels(request.nodes, request.relations)
    most = min(request.limit or reading.page_size * _PAGES, reading.page_size * _PAGES)
    count = 0
    try:
        async with _exported(reading) as (connection, lsn):
            catalog = await read_catalog(connection, reading.wanted)
            yield SnapshotHeader(position_before(lsn + reading.shift), now_ns)
            for table in catalog.tables:
                if place is not None and table.full < place.table:
                    continue
                here = place if place is not None and table.full == place.table else _Place(table.full)
                if not _concerns(table, wanted):
                    continue
                if here.after is None:
                    await _report_nulls(connection, table, reading.report)
                    reading.report(f"BadRow:{'.'.join(table.full)}", None)
                rows = _Rows(connection, reading, catalog, table, here)
                async for found, before, skip in rows.read(wanted):
                    room = most - count
                    if len(found) > room:
                        for element in found[:room]:
                            yield element
                        yield SnapshotEnd(most, _encode_place(_Place(table.full, before, skip + room)))
                        return
                    count += len(found)
                    for element in found:
                        yield element
    except psycopg.Error as error:
        raise refused(reading.address, error) from None
    yield SnapshotEnd(count)


@asynccontextmanager
async def _exported(reading: Reading) -> AsyncIterator[tuple[Connection, int]]:
    """A transaction that sees exactly what was committed before the position it comes with."""
    name = f"drasi_{secrets.token_hex(8)}"
    async with await connect(reading.address) as connection:
        async with await connect(reading.address, replication=True) as replication:
            watch = waiting.watched(
                reading.address,
                replication.info.backend_pid,
                what="the snapshot",
                report=reading.report,
                sleep=reading.sleep,
            )
            async with watch:
                cursor = await replication.execute(
                    statement("CREATE_REPLICATION_SLOT {} TEMPORARY LOGICAL pgoutput EXPORT_SNAPSHOT", name)
                )
            row = await cursor.fetchone()
            if row is None:
                raise OriginUnavailable(f"{reading.address} exported no snapshot")
            _, point, snapshot, _ = row
            await connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
            await connection.execute(statement("SET TRANSACTION SNAPSHOT {snapshot}", snapshot=snapshot))
            if await system_of(connection) != reading.system:
                raise OriginUnavailable(f"{reading.address} is not the server that the source reads", hint="it looks again at once")
        yield connection, lsn_of(point)


class _Rows:
    """The rows of one table from a place on, in the order of their keys."""

    def __init__(self, connection: Connection, reading: Reading, catalog: Catalog, table: Table, place: _Place) -> None:
        self._connection = connection
        self._page_size = reading.page_size
        self._report = reading.report
        self._table = table
        self._place = place
        columns = [(column.name, column.type, column.modifier) for column in table.columns]
        self._shape = Shape(reading.source_id, table, columns, catalog.types, decimals=reading.decimals)

    async def read(self, wanted: Labels) -> AsyncIterator[tuple[list[Element], tuple[str, ...] | None, int]]:
        """Per row its elements, the key of the row before, and how many of its elements are left out."""
        table, after, skip = self._table, self._place.after, self._place.skip
        columns = ", ".join(["{}"] * len(table.columns))
        keys = ", ".join(["{}"] * len(table.key))
        complete = " AND ".join(["{} IS NOT NULL"] * len(table.key))
        only = "" if table.partitioned else "ONLY "
        text = f"DECLARE {_CURSOR} NO SCROLL CURSOR FOR SELECT {columns} FROM {only}{{}}.{{}} WHERE {complete}"
        names = [*(column.name for column in table.columns), *table.full, *table.key]
        literals = {}
        if after is not None and len(after) != len(table.key):
            raise OriginUnavailable(f"table {'.'.join(table.full)} got another key as it was read", hint="it is read again")
        if after is not None:
            literals = {f"k{number}": part for number, part in enumerate(after)}
            parts = ", ".join(f"{{k{number}}}::{table.column(name).declared}" for number, name in enumerate(table.key))
            text += f" AND ({keys}) > ({parts})"
            names += table.key
        await self._connection.execute(statement(f"{text} ORDER BY {keys}", *names, *table.key, **literals))
        places = [place for place, _ in self._shape.key]
        count = min(_FIRST, self._page_size)
        try:
            await self._see_that_it_is_there()
            while True:
                cursor = await self._connection.execute(f"FETCH {count} FROM {_CURSOR}".encode())
                page = cursor.pgresult
                assert page is not None
                size = 0
                for number in range(page.ntuples):
                    row = [page.get_value(number, place) for place in range(page.nfields)]
                    size += sum(len(value) for value in row if value is not None)
                    yield self._elements([*row], wanted)[skip:], after, skip
                    skip = 0
                    after = tuple(_key_text(row[place]) for place in places)
                if page.ntuples < count:
                    break
                count = next_count(count, size, self._page_size)
        finally:
            if not self._connection.closed and self._connection.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS:
                await self._connection.execute(f"CLOSE {_CURSOR}".encode())

    def _elements(self, row: Row, wanted: Labels) -> list[Element]:
        try:
            return self._shape.elements(row, wanted)
        except BadRow as error:
            self._report(f"BadRow:{'.'.join(self._table.full)}", f"{error}; the row is left out of the snapshot")
            return []

    async def _see_that_it_is_there(self) -> None:
        """A table that was emptied, or written anew for another type of a column, seems empty to older transactions."""
        cursor = await self._connection.execute(
            "SELECT 1 FROM pg_class WHERE (oid = %s OR oid IN (SELECT relid FROM pg_partition_tree(%s::oid::regclass)))"
            " AND relkind = 'r' AND relfilenode IS DISTINCT FROM pg_relation_filenode(oid)",
            [self._table.id, self._table.id],
        )
        if await cursor.fetchone() is not None:
            raise OriginUnavailable(f"table {'.'.join(self._table.full)} was written anew as it was read", hint="it is read again")


def _key_text(value: bytes | None) -> str:
    assert value is not None
    return value.decode("utf-8", "replace")


def _concerns(table: Table, wanted: Labels) -> bool:
    return (
        wanted.nodes is None
        or table.name in wanted.nodes
        or any(wanted.relations is None or relation.type in wanted.relations for relation in table.relations)
    )


async def _report_nulls(connection: Connection, table: Table, report: Report) -> None:
    """Rows with null in a key that ``tableKeys`` named have no id."""
    missing = " OR ".join(["{} IS NULL"] * len(table.key))
    only = "" if table.partitioned else "ONLY "
    cursor = await connection.execute(statement(f"SELECT count(*) FROM {only}{{}}.{{}} WHERE {missing}", *table.full, *table.key))
    row = await cursor.fetchone()
    count = int(row[0]) if row is not None else 0
    name = ".".join(table.full)
    report(f"NullKey:{name}", f"{count} rows of {name} have NULL in their key and are left out of the snapshot" if count else None)


def _encode_place(place: _Place) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode()


def _decode_place(cursor: str) -> _Place:
    try:
        return msgspec.json.decode(base64.urlsafe_b64decode(cursor), type=_Place)
    except (ValueError, msgspec.MsgspecError) as error:
        raise BadRequest(f"'{cursor[:40]}' is no cursor of this source") from error
