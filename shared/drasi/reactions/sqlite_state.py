"""Reactions' state in tables of a SQLite file, which may be that of others too (the state directory's ``drasi.db``)."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

import msgspec

from drasi.reactions.state import (
    DeadLetter,
    Progress,
    StateConflict,
    StateUnavailable,
    decode_progress,
    encode_progress,
)

T = TypeVar("T")

_SCHEMA = """
CREATE TABLE IF NOT EXISTS reaction_progress (
    reaction TEXT NOT NULL, query TEXT NOT NULL, progress TEXT NOT NULL, PRIMARY KEY (reaction, query)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS reaction_dead_letters (
    number INTEGER PRIMARY KEY, reaction TEXT NOT NULL, id TEXT NOT NULL, query TEXT NOT NULL, letter BLOB NOT NULL,
    UNIQUE (reaction, id)
);
"""


class SqliteStates:
    """The states of all reactions in one file.

    One connection, used under a lock by whatever thread has work for it: SQLite blocks, the event loop does not.
    """

    def __init__(self, path: Path | str, *, busy_s: float = 5.0) -> None:
        self._path = str(path)
        self._busy_s = busy_s
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None

    def of(self, reaction_id: str) -> SqliteState:
        """The state of one reaction."""
        return SqliteState(self, reaction_id)

    async def run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Runs ``work`` in a transaction of its own, on a thread."""
        # A write that has begun is finished, also when its caller is cancelled: the answer must be known.
        task = asyncio.ensure_future(asyncio.to_thread(self._run, work))
        try:
            return await asyncio.shield(task)
        except asyncio.CancelledError:
            await asyncio.wait({task})
            if not task.cancelled():
                task.exception()
            raise

    def _run(self, work: Callable[[sqlite3.Connection], T]) -> T:
        with self._lock:
            try:
                connection = self._open()
                connection.execute("BEGIN IMMEDIATE")
                try:
                    result = work(connection)
                    connection.execute("COMMIT")
                except BaseException:
                    if connection.in_transaction:
                        connection.execute("ROLLBACK")
                    raise
            except sqlite3.Error as error:
                raise StateUnavailable(
                    f"the state in {self._path} cannot be used: {error}",
                    hint="free some disk space, or end the program that locks the file; it is tried again",
                ) from error
            return result

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            connection = sqlite3.connect(self._path, timeout=self._busy_s, isolation_level=None, check_same_thread=False)
            try:
                connection.execute("PRAGMA journal_mode=WAL")
                connection.execute("PRAGMA synchronous=FULL")
                connection.executescript(_SCHEMA)
            except BaseException:
                connection.close()
                raise
            self._connection = connection
        return self._connection

    async def close(self) -> None:
        await asyncio.to_thread(self._close)

    def _close(self) -> None:
        with self._lock:
            if self._connection is not None:
                self._connection.close()
                self._connection = None


class SqliteState:
    """``ReactionState`` of one reaction; ``SqliteStates.of`` makes it."""

    def __init__(self, states: SqliteStates, reaction_id: str) -> None:
        self._states = states
        self._reaction = reaction_id

    async def queries(self) -> list[str]:
        rows = await self._states.run(
            lambda db: db.execute(
                "SELECT query FROM reaction_progress WHERE reaction = ? ORDER BY query", (self._reaction,)
            ).fetchall()
        )
        return [row[0] for row in rows]

    async def get(self, query_id: str) -> Progress | None:
        row = await self._states.run(
            lambda db: db.execute(
                "SELECT progress FROM reaction_progress WHERE reaction = ? AND query = ?", (self._reaction, query_id)
            ).fetchone()
        )
        return None if row is None else decode_progress(row[0])

    async def put(self, query_id: str, progress: Progress, *, expected: Progress | None) -> None:
        text = encode_progress(progress).decode()

        def write(db: sqlite3.Connection) -> int:
            if expected is None:
                return db.execute(
                    "INSERT INTO reaction_progress VALUES (?, ?, ?) ON CONFLICT DO NOTHING", (self._reaction, query_id, text)
                ).rowcount
            return db.execute(
                "UPDATE reaction_progress SET progress = ? WHERE reaction = ? AND query = ? AND progress = ?",
                (text, self._reaction, query_id, encode_progress(expected).decode()),
            ).rowcount

        if await self._states.run(write) != 1:
            raise StateConflict(f"the delivery state of '{query_id}' was written by another instance")

    async def forget(self, query_id: str) -> None:
        def drop(db: sqlite3.Connection) -> None:
            db.execute("DELETE FROM reaction_progress WHERE reaction = ? AND query = ?", (self._reaction, query_id))
            db.execute("DELETE FROM reaction_dead_letters WHERE reaction = ? AND query = ?", (self._reaction, query_id))

        await self._states.run(drop)

    async def add_dead_letter(self, letter: DeadLetter) -> None:
        values = (self._reaction, letter.id, letter.query_id, msgspec.json.encode(letter))
        await self._states.run(
            lambda db: db.execute(
                "INSERT INTO reaction_dead_letters (reaction, id, query, letter) VALUES (?, ?, ?, ?) ON CONFLICT DO NOTHING", values
            )
        )

    async def dead_letters(self) -> list[DeadLetter]:
        rows = await self._states.run(
            lambda db: db.execute(
                "SELECT letter FROM reaction_dead_letters WHERE reaction = ? ORDER BY number", (self._reaction,)
            ).fetchall()
        )
        return [msgspec.json.decode(row[0], type=DeadLetter) for row in rows]

    async def count_dead_letters(self) -> int:
        row = await self._states.run(
            lambda db: db.execute("SELECT count(*) FROM reaction_dead_letters WHERE reaction = ?", (self._reaction,)).fetchone()
        )
        return int(row[0])

    async def drop_dead_letter(self, letter_id: str) -> bool:
        return await self._states.run(
            lambda db: (
                db.execute("DELETE FROM reaction_dead_letters WHERE reaction = ? AND id = ?", (self._reaction, letter_id)).rowcount
                == 1
            )
        )
