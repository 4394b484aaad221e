"""What tables a database has, as far as capturing them needs to know."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence

import msgspec

from drasi.sources.relational import Problem, Wanted
from drasi.sources.sqlite.ddl import foreign_key_names, index_terms, names_in

PREFIX = "_drasi_"


class Column(msgspec.Struct, frozen=True):
    name: str
    declared: str

    @property
    def is_uniform(self) -> bool:
        """Whether equal values are stored alike: a column without affinity may hold 1 and 1.0, which are one key and two ids."""
        declared = self.declared.upper()
        # In the order of SQLite's own rules: "BLOB" counts only where nothing before it does.
        return any(word in declared for word in ("INT", "CHAR", "CLOB", "TEXT")) or ("BLOB" not in declared and declared != "")


class Term(msgspec.Struct, frozen=True):
    """A term of a unique index: SQL over the row, and the columns it reads. ``plain``: the term is its one column."""

    sql: str
    columns: tuple[str, ...]
    plain: bool


class Unique(msgspec.Struct, frozen=True):
    """A unique index besides the key: REPLACE can displace rows through it."""

    terms: tuple[Term, ...]
    where: str = ""


class Relation(msgspec.Struct, frozen=True):
    """A foreign key, or a relation of the properties. ``columns`` are in the order of the referenced table's key."""

    type: str
    columns: tuple[str, ...]
    references: str


class Table(msgspec.Struct, frozen=True):
    """One table to capture.

    Attributes:
        key: The columns that identify a row.
        key_is_unique: Whether an index finds a row by its key.
        rowid: A name that means the row's number and no column; None: the table has none (WITHOUT ROWID).
    """

    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    key_is_unique: bool
    rowid: str | None
    unique: tuple[Unique, ...] = ()
    relations: tuple[Relation, ...] = ()


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def read_catalog(connection: sqlite3.Connection, wanted: Wanted) -> tuple[list[Table], list[Problem]]:
    """The tables to capture in the order of their names, and what is in the way of others."""
    present = {
        name.lower(): (name, kind, without_rowid)
        for name, kind, without_rowid in connection.execute(
            "SELECT name, type, wr FROM pragma_table_list WHERE schema = 'main' AND type IN ('table', 'virtual', 'view')"
        )
        if not name.lower().startswith(("sqlite_", PREFIX))
    }
    problems: list[Problem] = []
    names: list[str] = []
    if wanted.tables:
        for asked in wanted.tables:
            found = present.get(_bare(asked))
            if found is None:
                listed = ", ".join(sorted(name for name, kind, _ in present.values() if kind == "table")) or "none"
                problems.append(Problem("MissingTable", f"there is no table {asked} (there are: {listed})"))
            elif found[1] != "table":
                problems.append(Problem("NotATable", f"{found[0]} is a {found[1]}: only tables can be watched"))
            else:
                names.append(found[0])
    else:
        names = [name for name, kind, _ in present.values() if kind == "table"]
    keys = {_bare(name): columns for name, columns in wanted.keys.items()}
    all_keys = {lower: _key(connection, name, keys) for lower, (name, kind, _) in present.items() if kind == "table"}
    tables = []
    for name in sorted(set(names)):
        key, problem = all_keys[name.lower()]
        if problem is not None:
            problems.append(problem)
            continue
        columns = _columns(connection, name)
        rowid = None
        if not present[name.lower()][2]:
            taken = {column.name.lower() for column in columns}
            rowid = next((alias for alias in ("_rowid_", "rowid", "oid") if alias not in taken), None)
        unique, is_unique = _unique(connection, name, key)
        relations: list[Relation] = []
        for relation in _relations(connection, name, wanted):
            resolved = _resolve(connection, relation, name, columns, present, all_keys)
            if isinstance(resolved, Problem):
                problems.append(resolved)
            elif any(other.type == resolved.type for other in relations):
                where = f"relation {resolved.type} of table {name}"
                problems.append(Problem("RelationIgnored", f"{where}: the table has another one of that type"))
            else:
                relations.append(resolved)
        tables.append(Table(name, columns, key, is_unique, rowid, unique, tuple(relations)))
    return tables, problems


def _bare(name: str) -> str:
    name = name.lower()
    return name.removeprefix("main.")


def _columns(connection: sqlite3.Connection, table: str) -> tuple[Column, ...]:
    rows = connection.execute("SELECT name, type FROM pragma_table_xinfo(?) WHERE hidden <> 1 ORDER BY cid", (table,))
    return tuple(Column(name, declared or "") for name, declared in rows)


def _primary_key(connection: sqlite3.Connection, table: str) -> tuple[str, ...]:
    rows = connection.execute("SELECT name FROM pragma_table_xinfo(?) WHERE pk > 0 ORDER BY pk", (table,))
    return tuple(name for (name,) in rows)


def _key(connection: sqlite3.Connection, table: str, keys: Mapping[str, Sequence[str]]) -> tuple[tuple[str, ...], Problem | None]:
    named = keys.get(table.lower())
    if named is None:
        primary = _primary_key(connection, table)
        if not primary:
            return (), Problem("NoPrimaryKey", f"table {table} has no primary key; name its key in tableKeys")
        return primary, None
    columns = {column.name.lower(): column.name for column in _columns(connection, table)}
    missing = [name for name in named if name.lower() not in columns]
    if missing or not named:
        listed = ", ".join(columns.values())
        return (), Problem("NoPrimaryKey", f"table {table} has no column {', '.join(missing)} as tableKeys says (it has: {listed})")
    return tuple(columns[name.lower()] for name in named), None


def _unique(connection: sqlite3.Connection, table: str, key: tuple[str, ...]) -> tuple[tuple[Unique, ...], bool]:
    """Unique constraints whose rows the key does not tell apart already, and whether the key itself has an index."""
    found: list[Unique] = []
    names = {name.lower() for name in key}
    primary = _primary_key(connection, table)
    key_is_unique = {name.lower() for name in primary} == names
    if primary and not key_is_unique:
        found.append(Unique(tuple(Term(quoted(name), (name,), plain=True) for name in primary)))
    indexes = connection.execute('SELECT name, partial FROM pragma_index_list(?) WHERE "unique" ORDER BY name', (table,)).fetchall()
    columns = {column.name.lower(): column for column in _columns(connection, table)}
    for index, partial in indexes:
        parts = connection.execute(
            "SELECT cid, name, coll FROM pragma_index_xinfo(?) WHERE key ORDER BY seqno", (index,)
        ).fetchall()
        row = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'index' AND name = ?", (index,)).fetchone()
        written = index_terms(row[0]) if row and row[0] else None
        terms = []
        for number, (cid, name, collation) in enumerate(parts):
            if cid >= 0:
                terms.append(Term(f"{quoted(name)} COLLATE {quoted(collation)}", (name,), plain=True))
            elif written is not None:
                sql = written.terms[number]
                used = tuple(columns[word].name for word in sorted(names_in(sql)) if word in columns)
                terms.append(Term(f"({sql})", used, plain=False))
        exact = not partial and all(
            cid >= 0 and collation == "BINARY" and columns[name.lower()].is_uniform for cid, name, collation in parts
        )
        if exact and {name.lower() for _, name, _ in parts} == names:
            key_is_unique = True
            continue
        found.append(Unique(tuple(terms), written.where if written is not None else ""))
    return tuple(found), key_is_unique


class _Asked(msgspec.Struct, frozen=True):
    type: str
    columns: tuple[str, ...]
    references: str
    referenced: tuple[str, ...]


def _relations(connection: sqlite3.Connection, table: str, wanted: Wanted) -> list[_Asked]:
    asked: list[_Asked] = []
    if wanted.foreign_keys:
        asked += _foreign_keys(connection, table)
    for relation in wanted.relations:
        if _bare(str(relation["table"])) == table.lower():
            columns = relation["columns"]
            referenced = relation.get("referencedColumns") or ()
            assert isinstance(columns, list | tuple)
            assert isinstance(referenced, list | tuple)
            asked.append(_Asked(str(relation["type"]), tuple(columns), str(relation["references"]), tuple(referenced)))
    return asked


def _foreign_keys(connection: sqlite3.Connection, table: str) -> list[_Asked]:
    parts: dict[int, list[tuple[str, str, str | None]]] = {}
    for number, references, column, referenced in connection.execute(
        'SELECT id, "table", "from", "to" FROM pragma_foreign_key_list(?) ORDER BY id DESC, seq', (table,)
    ):
        parts.setdefault(number, []).append((references, column, referenced))
    [create] = connection.execute("SELECT sql FROM sqlite_master WHERE type = 'table' AND name = ?", (table,)).fetchone()
    # SQLite numbers foreign keys from the last to the first of the statement.
    names = foreign_key_names(create)
    found = []
    for place, columns in enumerate(parts.values()):
        written = names[place] if len(names) == len(parts) else None
        default = f"{table}_{'_'.join(column for _, column, _ in columns)}_fkey"
        referenced = tuple(to for _, _, to in columns if to is not None)
        found.append(_Asked(written or default, tuple(column for _, column, _ in columns), columns[0][0], referenced))
    return found


def _resolve(
    connection: sqlite3.Connection,
    asked: _Asked,
    table: str,
    columns: tuple[Column, ...],
    present: Mapping[str, tuple[str, str, int]],
    keys: Mapping[str, tuple[tuple[str, ...], Problem | None]],
) -> Relation | Problem:
    """The relation with its columns in the order of the key of the table it leads to."""
    where = f"relation {asked.type} of table {table}"
    names = {column.name.lower(): column.name for column in columns}
    missing = [name for name in asked.columns if name.lower() not in names]
    if missing:
        return Problem("RelationIgnored", f"{where}: there is no column {', '.join(missing)}")
    target = present.get(_bare(asked.references))
    key: tuple[str, ...] = ()
    if target is not None and target[1] == "table":
        key = keys[target[0].lower()][0]
    if target is None or not key:
        return Problem("RelationIgnored", f"{where}: there is no table {asked.references} with a key")
    referenced = [name.lower() for name in asked.referenced] or [name.lower() for name in key]
    if len(referenced) != len(asked.columns) or set(referenced) != {name.lower() for name in key}:
        return Problem("RelationIgnored", f"{where} must lead to the key of {target[0]} ({', '.join(key)})")
    by_referenced = dict(zip(referenced, asked.columns, strict=True))
    return Relation(asked.type, tuple(names[by_referenced[name.lower()].lower()] for name in key), target[0])
