"""The durable memory of sources: small texts by name, each replaced only by who has read it."""

from __future__ import annotations

import sqlite3
from functools import partial

from drasi.sources.port import StateConflict
from drasi.statefile import StateFile


class MemoryState:
    """For tests and sources that need not survive the process."""

    def __init__(self) -> None:
        self.values: dict[str, str] = {}

    async def get(self, name: str) -> str | None:
        return self.values.get(name)

    async def put(self, name: str, value: str, *, expected: str | None) -> None:
        if self.values.get(name) != expected:
            raise StateConflict(f"{name} is not what was read")
        self.values[name] = value

    async def clear(self) -> None:
        self.values.clear()


class FileState:
    """One source's rows of the table ``source_state`` in the state file. Make it with ``open``."""

    def __init__(self, file: StateFile, source_id: str) -> None:
        self._file = file
        self._source_id = source_id

    @classmethod
    async def open(cls, file: StateFile, source_id: str) -> FileState:
        await file.write(_prepare)
        return cls(file, source_id)

    async def get(self, name: str) -> str | None:
        return await self._file.read(partial(_get, source_id=self._source_id, name=name))

    async def put(self, name: str, value: str, *, expected: str | None) -> None:
        await self._file.write(partial(_put, source_id=self._source_id, name=name, value=value, expected=expected))

    async def clear(self) -> None:
        await self._file.write(partial(_clear, source_id=self._source_id))


def _prepare(connection: sqlite3.Connection) -> None:
    connection.execute(
        "CREATE TABLE IF NOT EXISTS source_state "
        "(source TEXT, name TEXT, value TEXT NOT NULL, PRIMARY KEY (source, name)) WITHOUT ROWID"
    )


def _get(connection: sqlite3.Connection, *, source_id: str, name: str) -> str | None:
    row = connection.execute("SELECT value FROM source_state WHERE source = ? AND name = ?", (source_id, name)).fetchone()
    return None if row is None else str(row[0])


def _put(connection: sqlite3.Connection, *, source_id: str, name: str, value: str, expected: str | None) -> None:
    if _get(connection, source_id=source_id, name=name) != expected:
        raise StateConflict(f"{name} of source {source_id} is not what was read: another process writes it too")
    connection.execute("INSERT OR REPLACE INTO source_state VALUES (?, ?, ?)", (source_id, name, value))


def _clear(connection: sqlite3.Connection, *, source_id: str) -> None:
    connection.execute("DELETE FROM source_state WHERE source = ?", (source_id,))
