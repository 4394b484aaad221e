from __future__ import annotations

import asyncio
import itertools
import sqlite3
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from drasi.log.port import LogDamaged, LogFull, LogUnavailable
from drasi.log.sqlite import SQLiteLog
from tests.log.contract import LogContract


class _Store:
    def __init__(self, path: Path) -> None:
        self.path = path

    def open(self, *, entry_limit: int = 3_500_000) -> SQLiteLog:
        return SQLiteLog(self.path, entry_limit=entry_limit, poll_s=0.001)


class TestSQLiteLog(LogContract):
    @pytest.fixture
    def make_store(self, tmp_path: Path) -> Callable[[], _Store]:
        names = itertools.count()
        return lambda: _Store(tmp_path / f"log-{next(names)}.db")

    @pytest.fixture
    def store(self, make_store: Callable[[], _Store]) -> _Store:
        return make_store()


async def _fill(log: SQLiteLog) -> None:
    for number in itertools.count(1):
        await log.create(number, bytes(5000))


async def test_it_is_durable_and_in_wal_with_full_synchronisation(tmp_path: Path) -> None:
    log = SQLiteLog(tmp_path / "deep" / "log.db")
    await log.create(1, b"1")
    assert log.durable
    connection = log._connection
    assert connection is not None
    pragmas = [connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("journal_mode", "synchronous")]
    assert pragmas == ["wal", 2]
    await log.close()
    again = SQLiteLog(tmp_path / "deep" / "log.db")
    assert [entry.data for entry in await again.read(0, 1)] == [b"1"]
    await again.close()


async def test_a_full_disk_is_told_and_nothing_is_lost(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    small = SQLiteLog(path, max_pages=40)
    with pytest.raises(LogFull) as raised:
        await _fill(small)
    number = await small.head()
    assert raised.value.retryable
    assert "make room" in raised.value.hint
    assert number > 3
    with pytest.raises(LogFull):
        await small.put("document", bytes(500_000))
    assert await small.get("document") is None
    await small.close()
    large = SQLiteLog(path)
    await large.create(number + 1, bytes(5000))
    assert len(await large.read(0, 1000)) == number + 1
    await large.close()


async def test_a_full_disk_heals_when_there_is_room_again(tmp_path: Path) -> None:
    log = SQLiteLog(tmp_path / "log.db", max_pages=40)
    with pytest.raises(LogFull):
        await _fill(log)
    number = await log.head()
    await log.trim(number - 1)
    await log.create(number + 1, bytes(5000))
    await log.close()


async def test_a_locked_database_is_told_and_does_not_block_the_loop(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    log = SQLiteLog(path, busy_s=0.01)
    await log.create(1, b"1")
    other = sqlite3.connect(path, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LogUnavailable) as raised:
        await log.create(2, b"2")
    assert raised.value.retryable
    assert "lock" in raised.value.hint
    assert not isinstance(raised.value, LogFull)
    assert [entry.data for entry in await log.read(0, 5)] == [b"1"]
    other.execute("ROLLBACK")
    await log.create(2, b"2")
    await log.close()

    patient = SQLiteLog(path, busy_s=60)
    assert await patient.head() == 2
    other.execute("BEGIN IMMEDIATE")
    waiting = asyncio.create_task(patient.create(3, b"3"))
    for _ in range(100):  # the loop goes on while the thread waits for the lock
        await asyncio.sleep(0)
    assert not waiting.done()
    other.execute("ROLLBACK")
    other.close()
    await waiting
    await patient.close()


async def test_a_file_that_is_no_log_is_told(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    path.write_bytes(b"this is no database, though it is long enough to be one" * 100)
    log = SQLiteLog(path)
    with pytest.raises(LogDamaged, match=r"log\.db"):
        await log.head()
    await log.close()


async def test_a_log_of_a_newer_release_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "log.db"
    with sqlite3.connect(path) as connection:
        connection.execute("PRAGMA user_version = 99")
    connection.close()
    log = SQLiteLog(path)
    with pytest.raises(LogDamaged, match="version 99"):
        await log.create(1, b"")
    await log.close()


async def test_a_directory_that_cannot_be_made_is_told(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    log = SQLiteLog(tmp_path / "file" / "log.db")
    with pytest.raises(LogUnavailable, match="cannot be made"):
        await log.head()
    await log.close()


async def test_close_leaves_no_thread(tmp_path: Path) -> None:
    before = set(threading.enumerate())
    logs = [SQLiteLog(tmp_path / "log.db") for _ in range(3)]
    await asyncio.gather(*(log.head() for log in logs))
    assert len(set(threading.enumerate()) - before) == 3
    pending = asyncio.gather(*(log.create(1, b"1") for log in logs), return_exceptions=True)
    await asyncio.sleep(0)
    for log in logs:
        await log.close()
    assert sum(outcome is None for outcome in await pending) == 1
    assert set(threading.enumerate()) == before
