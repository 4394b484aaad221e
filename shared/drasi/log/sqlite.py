"""A log in one SQLite file: WAL, ``synchronous=FULL``, every call on the handle's own thread.

A commit costs one statement and one sync of the write-ahead log. Several handles, also of several processes, may work on one file.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypeVar

from drasi.errors import DrasiError
from drasi.log.port import (
    ENTRY_LIMIT,
    EntryExists,
    EntryTooLarge,
    LogDamaged,
    LogEntry,
    LogFull,
    LogTrimmed,
    LogUnavailable,
)

T = TypeVar("T")

_READ_BYTES = 8 * 1024 * 1024
_SLICE = 256
_VERSION = 1
_SCHEMA = (
    "CREATE TABLE IF NOT EXISTS entry (number INTEGER PRIMARY KEY, data BLOB NOT NULL)",
    "CREATE TABLE IF NOT EXISTS trimmed (only INTEGER PRIMARY KEY CHECK (only = 1), through INTEGER NOT NULL)",
    "INSERT OR IGNORE INTO trimmed VALUES (1, 0)",
    "CREATE TABLE IF NOT EXISTS document (id INTEGER PRIMARY KEY, name TEXT NOT NULL UNIQUE, data BLOB NOT NULL)",
    f"PRAGMA user_version = {_VERSION}",
)
_HEAD = "max(coalesce((SELECT max(number) FROM entry), 0), (SELECT through FROM trimmed))"
_BUSY = {sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED}
_DAMAGED = {sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB}


class SQLiteLog:
    """One instance's handle of the log in ``path``.

    Args:
        path: The file; made with its directory if it is not there.
        busy_s: How long a call waits for another program's lock before it is ``LogUnavailable``.
        poll_s: How often a follower looks for entries of other processes.
        max_pages: Bound of the file (``PRAGMA max_page_count``); None: the disk's.
    """

    durable = True
    retain_bytes = 2_000_000_000
    retain_s = 0
    problem: DrasiError | None = None

    def __init__(
        self,
        path: str | Path,
        *,
        entry_limit: int = ENTRY_LIMIT,
        busy_s: float = 5.0,
        poll_s: float = 0.5,
        max_pages: int | None = None,
    ) -> None:
        self.path = Path(path)
        self.entry_limit = entry_limit
        self._busy_s = busy_s
        self._poll_s = poll_s
        self._max_pages = max_pages
        self._connection: sqlite3.Connection | None = None
        self._calls: queue.SimpleQueue[Callable[[], None] | None] = queue.SimpleQueue()
        self._thread: threading.Thread | None = None
        self._closed = False

    # --- the port ---

    async def create(self, number: int, data: bytes) -> None:
        if len(data) > self.entry_limit:
            raise EntryTooLarge(f"entry {number} has {len(data)} bytes; the log takes {self.entry_limit}")

        def call(connection: sqlite3.Connection) -> int:
            statement = f"INSERT INTO entry SELECT :number, :data WHERE :number = 1 + {_HEAD}"
            return connection.execute(statement, {"number": number, "data": data}).rowcount

        if await self._run(call) != 1:
            raise EntryExists(f"entry {number} is not the one after the head of {self.path}")

    async def read(self, after: int, limit: int) -> list[LogEntry]:
        def call(connection: sqlite3.Connection) -> list[LogEntry]:
            connection.execute("BEGIN")
            try:
                (through,) = connection.execute("SELECT through FROM trimmed").fetchone()
                if after < through:
                    raise LogTrimmed(after, through + 1)
                found: list[LogEntry] = []
                size = 0
                rows = connection.execute("SELECT number, data FROM entry WHERE number > ? ORDER BY number LIMIT ?", (after, limit))
                for number, data in rows:
                    size += len(data)
                    if found and size > _READ_BYTES:
                        break
                    if number != after + len(found) + 1:
                        raise LogDamaged(f"entry {after + len(found) + 1} is missing in {self.path}")
                    found.append(LogEntry(number, data))
                rows.close()
                return found
            finally:
                connection.execute("COMMIT")

        return await self._run(call)

    async def head(self) -> int:
        return await self._run(lambda connection: int(connection.execute(f"SELECT {_HEAD}").fetchone()[0]))

    async def earliest(self) -> int:
        return 1 + await self._run(lambda connection: int(connection.execute("SELECT through FROM trimmed").fetchone()[0]))

    async def trim(self, through: int) -> None:
        def mark(connection: sqlite3.Connection) -> int:
            statement = f"UPDATE trimmed SET through = max(through, min(?, {_HEAD}))"  # noqa: S608 -- a constant
            connection.execute(statement, (through,))
            return int(connection.execute("SELECT through FROM trimmed").fetchone()[0])

        marked = await self._run(mark)

        def remove(connection: sqlite3.Connection) -> int:
            statement = "DELETE FROM entry WHERE number IN (SELECT number FROM entry WHERE number <= ? ORDER BY number LIMIT ?)"
            return connection.execute(statement, (marked, _SLICE)).rowcount

        # In slices: entries are created in between.
        while await self._run(remove):
            pass

    async def changed(self, after: int) -> None:
        # Polled: the other writer may be another process.
        while await self.head() <= after:  # noqa: ASYNC110
            await asyncio.sleep(self._poll_s)

    async def put(self, name: str, data: bytes) -> None:
        statement = "INSERT INTO document (name, data) VALUES (?, ?) ON CONFLICT (name) DO UPDATE SET data = excluded.data"
        await self._run(lambda connection: connection.execute(statement, (name, data)).rowcount)

    async def get(self, name: str) -> bytes | None:
        def call(connection: sqlite3.Connection) -> bytes | None:
            row = connection.execute("SELECT data FROM document WHERE name = ?", (name,)).fetchone()
            return row[0] if row is not None else None

        return await self._run(call)

    async def names(self, prefix: str) -> list[str]:
        statement = "SELECT name FROM document WHERE name >= ? AND name < ? ORDER BY name"
        beyond = prefix + chr(0x10FFFF)
        return await self._run(lambda connection: [name for (name,) in connection.execute(statement, (prefix, beyond))])

    async def drop(self, names: Sequence[str]) -> None:
        for start in range(0, len(names), _SLICE):
            some = [(name,) for name in names[start : start + _SLICE]]

            def call(connection: sqlite3.Connection, some: list[tuple[str]] = some) -> None:
                connection.execute("BEGIN IMMEDIATE")
                connection.executemany("DELETE FROM document WHERE name = ?", some)
                connection.execute("COMMIT")

            await self._run(call)

    async def delete(self) -> None:
        await self._shut(self._remove)

    async def close(self) -> None:
        await self._shut(self._disconnect)

    # --- the thread ---

    async def _run(self, call: Callable[[sqlite3.Connection], T]) -> T:
        if self._closed:
            raise LogUnavailable(f"the log {self.path} is closed")
        self._started()
        done: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        self._calls.put(self._job(done, lambda: self._guarded(call)))
        return await done

    async def _shut(self, last: Callable[[], None]) -> None:
        if self._closed:
            return
        self._closed = True
        thread = self._started()
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._calls.put(self._job(done, last))
        self._calls.put(None)
        try:
            await done
        finally:
            # The thread ends right after `done`; nothing else is queued.
            thread.join()

    def _started(self) -> threading.Thread:
        if self._thread is None:
            self._thread = threading.Thread(target=self._work, name=f"log {self.path.name}", daemon=True)
            self._thread.start()
        return self._thread

    def _work(self) -> None:
        while (call := self._calls.get()) is not None:
            call()

    @staticmethod
    def _job(done: asyncio.Future[T], call: Callable[[], T]) -> Callable[[], None]:
        loop = done.get_loop()

        def succeed(value: T) -> None:
            if not done.done():
                done.set_result(value)

        def fail(error: BaseException) -> None:
            if not done.done():
                done.set_exception(error)

        def job() -> None:
            # A loop that was closed meanwhile has nobody left who waits.
            with contextlib.suppress(RuntimeError):
                try:
                    value = call()
                except BaseException as error:
                    loop.call_soon_threadsafe(fail, error)
                else:
                    loop.call_soon_threadsafe(succeed, value)

        return job

    def _guarded(self, call: Callable[[sqlite3.Connection], T]) -> T:
        try:
            return call(self._connect())
        except sqlite3.Error as error:
            raise self._told(error) from error
        finally:
            if self._connection is not None and self._connection.in_transaction:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")

    def _connect(self) -> sqlite3.Connection:
        if self._connection is not None:
            return self._connection
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LogUnavailable(
                f"the directory of the log {self.path} cannot be made: {error}", hint="check the path and its rights"
            ) from error
        connection = sqlite3.connect(self.path, timeout=self._busy_s, isolation_level=None, check_same_thread=False)
        try:
            self._write_ahead(connection)
            connection.execute("PRAGMA synchronous = FULL")
            if self._max_pages is not None:
                connection.execute(f"PRAGMA max_page_count = {int(self._max_pages)}")
            (version,) = connection.execute("PRAGMA user_version").fetchone()
            if version not in (0, _VERSION):
                raise LogDamaged(
                    f"{self.path} is a log of version {version}; this release reads version {_VERSION}",
                    hint="run the release that wrote it, or a newer one",
                )
            if version == 0:
                connection.execute("BEGIN IMMEDIATE")
                for statement in _SCHEMA:
                    connection.execute(statement)
                connection.execute("COMMIT")
        except BaseException:
            connection.close()
            raise
        self._connection = connection
        return connection

    def _write_ahead(self, connection: sqlite3.Connection) -> None:
        """Switches a new file to WAL. Of handles that do so at once SQLite tells some that they are locked out, without waiting."""
        deadline = time.monotonic() + self._busy_s
        while True:
            try:
                connection.execute("PRAGMA journal_mode = WAL")
            except sqlite3.OperationalError as error:
                if error.sqlite_errorcode & 0xFF not in _BUSY or time.monotonic() >= deadline:
                    raise
                time.sleep(0.005)  # on the handle's own thread
            else:
                return

    def _disconnect(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _remove(self) -> None:
        self._disconnect()
        for suffix in ("", "-wal", "-shm"):
            Path(f"{self.path}{suffix}").unlink(missing_ok=True)

    def _told(self, error: sqlite3.Error) -> DrasiError:
        """The error as the port names it, with what to do."""
        code = getattr(error, "sqlite_errorcode", 0) & 0xFF
        if code == sqlite3.SQLITE_FULL:
            return LogFull(
                f"no room for the log {self.path}: {error}",
                hint="make room on the disk that holds it (nothing is lost: it goes on by itself)",
            )
        if code in _BUSY:
            return LogUnavailable(
                f"the log {self.path} is locked: {error}",
                hint="another program holds a lock on the file; close it (nothing is lost: it goes on by itself)",
            )
        if code in _DAMAGED:
            return LogDamaged(
                f"{self.path} cannot be read: {error}", hint="restore the file from a copy, or remove it and bootstrap anew"
            )
        return LogUnavailable(f"the log {self.path} cannot be used: {error}", hint="check the disk and the rights of the file")
