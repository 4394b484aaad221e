from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from drasi.resources.resource import SOURCE
from drasi.resources.store import StoreUnavailable
from drasi.resources.store_memory import MemoryResourceStore
from drasi.resources.store_sqlite import SqliteResourceStore
from tests.resources.store_contract import StoreContract, source


class TestMemory(StoreContract):
    @pytest.fixture
    def store(self) -> MemoryResourceStore:
        return MemoryResourceStore()


class TestSqlite(StoreContract):
    @pytest.fixture
    async def store(self, tmp_path: Path) -> AsyncIterator[SqliteResourceStore]:
        store = await SqliteResourceStore.open(tmp_path / "drasi.db")
        yield store
        await store.close()

    async def test_it_is_there_after_a_restart(self, tmp_path: Path) -> None:
        first = await SqliteResourceStore.open(tmp_path / "drasi.db")
        stored = await first.put(source(host="x"))
        await first.close()
        second = await SqliteResourceStore.open(tmp_path / "drasi.db")
        assert await second.get(SOURCE, "a") == stored
        await second.close()

    async def test_a_full_disk_is_unavailable_and_nothing_is_half_written(self, tmp_path: Path) -> None:
        store = await SqliteResourceStore.open(tmp_path / "drasi.db")
        stored = await store.put(source(host="x"))
        # What a full disk does: no page more than there are.
        store._connection.execute("pragma max_page_count = 1")
        with pytest.raises(StoreUnavailable) as caught:
            await store.put(source(host="y" * 200_000))
        assert caught.value.retryable
        store._connection.execute("pragma max_page_count = 1000000")
        assert await store.get(SOURCE, "a") == stored
        assert (await store.put(source(host="z"))).version == 2
        await store.close()

    async def test_a_closed_store_is_unavailable(self, tmp_path: Path) -> None:
        store = await SqliteResourceStore.open(tmp_path / "drasi.db")
        await store.close()
        with pytest.raises(StoreUnavailable, match="is closed"):
            await store.get(SOURCE, "a")

    async def test_a_file_that_is_no_database(self, tmp_path: Path) -> None:
        (tmp_path / "drasi.db").write_bytes(b"this is no database" * 100)
        with pytest.raises(StoreUnavailable, match="cannot open"):
            await SqliteResourceStore.open(tmp_path / "drasi.db")

    async def test_others_use_the_file_as_well(self, tmp_path: Path) -> None:
        store = await SqliteResourceStore.open(tmp_path / "drasi.db")
        with sqlite3.connect(tmp_path / "drasi.db") as other:
            other.execute("create table mine (x)")
        other.close()
        assert (await store.put(source())).version == 1
        await store.close()
