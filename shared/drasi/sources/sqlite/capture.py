"""The change table and the triggers that fill it.

Triggers name no column of the table but its keys and what unique indexes cover: those SQLite itself protects from being dropped.
The new row is read back from the table, column by column, in subqueries whose names fall back to nulls of an outer query when the
column is gone. So ``ALTER TABLE … DROP COLUMN`` works as if nobody watched, and a renamed column is followed by SQLite itself.

SQLite fires no delete trigger for rows that ``INSERT OR REPLACE`` and ``UPDATE OR REPLACE`` push out. A BEFORE trigger notes the
rows in the way of the new one (candidates: the statement may still fail, be ignored or become an update), and the AFTER trigger
records those that are gone.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterable

import msgspec

from drasi.sources.sqlite.catalog import PREFIX, Table, Term, Unique, quoted
from drasi.sources.sqlite.mapping import Shape

_NOW_MS = "CAST(round((julianday('now') - 2440587.5) * 86400000) AS INTEGER)"

_TABLES = """
CREATE TABLE IF NOT EXISTS _drasi_source (source TEXT NOT NULL, token TEXT NOT NULL, mark TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS _drasi_shapes
  (id INTEGER PRIMARY KEY, "table" TEXT NOT NULL, shape TEXT NOT NULL, current INTEGER NOT NULL);
CREATE TABLE IF NOT EXISTS _drasi_changes (id INTEGER PRIMARY KEY, at INTEGER, shape INTEGER, op TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS _drasi_displaced (shape INTEGER, "index" INTEGER, "by" TEXT);
CREATE INDEX IF NOT EXISTS _drasi_displaced_by ON _drasi_displaced (shape, "index", "by")
"""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Shape).decode


def create_tables(connection: sqlite3.Connection) -> None:
    for statement in _TABLES.split(";"):
        connection.execute(statement)


def remove_all(connection: sqlite3.Connection) -> None:
    """Takes everything out of the database again."""
    _drop_triggers(connection, "")
    for table in ("_drasi_displaced", "_drasi_changes", "_drasi_shapes", "_drasi_source"):
        connection.execute(f"DROP TABLE IF EXISTS {table}")


def is_installed(connection: sqlite3.Connection) -> bool:
    return connection.execute("SELECT 1 FROM sqlite_master WHERE type = 'table' AND name = '_drasi_source'").fetchone() is not None


def is_complete(connection: sqlite3.Connection) -> bool:
    """Whether all that `create_tables` made is still there."""
    [count] = connection.execute(
        "SELECT count(*) FROM sqlite_master WHERE name IN "
        "('_drasi_source', '_drasi_shapes', '_drasi_changes', '_drasi_displaced', '_drasi_displaced_by')"
    ).fetchone()
    return bool(count == 5)


def shapes(connection: sqlite3.Connection) -> dict[int, Shape]:
    return {number: _decode(shape) for number, shape in connection.execute("SELECT id, shape FROM _drasi_shapes")}


def renew(connection: sqlite3.Connection, tables: Iterable[Table], *, announce: bool) -> None:
    """Brings triggers in line with the tables as they are now. Within a transaction that holds the write lock.

    Args:
        announce: Record what the stream would miss otherwise: the rows of tables that are new or were not watched meanwhile, the
            end of tables that went, and the rows changed since the table was altered. False when snapshots are read anew anyway.
    """
    current: dict[str, tuple[int, Shape]] = {
        name: (number, _decode(shape))
        for number, name, shape in connection.execute('SELECT id, "table", shape FROM _drasi_shapes WHERE current')
    }
    watching: dict[int, set[str]] = {}
    for name, table_name in connection.execute(
        "SELECT name, tbl_name FROM sqlite_master WHERE type = 'trigger' AND name LIKE '\\_drasi\\_%' ESCAPE '\\'"
    ).fetchall():
        number = int(name.split("_")[2])
        owner = next((table for table, (shape, _) in current.items() if shape == number), None)
        if owner == table_name:
            watching.setdefault(number, set()).add(name)
        else:
            connection.execute(f"DROP TRIGGER {quoted(name)}")
    wanted = {table.name: table for table in tables}
    for name, (number, _) in current.items():
        if name not in wanted:
            _end(connection, number, announce=announce)
    for name, table in wanted.items():
        if name not in current:
            number = _begin(connection, Shape(table))
            if announce:
                _record_rows(connection, number, table)
            continue
        number, shape = current[name]
        watched = watching.get(number) == set(_triggers(number, table))
        if watched and shape.table == table:
            continue
        _drop_triggers(connection, f"{number}_")
        connection.execute("UPDATE _drasi_shapes SET current = 0 WHERE id = ?", (number,))
        has = {column.name for column in table.columns}
        gone = (*shape.gone, *(column.name for column in shape.table.columns))
        new = Shape(table, tuple(dict.fromkeys(column for column in gone if column not in has)))
        renewed = _begin(connection, new)
        same_rows = watched and shape.table.key == table.key and shape.table.relations == table.relations
        if not announce:
            continue
        if not same_rows:
            _record_end(connection, number)
            _record_rows(connection, renewed, table)
        elif shape.table.columns != table.columns:
            _record_pending(connection, name, renewed, table)
    connection.execute(
        "DELETE FROM _drasi_shapes WHERE NOT current AND id NOT IN (SELECT shape FROM _drasi_changes WHERE shape IS NOT NULL)"
    )


def _begin(connection: sqlite3.Connection, shape: Shape) -> int:
    table = shape.table
    _widen(connection, "_drasi_changes", "k", len(table.key))
    _widen(connection, "_drasi_displaced", "k", len(table.key))
    _widen(connection, "_drasi_changes", "v", len(table.columns))
    # Numbers are not used again while captured rows may bear them.
    [number] = connection.execute(
        "SELECT max(coalesce((SELECT max(id) FROM _drasi_shapes), 0), coalesce((SELECT max(shape) FROM _drasi_changes), 0)) + 1"
    ).fetchone()
    connection.execute("INSERT INTO _drasi_shapes VALUES (?, ?, ?, 1)", (number, table.name, _encode(shape).decode()))
    for trigger in _triggers(number, table).values():
        connection.execute(trigger)
    return int(number)


def _end(connection: sqlite3.Connection, number: int, *, announce: bool) -> None:
    _drop_triggers(connection, f"{number}_")
    connection.execute("UPDATE _drasi_shapes SET current = 0 WHERE id = ?", (number,))
    if announce:
        _record_end(connection, number)


def _record_end(connection: sqlite3.Connection, number: int) -> None:
    connection.execute(f"INSERT INTO _drasi_changes (at, shape, op) VALUES ({_NOW_MS}, ?, 't')", (number,))


def _record_rows(connection: sqlite3.Connection, number: int, table: Table) -> None:
    columns = ", ".join(quoted(column.name) for column in table.columns)
    connection.execute(
        f"INSERT INTO _drasi_changes (at, shape, op, {_names('v', len(table.columns))}) "
        f"SELECT {_NOW_MS}, ?, 'i', {columns} FROM {quoted(table.name)}",
        (number,),
    )


def _record_pending(connection: sqlite3.Connection, name: str, number: int, table: Table) -> None:
    """Rows changed between the table's alteration and the renewal of its triggers lack new columns: once more, as they are."""
    older = {old: shape for old, shape in shapes(connection).items() if shape.table.name == name and old != number}
    keys: dict[tuple[object, ...], None] = {}
    for old, shape in older.items():
        places = [f"v{[column.name for column in shape.table.columns].index(key)}" for key in shape.table.key]
        keys.update(
            dict.fromkeys(
                connection.execute(
                    f"SELECT {', '.join(places)} FROM _drasi_changes WHERE shape = ? AND op IN ('i', 'u') ORDER BY id", (old,)
                )
            )
        )
    columns = ", ".join(quoted(column.name) for column in table.columns)
    key_columns = ", ".join(quoted(key) for key in table.key)
    where = " AND ".join(f"{quoted(key)} IS ?" for key in table.key)
    for key in keys:
        connection.execute(
            f"INSERT INTO _drasi_changes (at, shape, op, {_names('k', len(table.key))}, {_names('v', len(table.columns))}) "
            f"SELECT {_NOW_MS}, ?, 'u', {key_columns}, {columns} FROM {quoted(table.name)} WHERE {where}",
            (number, *key),
        )


def _widen(connection: sqlite3.Connection, table: str, letter: str, width: int) -> None:
    has = {name for (name,) in connection.execute("SELECT name FROM pragma_table_info(?)", (table,))}
    for index in range(width):
        if f"{letter}{index}" not in has:
            connection.execute(f"ALTER TABLE {table} ADD COLUMN {letter}{index}")


def _drop_triggers(connection: sqlite3.Connection, beginning: str) -> None:
    names = connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall()
    for (name,) in names:
        if name.startswith(PREFIX + beginning):
            connection.execute(f"DROP TRIGGER {quoted(name)}")


def _triggers(number: int, table: Table) -> dict[str, str]:
    """Name → statement."""
    on = quoted(table.name)
    made = {
        "insert": f"AFTER INSERT ON {on} BEGIN {_displaced(number, table)} {_on_insert(number, table)} END",
        "update": f"AFTER UPDATE ON {on} BEGIN {_displaced(number, table)} {_on_update(number, table)} END",
        "delete": f"AFTER DELETE ON {on} BEGIN {_on_delete(number, table)} END",
    }
    if table.unique:
        covered = sorted({column for unique in table.unique for term in unique.terms for column in term.columns})
        columns = ", ".join(quoted(column) for column in covered)
        made["before_insert"] = f"BEFORE INSERT ON {on} BEGIN {_candidates(number, table)} END"
        made["before_update"] = f"BEFORE UPDATE OF {columns} ON {on} BEGIN {_candidates(number, table, but=_not_old(table))} END"
    return {f"{PREFIX}{number}_{what}": f"CREATE TRIGGER {PREFIX}{number}_{what} {text}" for what, text in made.items()}


def _on_insert(number: int, table: Table) -> str:
    return (
        f"INSERT INTO _drasi_changes (at, shape, op, {_names('v', len(table.columns))}) "
        f"SELECT {_NOW_MS}, {number}, 'i', {_image(table)} WHERE {_exists(table)};"
    )


def _on_update(number: int, table: Table) -> str:
    # A user's trigger may have changed the row again, or removed it: then nothing is there to be read.
    return (
        f"INSERT INTO _drasi_changes (at, shape, op, {_names('k', len(table.key))}, {_names('v', len(table.columns))}) "
        f"SELECT {_NOW_MS}, {number}, CASE WHEN {_exists(table)} THEN 'u' ELSE 'd' END, {_key('OLD', table)}, {_image(table)};"
    )


def _on_delete(number: int, table: Table) -> str:
    # A user's trigger may have put the row back.
    back = " AND ".join(_same(quoted(key), f"OLD.{quoted(key)}") for key in table.key)
    guard = f" WHERE NOT EXISTS (SELECT 1 FROM {quoted(table.name)} WHERE {back})" if table.key_is_unique else ""
    return (
        f"INSERT INTO _drasi_changes (at, shape, op, {_names('k', len(table.key))}) "
        f"SELECT {_NOW_MS}, {number}, 'd', {_key('OLD', table)}{guard};"
    )


def _image(table: Table) -> str:
    """Select list and FROM clause that read the new row, with null for columns that are gone."""
    row = f"FROM {quoted(table.name)} WHERE {_is_new(table)}"
    values = ", ".join(f"(SELECT {quoted(column.name)} {row})" for column in table.columns)
    nulls = ", ".join(f"NULL AS {quoted(column.name)}" for column in table.columns)
    return f"{values} FROM (SELECT {nulls})"


def _exists(table: Table) -> str:
    return f"EXISTS (SELECT 1 FROM {quoted(table.name)} WHERE {_is_new(table)})"


def _is_new(table: Table) -> str:
    if table.rowid is not None:
        return f"{quoted(table.name)}.{table.rowid} = NEW.{table.rowid}"
    return " AND ".join(f"{quoted(table.name)}.{quoted(key)} IS NEW.{quoted(key)}" for key in table.key)


def _not_old(table: Table) -> str:
    if table.rowid is not None:
        return f" AND {quoted(table.name)}.{table.rowid} <> OLD.{table.rowid}"
    return " AND NOT (" + " AND ".join(f"{quoted(table.name)}.{quoted(key)} IS OLD.{quoted(key)}" for key in table.key) + ")"


def _candidates(number: int, table: Table, *, but: str = "") -> str:
    statements = []
    for index, unique in enumerate(table.unique):
        by = _by(unique)
        same = " AND ".join(f"{term.sql} = {_new_term(term)}" for term in unique.terms)
        where = f" AND ({unique.where})" if unique.where else ""
        keys = ", ".join(quoted(key) for key in table.key)
        statements += [
            f'DELETE FROM _drasi_displaced WHERE shape = {number} AND "index" = {index} AND "by" = {by};',
            f'INSERT INTO _drasi_displaced (shape, "index", "by", {_names("k", len(table.key))}) '
            f"SELECT {number}, {index}, {by}, {keys} FROM {quoted(table.name)} WHERE {same}{where}{but};",
        ]
    return " ".join(statements)


def _displaced(number: int, table: Table) -> str:
    statements = []
    for index, unique in enumerate(table.unique):
        mine = f'shape = {number} AND "index" = {index} AND "by" = {_by(unique)}'
        still = " AND ".join(_same(f"{quoted(table.name)}.{quoted(key)}", f"d.k{place}") for place, key in enumerate(table.key))
        names = _names("k", len(table.key))
        statements += [
            f"INSERT INTO _drasi_changes (at, shape, op, {names}) "
            f"SELECT {_NOW_MS}, {number}, 'd', {names} FROM _drasi_displaced AS d "
            f"WHERE {mine} AND NOT EXISTS (SELECT 1 FROM {quoted(table.name)} WHERE {still});",
            f"DELETE FROM _drasi_displaced WHERE {mine};",
        ]
    return " ".join(statements)


def _by(unique: Unique) -> str:
    """The new row's terms as one text: it finds the candidates again after the statement."""
    return " || ',' || ".join(f"quote({_new_term(term)})" for term in unique.terms)


def _new_term(term: Term) -> str:
    if term.plain:
        return f"NEW.{quoted(term.columns[0])}"
    columns = ", ".join(f"NEW.{quoted(column)} AS {quoted(column)}" for column in term.columns)
    return f"(SELECT {term.sql} FROM (SELECT {columns}))"


def _same(left: str, right: str) -> str:
    """Equal and written alike: ``'a'`` and ``'A'``, ``1`` and ``1.0`` may be one key to SQLite, but have ids of their own."""
    return f"{left} IS {right} AND quote({left}) = quote({right})"


def _key(row: str, table: Table) -> str:
    return ", ".join(f"{row}.{quoted(key)}" for key in table.key)


def _names(letter: str, count: int) -> str:
    return ", ".join(f"{letter}{index}" for index in range(count))
