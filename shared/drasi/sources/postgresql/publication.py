"""The publication: which tables' changes the slot's reader is given."""

from __future__ import annotations

from collections.abc import Sequence

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
    wanted = {table.full for table in tables}
    listed = ", ".join(shown(table) for table in sorted(wanted))
    if row is None:
        what = f" FOR TABLE {listed}" if listed else ""
        await _run(connection, f"CREATE PUBLICATION {quoted(name)}{what} WITH ({_OPERATIONS})", mark=name)
        return True, wanted
    everything, complete, via_root = row
    if not complete or (not via_root and any(table.partitioned for table in tables)):
        await _run(connection, f"ALTER PUBLICATION {quoted(name)} SET ({_OPERATIONS})")
    cursor = await connection.execute(
        "SELECT schemaname::text, tablename::text FROM pg_publication_tables WHERE pubname = %s", [name]
    )
    held = {(schema, table) for schema, table in await cursor.fetchall()}
    missing = wanted - held
    if missing and not everything:
        added = ", ".join(shown(table) for table in sorted(missing))
        await _run(connection, f"ALTER PUBLICATION {quoted(name)} ADD TABLE {added}")
    elif held - wanted and not everything and listed and await _is_ours(connection, name):
        await _run(connection, f"ALTER PUBLICATION {quoted(name)} SET TABLE {listed}")
    return False, missing


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
