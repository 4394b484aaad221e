"""Resources in two tables of the state file."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TypeVar

import msgspec

from drasi.resources.resource import Resource
from drasi.resources.store import KEPT_VERSIONS, Conflict, StoreUnavailable

T = TypeVar("T")

_SCHEMA = """
create table if not exists resource_versions (
  kind text not null, name text not null, version integer not null, current integer not null, body blob not null,
  primary key (kind, name, version)
) without rowid;
create table if not exists resource_notes (name text primary key, body text not null) without rowid;
"""

_encode = msgspec.json.Encoder().encode
_decode = msgspec.json.Decoder(Resource).decode


class SqliteResourceStore:
    """A ``ResourceStore`` in a SQLite file that others may use as well. Use ``open``."""

    def __init__(self, connection: sqlite3.Connection, thread: ThreadPoolExecutor, file: Path) -> None:
        self._connection = connection
        self._thread = thread
        self._file = file
        self._closed = False

    @classmethod
    async def open(cls, file: Path) -> SqliteResourceStore:
        """Opens or makes the file and its tables.

        Raises:
            StoreUnavailable: The file cannot be opened.
        """
        thread = ThreadPoolExecutor(1, thread_name_prefix="resources")

        def connect() -> sqlite3.Connection:
            connection = sqlite3.connect(file, timeout=5, isolation_level=None, check_same_thread=False)
            connection.execute("pragma journal_mode = wal")
            connection.execute("pragma synchronous = full")
            connection.executescript(_SCHEMA)
            return connection

        try:
            connection = await asyncio.get_running_loop().run_in_executor(thread, connect)
        except sqlite3.Error as error:
            thread.shutdown()
            raise StoreUnavailable(f"cannot open {file}: {error}", hint="check that the directory can be written") from error
        return cls(connection, thread, file)

    async def get(self, kind: str, name: str) -> Resource | None:
        return await self._run(lambda: self._current(kind, name))

    async def of_kind(self, kind: str) -> list[Resource]:
        def read() -> list[Resource]:
            rows = self._connection.execute(
                "select body from resource_versions where kind = ? and current = 1 order by name", (kind,)
            ).fetchall()
            return [_decode(body) for (body,) in rows]

        return await self._run(read)

    async def put(self, resource: Resource, *, expected: int | None = None) -> Resource:
        def write() -> Resource:
            self._expect(resource.kind, resource.name, expected)
            key = (resource.kind, resource.name)
            (last,) = self._connection.execute(
                "select coalesce(max(version), 0) from resource_versions where kind = ? and name = ?", key
            ).fetchone()
            stored = msgspec.structs.replace(resource, version=last + 1)
            self._connection.execute("update resource_versions set current = 0 where kind = ? and name = ? and current = 1", key)
            self._connection.execute(
                "insert into resource_versions values (?, ?, ?, 1, ?)", (*key, stored.version, _encode(stored))
            )
            self._connection.execute(
                "delete from resource_versions where kind = ? and name = ? and version <= ?", (*key, stored.version - KEPT_VERSIONS)
            )
            return stored

        return await self._run(write, writes=True)

    async def revise(self, resource: Resource) -> None:
        def write() -> None:
            self._connection.execute(
                "update resource_versions set body = ? where kind = ? and name = ? and version = ? and current = 1",
                (_encode(resource), resource.kind, resource.name, resource.version),
            )

        await self._run(write, writes=True)

    async def delete(self, kind: str, name: str, *, expected: int | None = None) -> Resource | None:
        def write() -> Resource | None:
            self._expect(kind, name, expected)
            stored = self._current(kind, name)
            self._connection.execute("update resource_versions set current = 0 where kind = ? and name = ?", (kind, name))
            return stored

        return await self._run(write, writes=True)

    async def versions(self, kind: str, name: str) -> list[Resource]:
        def read() -> list[Resource]:
            rows = self._connection.execute(
                "select body from resource_versions where kind = ? and name = ? order by version desc", (kind, name)
            ).fetchall()
            return [_decode(body) for (body,) in rows]

        return await self._run(read)

    async def note(self, name: str) -> str | None:
        def read() -> str | None:
            row = self._connection.execute("select body from resource_notes where name = ?", (name,)).fetchone()
            return None if row is None else str(row[0])

        return await self._run(read)

    async def set_note(self, name: str, text: str | None) -> None:
        def write() -> None:
            if text is None:
                self._connection.execute("delete from resource_notes where name = ?", (name,))
            else:
                self._connection.execute("insert or replace into resource_notes values (?, ?)", (name, text))

        await self._run(write, writes=True)

    async def close(self) -> None:
        """Closes the file and ends the thread."""
        self._closed = True
        await asyncio.get_running_loop().run_in_executor(self._thread, self._connection.close)
        self._thread.shutdown()

    def _current(self, kind: str, name: str) -> Resource | None:
        row = self._connection.execute(
            "select body from resource_versions where kind = ? and name = ? and current = 1", (kind, name)
        ).fetchone()
        return None if row is None else _decode(row[0])

    def _expect(self, kind: str, name: str, expected: int | None) -> None:
        if expected is None:
            return
        stored = self._current(kind, name)
        if expected != (stored.version if stored is not None else 0):
            raise Conflict

    async def _run(self, work: Callable[[], T], *, writes: bool = False) -> T:
        def transaction() -> T:
            # Immediate: two processes that read first and write then would both believe the version they read.
            self._connection.execute("begin immediate" if writes else "begin")
            try:
                result = work()
            except BaseException:
                # A full disk has rolled back already.
                if self._connection.in_transaction:
                    self._connection.execute("rollback")
                raise
            self._connection.execute("commit")
            return result

        try:
            return await asyncio.get_running_loop().run_in_executor(self._thread, transaction)
        except RuntimeError as error:
            if not self._closed:
                raise
            raise StoreUnavailable(f"{self._file} is closed", hint="the process is stopping") from error
        except sqlite3.Error as error:
            raise StoreUnavailable(
                f"cannot use {self._file}: {error}", hint="free the disk or the lock; it is tried again"
            ) from error
