"""The state file of the embedded profile: one SQLite connection on one thread, and what waits is committed together.

Bus, source state and other small durable things share it: whatever asks for a write while a commit is under way becomes part of
the next one, so that durability costs one sync per group and not one per caller.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

from drasi.errors import DrasiError

T = TypeVar("T")

_LARGEST_GROUP = 1_000
_DEFECTS = (sqlite3.IntegrityError, sqlite3.ProgrammingError, sqlite3.InterfaceError, sqlite3.DataError)

_DAMAGED = (sqlite3.SQLITE_NOTADB, sqlite3.SQLITE_CORRUPT)


class StateUnavailable(DrasiError):
    """The state file cannot be read or written now (locked, disk full, file gone)."""

    code = "StateUnavailable"
    retryable = True


@dataclass(slots=True)
class _Work:
    run: Callable[[sqlite3.Connection], Any]
    future: asyncio.Future[Any]
    writes: bool
    result: Any = None
    error: BaseException | None = None


class StateFile:
    """A SQLite file (WAL, ``synchronous=FULL``) that any number of tasks of one loop share.

    Every call gets a function of the connection. Functions run on the file's own thread, in the order of the calls, each within a
    savepoint: one that raises undoes only itself. They may run twice (when a group fails, its members are tried one by one), so
    they must do nothing but talk to the connection.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._loop = asyncio.get_running_loop()
        self._works: queue.SimpleQueue[_Work | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._serve, name=f"drasi-state {path.name}", daemon=True)
        self._opened: asyncio.Future[None] = self._loop.create_future()
        self._closed: asyncio.Future[None] = self._loop.create_future()
        self._closing = False

    @classmethod
    async def open(cls, path: str | Path) -> StateFile:
        """Opens the file, making it and its directory if need be.

        Raises:
            StateUnavailable: With the reason and what to do.
        """
        file = cls(Path(path))
        file._thread.start()
        try:
            await file._opened
        except BaseException:
            file._closing = True
            file._thread.join()
            raise
        return file

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs ``work`` and returns its result when it is durable.

        Raises:
            StateUnavailable: Nothing of ``work`` was kept.
        """
        return await self._submit(work, writes=True)  # type: ignore[no-any-return]

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs ``work``, behind every write that was asked for before it."""
        return await self._submit(work, writes=False)  # type: ignore[no-any-return]

    async def close(self) -> None:
        """Finishes what was asked for, then ends the thread. A second call does nothing."""
        if not self._closing:
            self._closing = True
            self._works.put(None)
        await asyncio.shield(self._closed)
        self._thread.join()

    def _submit(self, work: Callable[[sqlite3.Connection], Any], *, writes: bool) -> asyncio.Future[Any]:
        if self._closing:
            raise StateUnavailable(f"{self.path} is closed")
        future: asyncio.Future[Any] = self._loop.create_future()
        self._works.put(_Work(work, future, writes))
        return future

    def _serve(self) -> None:
        try:
            connection = self._connect()
        except (sqlite3.Error, OSError) as error:
            damaged = getattr(error, "sqlite_errorcode", None) in _DAMAGED
            hint = (
                "restore it from a copy, or move it away (drasi run --reset forgets the whole state)"
                if damaged
                else "check that the directory exists and may be written"
            )
            failure = StateUnavailable(f"cannot open {self.path}: {error}", hint=hint)
            self._call(lambda: self._opened.set_exception(failure))
            return
        self._call(lambda: self._opened.set_result(None))
        while True:
            group = self._next_group()
            works = [work for work in group if work is not None]
            if works:
                self._run(connection, works)
                self._call(lambda works=works: _settle(works))  # type: ignore[misc]
            if len(works) < len(group):
                break
        connection.close()
        self._call(lambda: self._closed.set_result(None))

    def _connect(self) -> sqlite3.Connection:
        self.path.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(self.path, timeout=10, isolation_level=None, cached_statements=256)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=FULL")
        return connection

    def _next_group(self) -> list[_Work | None]:
        group = [self._works.get()]
        while group[-1] is not None and len(group) < _LARGEST_GROUP:
            try:
                group.append(self._works.get_nowait())
            except queue.Empty:
                break
        return group

    def _run(self, connection: sqlite3.Connection, works: list[_Work]) -> None:
        try:
            _transaction(connection, works)
        except sqlite3.Error as error:
            _abandon(connection)
            if len(works) == 1:
                works[0].error = self._unavailable(error)
                return
            for work in works:
                self._run(connection, [work])
        for work in works:
            if isinstance(work.error, sqlite3.Error) and not isinstance(work.error, _DEFECTS):
                work.error = self._unavailable(work.error)

    def _unavailable(self, error: sqlite3.Error) -> StateUnavailable:
        text = str(error)
        hint = (
            "free some space on its disk" if "full" in text else "see whether another program holds it" if "locked" in text else ""
        )
        return StateUnavailable(f"cannot use the state file {self.path}: {text}", hint=hint)

    def _call(self, callback: Callable[[], None]) -> None:
        try:
            self._loop.call_soon_threadsafe(callback)
        except RuntimeError:  # the loop ended before its file was closed: nobody waits any more
            return


def _transaction(connection: sqlite3.Connection, works: list[_Work]) -> None:
    """Runs the works as one transaction; raises sqlite3.Error when the whole of it failed."""
    connection.execute("BEGIN IMMEDIATE" if any(work.writes for work in works) else "BEGIN")
    for work in works:
        work.error = None
        connection.execute("SAVEPOINT work")
        try:
            work.result = work.run(connection)
        except Exception as error:
            if not connection.in_transaction:  # SQLite itself rolled everything back, as it does when the disk is full
                raise sqlite3.OperationalError(str(error)) from error
            connection.execute("ROLLBACK TO work")
            work.error = error
        connection.execute("RELEASE work")
    connection.execute("COMMIT")


def _abandon(connection: sqlite3.Connection) -> None:
    if connection.in_transaction:
        connection.execute("ROLLBACK")


def _settle(works: list[_Work]) -> None:
    for work in works:
        if work.future.done():
            continue
        if work.error is not None:
            work.future.set_exception(work.error)
        else:
            work.future.set_result(work.result)
