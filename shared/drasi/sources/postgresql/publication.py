"""The publication: which tables' changes the slot's reader is given."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import psycopg

from drasi.sources.postgresql.catalog import Name, Table, shown
from drasi.sources.postgresql.connection import Connection, NotAllowed, quoted, statement

_OPERATIONS = "publish = 'insert, update, delete, truncate', publish_via_partition_root = true"


async def ensure(connection: Connection, name: str, tables: Sequence[Table]) -> tuple[bool, set[Name]]:
    """Makes the publication hold these tables.

    Returns:
        Whether it is new, and the tables it did not hold before.

    Raises:
        NotAllowed: It must be made or changed, and the user may not.
    """
    cursor = await connection.execute(
        "SELECT puballtables, pubinsert AND pubupdate AND pubdelete AND pubtruncate, pubviaroot"
        " FROM pg_publication WHERE pubname = %s",
        [name],
    )
    row = await cursor.fetchone()
    wanted = {table.full: table for table in tables}
    listed = ", ".join(table.shown for table in tables)
    if row is None:
        what = f" FOR TABLE {listed}" if listed else ""
        await _run(connection, f"CREATE PUBLICATION {quoted(name)}{what} WITH ({_OPERATIONS})", mark=name)
        return True, set(wanted)
    everything, complete, via_root = row
    if not complete or (not via_root and any(table.partitioned for table in tables)):
        await _run(connection, f"ALTER PUBLICATION {quoted(name)} SET ({_OPERATIONS})")
    held = await held_by(connection, name)
    missing = wanted.keys() - held
    if missing and not everything:
        added = ", ".join(wanted[table].shown for table in sorted(missing))
        await _run(connection, f"ALTER PUBLICATION {quoted(name)} ADD TABLE {added}")
    needless = held - wanted.keys()
    if needless and not everything and await _is_ours(connection, name):
        # Of a table whose rows the log does not identify, the database refuses changes while it is published.
        dropped = ", ".join(f"ONLY {shown(table)}" for table in sorted(needless))
        await _run(connection, f"ALTER PUBLICATION {quoted(name)} DROP TABLE {dropped}")
    await _see_that_it_is_whole(connection, name, wanted)
    return False, missing


async def held_by(connection: Connection, name: str) -> set[Name]:
    """The tables whose changes it gives."""
    cursor = await connection.execute(
        "SELECT schemaname::text, tablename::text FROM pg_publication_tables WHERE pubname = %s", [name]
    )
    return {(schema, table) for schema, table in await cursor.fetchall()}


async def _see_that_it_is_whole(connection: Connection, name: str, wanted: Mapping[Name, Table]) -> None:
    """Whether it gives every row and every column: somebody else may have made it."""
    if connection.info.server_version < 150_000:
        return
    cursor = await connection.execute(
        "SELECT schemaname::text, tablename::text, attnames::text[], rowfilter IS NOT NULL FROM pg_publication_tables"
        " WHERE pubname = %s",
        [name],
    )
    for schema, called, given, filtered in await cursor.fetchall():
        table = wanted.get((schema, called))
        if table is None:
            continue
        lacking = [column.name for column in table.columns if column.generated is None and column.name not in given]
        if not filtered and not lacking:
            continue
        what = "some rows" if filtered else f"the columns {', '.join(lacking)}"
        again = (
            f"ALTER PUBLICATION {quoted(name)} DROP TABLE {table.shown}; ALTER PUBLICATION {quoted(name)} ADD TABLE {table.shown}"
        )
        raise NotAllowed(f"publication {name} leaves out {what} of {schema}.{called}", hint=f"run: {again}")


async def drop(connection: Connection, name: str) -> None:
    """Removes the publication if a source made it."""
    if await _is_ours(connection, name):
        await _run(connection, f"DROP PUBLICATION IF EXISTS {quoted(name)}")


async def _is_ours(connection: Connection, name: str) -> bool:
    cursor = await connection.execute(
        "SELECT obj_description(oid, 'pg_publication') = 'made by Drasi' FROM pg_publication WHERE pubname = %s", [name]
    )
    row = await cursor.fetchone()
    return row is not None and bool(row[0])


async def _run(connection: Connection, text: str, *, mark: str | None = None) -> None:
    try:
        async with connection.transaction():
            await connection.execute(statement(text.replace("{", "{{").replace("}", "}}")))
            if mark is not None:
                # By this a later source knows that it may remove it.
                await connection.execute(statement("COMMENT ON PUBLICATION {} IS 'made by Drasi'", mark))
    except psycopg.errors.InsufficientPrivilege as error:
        hint = f"run as the owner of the tables: {text}"
        raise NotAllowed(f"the publication cannot be made as it must be: {error.diag.message_primary}", hint=hint) from None
