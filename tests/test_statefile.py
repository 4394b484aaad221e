"""The state file: one connection, one thread, groups of writes."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable
from pathlib import Path

import pytest

from drasi.statefile import StateFile, StateUnavailable


@pytest.fixture
async def file(tmp_path: Path) -> AsyncIterator[StateFile]:
    made = await StateFile.open(tmp_path / "deep" / "state.db")
    await made.write(lambda connection: connection.execute("CREATE TABLE t (n INTEGER PRIMARY KEY, text TEXT)"))
    yield made
    await made.close()


def insert(number: int, text: str = "") -> Callable[[sqlite3.Connection], int]:
    return lambda connection: connection.execute("INSERT INTO t VALUES (?, ?)", (number, text)).rowcount


def numbers(connection: sqlite3.Connection) -> list[int]:
    return [number for (number,) in connection.execute("SELECT n FROM t ORDER BY n")]


async def test_it_is_durable_and_journalled(file: StateFile) -> None:
    assert await file.read(lambda c: c.execute("PRAGMA journal_mode").fetchone()) == ("wal",)
    assert await file.read(lambda c: c.execute("PRAGMA synchronous").fetchone()) == (2,)


async def test_what_waits_is_committed_together_and_reads_follow_writes(file: StateFile) -> None:
    asked = [file.write(insert(number)) for number in range(50)]
    *_, seen = await asyncio.gather(*asked, file.read(numbers))
    assert seen == list(range(50))
    other = sqlite3.connect(file.path)
    assert numbers(other) == list(range(50))
    other.close()


async def test_one_that_raises_undoes_only_itself(file: StateFile) -> None:
    def half(connection: sqlite3.Connection) -> None:
        connection.execute("INSERT INTO t VALUES (100, '')")
        raise ZeroDivisionError

    outcomes = await asyncio.gather(
        file.write(insert(1)),
        file.write(half),
        file.write(insert(1)),
        file.write(insert(2)),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [int, ZeroDivisionError, sqlite3.IntegrityError, int]
    assert await file.read(numbers) == [1, 2]


async def test_a_full_disk_fails_what_does_not_fit_and_nothing_else(file: StateFile) -> None:
    pages = await file.read(lambda c: c.execute("PRAGMA page_count").fetchone()[0])
    await file.read(lambda c: c.execute(f"PRAGMA max_page_count = {pages + 4}").fetchone())
    outcomes = await asyncio.gather(
        file.write(insert(1)),
        file.write(insert(2, "x" * 1_000_000)),
        file.write(insert(3)),
        return_exceptions=True,
    )
    assert [type(outcome) for outcome in outcomes] == [int, StateUnavailable, int]
    assert isinstance(outcomes[1], StateUnavailable)
    assert outcomes[1].retryable
    assert outcomes[1].hint == "free some space on its disk"
    assert await file.read(numbers) == [1, 3]


async def test_a_file_that_cannot_be_opened_says_why(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    with pytest.raises(StateUnavailable, match="cannot open"):
        await StateFile.open(tmp_path / "file" / "state.db")
    (tmp_path / "no.db").write_bytes(b"no database" * 500)
    with pytest.raises(StateUnavailable, match="not a database") as raised:
        await StateFile.open(tmp_path / "no.db")
    assert "--reset" in raised.value.hint


async def test_closing_leaves_no_thread_and_refuses_what_comes_later(tmp_path: Path) -> None:
    file = await StateFile.open(tmp_path / "state.db")
    last = asyncio.ensure_future(file.write(lambda c: c.execute("CREATE TABLE t (n)")))
    await asyncio.sleep(0)
    await file.close()
    await file.close()
    await last
    assert not [thread for thread in threading.enumerate() if "drasi-state" in thread.name]
    with pytest.raises(StateUnavailable, match="closed"):
        await file.read(numbers)
