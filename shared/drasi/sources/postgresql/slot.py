"""The replication slot: what the database keeps for the source until it has published it."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from dataclasses import dataclass

import psycopg

from drasi.errors import DrasiError
from drasi.sources.port import OriginUnavailable
from drasi.sources.postgresql.connection import Connection, statement

FETCH = 1_000
"""Messages that are in memory at a time,"""
_FIRST = 50
_PAGE_BYTES = 4 << 20
"""fewer of large rows."""


class SlotGone(DrasiError):
    """The slot, or what it must be read with, is not there any more: what it held is lost."""

    code = "PositionLost"


class WrongSlot(DrasiError):
    """A slot of this name is somebody else's."""

    code = "WrongSlot"
    retryable = True


@dataclass(frozen=True, slots=True)
class Slot:
    """``confirmed``: everything that was committed before it is given up. ``invalid``: why the slot cannot be read."""

    confirmed: int
    invalid: str | None


async def find(connection: Connection, name: str) -> Slot | None:
    """The slot of this name in this database.

    Raises:
        WrongSlot: It belongs to another database or plugin.
    """
    cursor = await connection.execute(
        "SELECT plugin::text, database::text, database = current_database(), confirmed_flush_lsn - '0/0'::pg_lsn, wal_status"
        " FROM pg_replication_slots WHERE slot_name = %s",
        [name],
    )
    row = await cursor.fetchone()
    if row is None:
        return None
    plugin, database, here, confirmed, status = row
    if plugin != "pgoutput" or not here:
        what = f"replication slot {name} is of database {database} and plugin {plugin}" if plugin else f"slot {name} is a standby's"
        raise WrongSlot(what, hint="give the source another slotName")
    invalid = "the server gave up what its replication slot held (max_slot_wal_keep_size)" if status == "lost" else None
    return Slot(int(confirmed or 0), invalid)


async def create(connection: Connection, name: str) -> Slot:
    """Makes the slot; waits for the transactions that run."""
    await connection.execute("SELECT pg_create_logical_replication_slot(%s, 'pgoutput')", [name])
    found = await find(connection, name)
    if found is None:
        raise OriginUnavailable(f"replication slot {name} vanished as it was made")
    return found


async def drop(connection: Connection, name: str) -> None:
    """Removes the slot if it is there; not one of another database or plugin, which is somebody else's."""
    await connection.execute(
        "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots"
        " WHERE slot_name = %s AND plugin = 'pgoutput' AND database = current_database()",
        [name],
    )


async def peek(connection: Connection, name: str, publication: str, limit: int) -> AsyncGenerator[list[bytes]]:
    """What the slot holds, from its beginning, in pages of ``FETCH`` messages; whole transactions, until there are ``limit``.

    The server puts the messages aside first: no transaction stays open while they are worked on, whatever their number.

    Raises:
        SlotGone: The slot cannot be read any more.
    """
    declare = (
        "DECLARE drasi_changes CURSOR WITH HOLD FOR SELECT data FROM pg_logical_slot_peek_binary_changes({slot}, NULL, {limit},"
        " 'proto_version', '1', 'publication_names', {publication})"
    )
    published = '"' + publication.replace('"', '""') + '"'
    try:
        await connection.execute(statement(declare, slot=name, limit=limit, publication=published))
    except (psycopg.errors.UndefinedObject, psycopg.errors.ObjectNotInPrerequisiteState) as error:
        raise SlotGone(str(error.diag.message_primary)) from None
    try:
        count = _FIRST
        async with connection.cursor(binary=True) as cursor:
            while True:
                await cursor.execute(f"FETCH {count} FROM drasi_changes".encode())
                page = [row[0] for row in await cursor.fetchall()]
                yield page
                if len(page) < count:
                    return
                count = next_count(count, sum(map(len, page)), FETCH)
    finally:
        if not connection.closed:
            await connection.execute("CLOSE drasi_changes")


def next_count(count: int, size: int, most: int) -> int:
    """How many to ask for when so many had that size."""
    return max(1, min(2 * count, most, count * _PAGE_BYTES // max(size, 1)))


async def advance(connection: Connection, name: str, lsn: int) -> None:
    """Gives up everything that was committed before ``lsn``.

    Raises:
        SlotGone: There is no such slot.
    """
    try:
        await connection.execute("SELECT pg_replication_slot_advance(%s, %s::pg_lsn)", [name, lsn_text(lsn)])
    except (psycopg.errors.UndefinedObject, psycopg.errors.ObjectNotInPrerequisiteState) as error:
        raise SlotGone(str(error.diag.message_primary)) from None


async def ends(connection: Connection) -> tuple[int, int]:
    """Up to where the log is safely written, which may be inside a record; and where the next record will begin."""
    cursor = await connection.execute(
        "SELECT pg_current_wal_flush_lsn() - '0/0'::pg_lsn, pg_current_wal_insert_lsn() - '0/0'::pg_lsn"
    )
    row = await cursor.fetchone()
    assert row is not None
    return int(row[0]), int(row[1])


async def flush(connection: Connection) -> None:
    """What is in the log becomes safe soon: behind a transaction that wrote nothing, the server does not wait for others."""
    await connection.execute("SELECT pg_current_xact_id()")


def lsn_text(lsn: int) -> str:
    """As PostgreSQL writes it: ``0/1A2B3C8``."""
    return f"{lsn >> 32:X}/{lsn & 0xFFFFFFFF:X}"


def lsn_of(text: str) -> int:
    high, _, low = text.partition("/")
    return (int(high, 16) << 32) | int(low, 16)
