"""Values that the stream leaves out although a row has them.

Generated columns are computed by the database from the row's own values. A large value that an update did not touch is not in the
log; where a change of key makes a new element of the row, it is read from the table: a later change of it comes behind anyway.
"""

from __future__ import annotations

import contextlib
from collections.abc import Sequence

import psycopg
from psycopg import sql

from drasi.sources.postgresql.connection import Connection, statement
from drasi.sources.postgresql.mapping import BadRow, Shape
from drasi.sources.postgresql.pgoutput import UNCHANGED, Change, Row, Unchanged, Value


def needs(shape: Shape, change: Change) -> bool:
    """Whether something must be found for the row before it can be mapped."""
    if change.new is None:
        return False
    return bool(shape.computed) or (change.old is not None and UNCHANGED in change.new)


async def complete(connection: Connection, shape: Shape, changes: Sequence[Change]) -> None:
    """Finds what these changes of one table lack; what cannot be found any more stays unknown."""
    for change in changes:
        if change.new is not None and change.old is not None:
            # A row without its key is reported when it is mapped.
            with contextlib.suppress(BadRow):
                await _fill(connection, shape, change.new, change.old)
    if shape.computed:
        await _compute(connection, shape, [change for change in changes if change.new is not None])


async def _fill(connection: Connection, shape: Shape, new: Row, old: Row) -> None:
    places = [place for place, value in enumerate(new) if isinstance(value, Unchanged)]
    if not places or shape.key_of(new, old) == shape.key_of(old):
        return
    for place in places:
        # With REPLICA IDENTITY FULL the log holds the row before, with all its values.
        if old[place] is not None:
            new[place] = old[place]
    places = [place for place in places if isinstance(new[place], Unchanged)]
    if places:
        for place, value in zip(places, await _read(connection, shape, new, places), strict=True):
            new[place] = value


async def _read(connection: Connection, shape: Shape, row: Row, places: Sequence[int]) -> list[Value]:
    """The values at these places of the row as the table has it now."""
    table = shape.table
    condition = sql.SQL(" AND ").join(
        statement("{} = %s::" + table.column(table.key[number]).declared, table.key[number]) for number in range(len(table.key))
    )
    columns = sql.SQL(", ").join(sql.Identifier(shape.names[place]) for place in places)
    only = sql.SQL("" if table.partitioned else "ONLY ")
    query = sql.SQL("SELECT {} FROM {}{} WHERE {}").format(columns, only, sql.Identifier(*table.full), condition)
    unknown: list[Value] = [UNCHANGED for _ in places]
    try:
        cursor = await connection.execute(query, [_parameter(row[place]) for place, _ in shape.key])
    except (psycopg.errors.UndefinedColumn, psycopg.errors.UndefinedTable):
        return unknown
    result = cursor.pgresult
    if result is None or result.ntuples == 0:
        return unknown
    return [result.get_value(0, number) for number in range(len(places))]


async def _compute(connection: Connection, shape: Shape, changes: Sequence[Change]) -> None:
    """Adds the generated columns to the new rows."""
    table = shape.table
    given = [name for name in shape.names if name not in shape.computed]
    inputs: list[Row] = []
    for change in changes:
        assert change.new is not None
        row = list(change.new)
        holes = [place for place, value in enumerate(row) if isinstance(value, Unchanged)]
        if holes:
            keyed = [
                row[place] if not isinstance(row[place], Unchanged) else (change.old or row)[place] for place in range(len(row))
            ]
            for place, value in zip(holes, await _read(connection, shape, keyed, holes), strict=True):
                row[place] = value
        inputs.append(row)
    columns = {column.name: column for column in table.columns}
    known = [name for name in given if name in columns]
    arrays = [[_parameter(row[given.index(name)]) for row in inputs] for name in known]
    casts = ", ".join(f"u.c{number}::{columns[name].declared} AS {_identifier(name)}" for number, name in enumerate(known))
    expressions = ", ".join(f"({columns[name].generated})" for name in shape.computed)
    aliases = ", ".join(f"c{number}" for number in range(len(known)))
    unnested = ", ".join(["%s::text[]"] * len(known))
    query = (
        f"SELECT {_percent(expressions)} FROM unnest({unnested}) WITH ORDINALITY AS u({aliases}, place),"
        f" LATERAL (SELECT {_percent(casts)}) AS {_percent(_identifier(table.name))} ORDER BY u.place"
    )
    results = await _evaluated(connection, query.encode(), arrays, len(inputs))
    for change, row, found in zip(changes, inputs, results, strict=True):
        assert change.new is not None
        change.new.extend([UNCHANGED] * len(shape.computed) if found is None or UNCHANGED in row else found)


async def _evaluated(
    connection: Connection, query: bytes, arrays: Sequence[Sequence[str | None]], count: int
) -> list[list[Value] | None]:
    """The query's row for each of so many items of the arrays; None: an item that is older than the expression, and no value for
    it. It is computed again with its row's next change."""
    try:
        result = (await connection.execute(query, arrays)).pgresult
    except (psycopg.OperationalError, psycopg.errors.InsufficientPrivilege):
        raise
    except psycopg.Error:
        if count == 1:
            return [None]
        return [
            found
            for place in range(count)
            for found in await _evaluated(connection, query, [[array[place]] for array in arrays], 1)
        ]
    assert result is not None
    return [[result.get_value(number, place) for place in range(result.nfields)] for number in range(count)]


def _parameter(value: Value) -> str | None:
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else None


def _identifier(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _percent(text: str) -> str:
    return text.replace("%", "%%")
