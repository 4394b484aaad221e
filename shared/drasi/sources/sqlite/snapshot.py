"""Parts of a snapshot: read within one transaction, a bounded number of elements, the lock gone before they are sent."""

from __future__ import annotations

import base64
import sqlite3
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import msgspec

from drasi.messages.changes import Element
from drasi.sources.port import BadRequest, Labels, SnapshotRequest
from drasi.sources.sqlite import capture
from drasi.sources.sqlite.catalog import Table, quoted, read_catalog
from drasi.sources.sqlite.mapping import Mapping, Shape
from drasi.sources.sqlite.origin import Configuration, connect, unavailable

_PAGES = 10


class _Place(msgspec.Struct, frozen=True):
    """Where a part begins: in this table, behind this key, leaving out so many elements of the next row."""

    table: str
    after: list[Any] | None = None
    skip: int = 0


@dataclass(frozen=True, slots=True)
class Part:
    """``position``: the newest captured row that the part contains. ``nulls``: rows left out for a null in their key."""

    position: int
    elements: list[Element]
    cursor: str | None
    nulls: int


def newest(configuration: Configuration) -> int:
    """The newest captured row."""
    try:
        connection = connect(configuration.path)
        try:
            return _newest(connection)
        finally:
            connection.close()
    except (sqlite3.Error, OSError) as error:
        raise unavailable(configuration.path, error) from error


def read_part(configuration: Configuration, request: SnapshotRequest) -> Part:
    """One part.

    Raises:
        BadRequest: The cursor is none of ours.
        OriginUnavailable: The database cannot be read now.
    """
    place = _decode_place(request.cursor) if request.cursor else None
    everything = not request.nodes and not request.relations
    wanted = Labels() if everything else Labels(request.nodes, request.relations)
    most = min(request.limit or configuration.page_size * _PAGES, configuration.page_size * _PAGES)
    try:
        connection = connect(configuration.path)
        try:
            connection.execute("BEGIN")
            position = _newest(connection)
            tables, _ = read_catalog(connection, configuration.wanted)
            return _read(connection, configuration, tables, wanted, place, most, position)
        finally:
            connection.close()
    except (sqlite3.Error, OSError) as error:
        raise unavailable(configuration.path, error) from error


def _read(
    connection: sqlite3.Connection,
    configuration: Configuration,
    tables: Sequence[Table],
    wanted: Labels,
    place: _Place | None,
    most: int,
    position: int,
) -> Part:
    elements: list[Element] = []
    nulls = 0
    for table in tables:
        if place is not None and table.name < place.table:
            continue
        here = place if place is not None and table.name == place.table else _Place(table.name)
        if not _concerns(table, wanted):
            continue
        mapping = Mapping(configuration.source_id, Shape(table), decimals=configuration.decimals)
        after, skip = here.after, here.skip
        if after is None:
            nulls += _without_key(connection, table)
        for row in _rows(connection, table, after, configuration.page_size):
            found = mapping.elements(row, wanted)
            room = most - len(elements)
            if len(found) - skip > room:
                elements += found[skip : skip + room]
                return Part(position, elements, _encode_place(_Place(table.name, after, skip + room)), nulls)
            elements += found[skip:]
            skip = 0
            after = list(mapping.key_of(row))
    return Part(position, elements, None, nulls)


def _concerns(table: Table, wanted: Labels) -> bool:
    return (
        wanted.nodes is None
        or table.name in wanted.nodes
        or any(wanted.relations is None or relation.type in wanted.relations for relation in table.relations)
    )


def _rows(connection: sqlite3.Connection, table: Table, after: list[Any] | None, page_size: int) -> Iterator[tuple[Any, ...]]:
    """Every row behind a key, in the order of the keys, page by page."""
    columns = ", ".join(quoted(column.name) for column in table.columns)
    keys = ", ".join(quoted(key) for key in table.key)
    places = [next(i for i, column in enumerate(table.columns) if column.name == key) for key in table.key]
    complete = " AND ".join(f"{quoted(key)} IS NOT NULL" for key in table.key)
    while True:
        behind = f" AND ({keys}) > ({', '.join('?' * len(table.key))})" if after is not None else ""
        statement = f"SELECT {columns} FROM {quoted(table.name)} WHERE {complete}{behind} ORDER BY {keys} LIMIT ?"
        page = connection.execute(statement, (*(after or ()), page_size)).fetchall()
        yield from page
        if len(page) < page_size:
            return
        after = [page[-1][place] for place in places]


def _without_key(connection: sqlite3.Connection, table: Table) -> int:
    """Rows with null in their key: SQLite allows them in all but integer primary keys."""
    declared = next(column.declared for column in table.columns if column.name == table.key[0])
    if table.rowid is None or (len(table.key) == 1 and declared.upper() == "INTEGER"):
        return 0
    missing = " OR ".join(f"{quoted(key)} IS NULL" for key in table.key)
    [count] = connection.execute(f"SELECT count(*) FROM {quoted(table.name)} WHERE {missing}").fetchone()
    return int(count)


def _newest(connection: sqlite3.Connection) -> int:
    if not capture.is_installed(connection):
        raise sqlite3.OperationalError("it is not watched yet")
    [newest_row] = connection.execute("SELECT coalesce(max(id), 0) FROM _drasi_changes").fetchone()
    return int(newest_row)


def _encode_place(place: _Place) -> str:
    after = (
        None
        if place.after is None
        else [{"base64": base64.b64encode(v).decode()} if isinstance(v, bytes) else v for v in place.after]
    )
    return base64.urlsafe_b64encode(msgspec.json.encode(_Place(place.table, after, place.skip))).decode()


def _decode_place(cursor: str) -> _Place:
    try:
        place = msgspec.json.decode(base64.urlsafe_b64decode(cursor), type=_Place)
        after = None if place.after is None else [base64.b64decode(v["base64"]) if isinstance(v, dict) else v for v in place.after]
    except (ValueError, KeyError, msgspec.MsgspecError) as error:
        raise BadRequest(f"'{cursor[:40]}' is no cursor of this source") from error
    return _Place(place.table, after, place.skip)
