"""What tables a database has, as far as capturing them needs to know."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from drasi.sources.postgresql.connection import Connection, quoted
from drasi.sources.postgresql.types import Type, is_known
from drasi.sources.relational import Problem, Wanted

Name = tuple[str, str]
"""Schema and table."""


@dataclass(frozen=True, slots=True)
class Column:
    """``declared``: the type as SQL writes it. ``generated``: the expression it is computed by, if it is."""

    name: str
    type: int
    modifier: int
    declared: str
    generated: str | None = None


@dataclass(frozen=True, slots=True)
class Relation:
    """A foreign key, or a relation of the properties. ``columns`` are in the order of the referenced table's key."""

    type: str
    columns: tuple[str, ...]
    references: Name


@dataclass(frozen=True, slots=True)
class Part:
    """A partition. ``file``: another number when it was emptied or written anew. ``empty``: it never had a row since."""

    id: int
    file: int
    empty: bool


@dataclass(frozen=True, slots=True)
class Table:
    """One table to capture. ``key``: the columns that identify a row. ``partitioned``: its rows are in other tables, ``parts``."""

    id: int
    schema: str
    name: str
    columns: tuple[Column, ...]
    key: tuple[str, ...]
    relations: tuple[Relation, ...] = ()
    partitioned: bool = False
    parts: tuple[Part, ...] = ()

    @property
    def full(self) -> Name:
        return self.schema, self.name

    @property
    def shown(self) -> str:
        """In a statement that means its own rows and not those of tables that inherit from it."""
        return shown(self.full) if self.partitioned else f"ONLY {shown(self.full)}"

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


@dataclass(frozen=True, slots=True)
class Catalog:
    """``tables`` in the order of their names; ``types``: those that are no built-in scalars, by number."""

    tables: tuple[Table, ...]
    problems: tuple[Problem, ...]
    types: Mapping[int, Type]

    def by_name(self) -> dict[Name, Table]:
        return {table.full: table for table in self.tables}


@dataclass(slots=True)
class _Found:
    """A table of the database before it is known what of it can be captured."""

    id: int
    name: Name
    identity: str
    columns: list[Column]
    primary: tuple[str, ...]
    identifying: tuple[str, ...]
    foreign: list[_Asked]
    readable: bool
    enterable: bool
    filtered: bool
    partitioned: bool
    parts: list[_Part]
    key: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Part:
    """A table that holds rows of a partitioned one."""

    id: int
    name: Name
    identity: str
    file: int
    empty: bool
    primary: tuple[str, ...]
    identifying: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class _Asked:
    type: str
    columns: tuple[str, ...]
    references: Name
    referenced: tuple[str, ...] = ()


_INDEXED = """(SELECT coalesce(json_agg(a.attname ORDER BY k.place), '[]')
     FROM pg_index i, unnest(i.indkey) WITH ORDINALITY k (attnum, place) JOIN pg_attribute a ON a.attnum = k.attnum
     WHERE i.indrelid = {table} AND i.{which} AND a.attrelid = {table} AND k.place <= i.indnkeyatts)"""

# One row per table: what identifies its rows, its columns, its foreign keys, its partitions.
_TABLES = f"""
SELECT c.oid::int8, n.nspname, c.relname, c.relreplident::text, c.relkind = 'p', has_table_privilege(c.oid, 'SELECT'),
  has_schema_privilege(n.oid, 'USAGE'), row_security_active(c.oid),
  CASE WHEN c.relkind = 'p' THEN (SELECT coalesce(json_agg(json_build_array(p.oid::int8, pn.nspname, p.relname, p.relreplident,
       p.relfilenode::int8, coalesce(pg_relation_size(p.oid) = 0, false),
       {_INDEXED.format(table="p.oid", which="indisprimary")}, {_INDEXED.format(table="p.oid", which="indisreplident")})
       ORDER BY p.oid), '[]')
     FROM pg_partition_tree(c.oid) t JOIN pg_class p ON p.oid = t.relid JOIN pg_namespace pn ON pn.oid = p.relnamespace
     WHERE t.isleaf AND p.oid <> c.oid) END,
  {_INDEXED.format(table="c.oid", which="indisprimary")}, {_INDEXED.format(table="c.oid", which="indisreplident")},
  (SELECT coalesce(json_agg(json_build_array(a.attname, a.atttypid::int8, a.atttypmod, format_type(a.atttypid, a.atttypmod),
       CASE WHEN a.attgenerated <> '' THEN pg_get_expr(d.adbin, d.adrelid) END) ORDER BY a.attnum), '[]')
     FROM pg_attribute a LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
     WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped),
  (SELECT coalesce(json_agg(json_build_array(f.conname, rn.nspname, r.relname,
       (SELECT json_agg(a.attname ORDER BY k.place) FROM unnest(f.conkey) WITH ORDINALITY k (attnum, place)
          JOIN pg_attribute a ON a.attrelid = f.conrelid AND a.attnum = k.attnum),
       (SELECT json_agg(a.attname ORDER BY k.place) FROM unnest(f.confkey) WITH ORDINALITY k (attnum, place)
          JOIN pg_attribute a ON a.attrelid = f.confrelid AND a.attnum = k.attnum)) ORDER BY f.conname), '[]')
     FROM pg_constraint f JOIN pg_class r ON r.oid = f.confrelid JOIN pg_namespace rn ON rn.oid = r.relnamespace
     WHERE f.conrelid = c.oid AND f.contype = 'f' AND f.conparentid = 0)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p') AND c.relpersistence = 'p' AND NOT c.relispartition
  AND n.nspname <> 'information_schema' AND n.nspname NOT LIKE 'pg\\_%'
ORDER BY n.nspname, c.relname
"""

# What else has the name of a table.
_OTHERS = """
SELECT n.nspname, c.relname, CASE WHEN c.relispartition THEN 'a partition: name the table it belongs to'
  WHEN c.relpersistence = 'u' THEN 'unlogged: its changes are not in the log; run: ALTER TABLE ' || c.oid::regclass || ' SET LOGGED'
  WHEN c.relpersistence = 't' THEN 'temporary' WHEN c.relkind = 'v' THEN 'a view: name the tables it shows'
  WHEN c.relkind = 'm' THEN 'a materialized view: name the tables it shows'
  WHEN c.relkind = 'f' THEN 'a foreign table: its changes are in the log of the server where it is' END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f')
"""

_TYPES = """
WITH RECURSIVE used (oid) AS (
  SELECT unnest(%s::int8[])::oid
  UNION SELECT unnest(ARRAY[t.typelem, t.typbasetype]) FROM used u JOIN pg_type t ON t.oid = u.oid WHERE t.oid <> 0
)
SELECT t.oid::int8, CASE WHEN t.typcategory = 'A' AND t.typlen = -1 AND t.oid NOT IN (22, 30) THEN t.typelem ELSE 0 END::int8,
  t.typbasetype::int8, t.typtypmod, coalesce(e.typdelim, ',')::text, t.typname = 'citext'
FROM used u JOIN pg_type t ON t.oid = u.oid LEFT JOIN pg_type e ON e.oid = t.typelem
"""


async def read_catalog(connection: Connection, wanted: Wanted) -> Catalog:
    """The tables to capture, and what is in the way of others."""
    cursor = await connection.execute(_TABLES)
    present = {found.name: found for found in map(_found, await cursor.fetchall())}
    problems: list[Problem] = []
    others: dict[Name, str] = {}
    if any(_name(asked) not in present for asked in wanted.tables):
        cursor = await connection.execute(_OTHERS)
        others = {(schema, name): what for schema, name, what in await cursor.fetchall() if what}
    names = _names(wanted, present, others, problems)
    keys = {_name(table): columns for table, columns in wanted.keys.items()}
    relations = _group(wanted.relations)
    unusable = {name: _give_key(found, keys.get(name)) for name, found in present.items()}
    tables: list[Table] = []
    for name in names:
        found = present[name]
        problem = unusable[name] or _capturable(found, connection.info.user)
        if problem is not None:
            problems.append(problem)
            continue
        asked = [*(found.foreign if wanted.foreign_keys else ()), *relations.get(name, ())]
        resolved: list[Relation] = []
        for relation in asked:
            outcome = _resolve(relation, found, present)
            if isinstance(outcome, Problem):
                problems.append(outcome)
            elif any(other.type == outcome.type for other in resolved):
                where = f"relation {outcome.type} of table {'.'.join(name)}"
                problems.append(Problem("RelationIgnored", f"{where}: the table has another one of that type"))
            else:
                resolved.append(outcome)
        parts = tuple(Part(part.id, part.file, part.empty) for part in found.parts)
        tables.append(Table(found.id, *name, tuple(found.columns), found.key, tuple(resolved), found.partitioned, parts))
    types = await read_types(connection, {column.type for table in tables for column in table.columns})
    return Catalog(tuple(tables), tuple(problems), types)


async def read_types(connection: Connection, numbers: Iterable[int]) -> dict[int, Type]:
    """Domains and arrays among these types, and what they are made of."""
    unknown = sorted(number for number in numbers if not is_known(number))
    if not unknown:
        return {}
    cursor = await connection.execute(_TYPES, [unknown])
    return {oid: Type(*described) for oid, *described in await cursor.fetchall()}


def shown(name: Name) -> str:
    """A table's name in a statement."""
    return f"{quoted(name[0])}.{quoted(name[1])}"


def _found(row: Sequence[Any]) -> _Found:
    number, schema, name, identity, partitioned, readable, enterable, filtered, parts, primary, identifying, columns, foreign = row
    return _Found(
        id=number,
        name=(schema, name),
        identity=identity,
        columns=[Column(*column) for column in columns],
        primary=tuple(primary),
        identifying=tuple(identifying),
        foreign=[_Asked(kind, tuple(own), (there, target), tuple(theirs)) for kind, there, target, own, theirs in foreign],
        readable=readable,
        enterable=enterable,
        filtered=filtered,
        partitioned=partitioned,
        parts=[
            _Part(part, (within, called), how, file, empty, tuple(its), tuple(named))
            for part, within, called, how, file, empty, its, named in parts or ()
        ],
    )


def _names(wanted: Wanted, present: Mapping[Name, _Found], others: Mapping[Name, str], problems: list[Problem]) -> list[Name]:
    if not wanted.tables:
        return sorted(present)
    names: set[Name] = set()
    for asked in wanted.tables:
        name = _name(asked)
        if name in present:
            names.add(name)
        elif name in others:
            problems.append(Problem("MissingTable", f"{'.'.join(name)} is {others[name]}"))
        else:
            listed = ", ".join(".".join(other) for other in sorted(present)[:20]) or "none"
            problems.append(Problem("MissingTable", f"there is no table {'.'.join(name)} (there are: {listed})"))
    return sorted(names)


def _name(text: str) -> Name:
    """``schema.table`` or ``table`` (of ``public``), as the catalogue writes them; quotes may stand around either."""
    schema, dot, table = text.strip().partition(".")
    return (schema.strip('"'), table.strip('"')) if dot else ("public", schema.strip('"'))


def _group(relations: Iterable[Mapping[str, Any]]) -> dict[Name, list[_Asked]]:
    grouped: dict[Name, list[_Asked]] = {}
    for relation in relations:
        table = _name(relation["table"])
        references = str(relation["references"])
        target = _name(references) if "." in references else (table[0], references.strip().strip('"'))
        asked = _Asked(relation["type"], tuple(relation["columns"]), target, tuple(relation.get("referencedColumns") or ()))
        grouped.setdefault(table, []).append(asked)
    return grouped


def _give_key(found: _Found, named: tuple[str, ...] | None) -> Problem | None:
    table = ".".join(found.name)
    if named is None:
        found.key = found.primary
        return None if found.key else Problem("NoPrimaryKey", f"table {table} has no primary key; name its key in tableKeys")
    columns = {column.name for column in found.columns}
    missing = [name for name in named if name not in columns]
    if missing or not named:
        listed = ", ".join(column.name for column in found.columns)
        return Problem("NoPrimaryKey", f"table {table} has no column {', '.join(missing)} as tableKeys says (it has: {listed})")
    found.key = named
    return None


def _capturable(found: _Found, user: str) -> Problem | None:
    """Whether the log holds the key of rows that are changed or deleted, and a snapshot can read the table."""
    table = ".".join(found.name)
    unlogged: dict[Name, list[str]] = {}
    for name, identity, primary, identifying in (
        [(part.name, part.identity, part.primary, part.identifying) for part in found.parts]
        if found.partitioned
        else [(found.name, found.identity, found.primary, found.identifying)]
    ):
        logged = {"f": found.key, "i": identifying, "d": primary}.get(identity, ())
        if missing := [column for column in found.key if column not in logged]:
            unlogged[name] = missing
    if unlogged:
        columns = ", ".join(sorted({column for missing in unlogged.values() for column in missing}))
        why = f"the log does not hold {columns} of rows of {table} that are changed or deleted"
        statements = "; ".join(f"ALTER TABLE {shown(name)} REPLICA IDENTITY FULL" for name in unlogged)
        return Problem("ReplicaIdentity", f"{why}; run: {statements}")
    if not found.enterable:
        schema = quoted(found.name[0])
        return Problem("NotReadable", f"table {table} cannot be read; run: GRANT USAGE ON SCHEMA {schema} TO {quoted(user)}")
    if not found.readable:
        return Problem("NotReadable", f"table {table} cannot be read; run: GRANT SELECT ON {shown(found.name)} TO {quoted(user)}")
    if found.filtered:
        why = f"policies of row security keep rows of table {table} from a snapshot, though not from the log"
        return Problem("NotReadable", f"{why}; run: ALTER ROLE {quoted(user)} BYPASSRLS")
    if any(column.generated is not None and column.name in found.key for column in found.columns):
        return Problem(
            "NoPrimaryKey",
            f"the key of table {table} is computed, and the log leaves computed columns out; name another in tableKeys",
        )
    return None


def _resolve(asked: _Asked, found: _Found, present: Mapping[Name, _Found]) -> Relation | Problem:
    """The relation with its columns in the order of the key of the table it leads to."""
    where = f"relation {asked.type} of table {'.'.join(found.name)}"
    names = {column.name for column in found.columns if column.generated is None}
    missing = [name for name in asked.columns if name not in names]
    if missing:
        return Problem("RelationIgnored", f"{where}: there is no column {', '.join(missing)} that the log holds")
    target = present.get(asked.references)
    if target is None or not target.key:
        return Problem("RelationIgnored", f"{where}: there is no table {'.'.join(asked.references)} with a key")
    referenced = asked.referenced or target.key
    if len(referenced) != len(asked.columns) or set(referenced) != set(target.key):
        return Problem("RelationIgnored", f"{where} must lead to the key of {'.'.join(target.name)} ({', '.join(target.key)})")
    by_referenced = dict(zip(referenced, asked.columns, strict=True))
    return Relation(asked.type, tuple(by_referenced[name] for name in target.key), target.name)
