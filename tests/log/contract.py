"""What every log must pass. A log's test module makes a subclass of ``LogContract`` with a ``store`` fixture."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator
from typing import Protocol

import pytest

from drasi.log.port import EntryExists, EntryTooLarge, Log, LogTrimmed, LogUnavailable
from drasi.log.snapshots import Manifest, SnapshotTorn, SnapshotWriter, manifests, sections, sparse, sweep
from tests.log.faults import Crash, FaultyLog


class Store(Protocol):
    """One log, of which any number of handles can be had."""

    def open(self, *, entry_limit: int = 3_500_000) -> Log: ...


async def snapshot(log: Log, number: int, content: dict[str, bytes], previous: Manifest | None = None) -> Manifest:
    writer = SnapshotWriter(log, number, "test")
    thin = sparse(previous) if previous is not None else frozenset()
    for name, data in content.items():
        if previous is not None and name in previous.sections and name not in thin and data == b"same":
            writer.keep(name, previous)
        else:
            await writer.add(name, data)
    return await writer.finish(version=1, at_ns=number, written=number, trail=[])


async def newest(log: Log) -> tuple[int, dict[str, bytes]] | None:
    """What recovery does: the newest snapshot that is whole."""
    for manifest in await manifests(log):
        try:
            return manifest.number, {name: data async for name, data in sections(log, manifest)}
        except SnapshotTorn:
            continue
    return None


class LogContract:
    @pytest.fixture
    async def log(self, store: Store) -> AsyncIterator[Log]:
        log = store.open()
        yield log
        await log.close()

    # --- entries ---

    async def test_an_empty_log(self, log: Log) -> None:
        assert (await log.head(), await log.earliest(), await log.read(0, 10)) == (0, 1, [])

    async def test_entries_are_read_in_order_after_a_number(self, log: Log) -> None:
        for number in range(1, 6):
            await log.create(number, b"entry %d" % number)
        assert [(entry.number, entry.data) for entry in await log.read(2, 2)] == [(3, b"entry 3"), (4, b"entry 4")]
        assert [entry.number for entry in await log.read(0, 100)] == [1, 2, 3, 4, 5]
        assert await log.read(5, 100) == []
        assert await log.head() == 5

    async def test_bytes_come_back_as_they_were(self, log: Log) -> None:
        data = bytes(range(256)) * 3
        await log.create(1, data)
        await log.create(2, b"")
        assert [entry.data for entry in await log.read(0, 2)] == [data, b""]

    @pytest.mark.parametrize("number", [0, 1, 2, 4, 40, -1])
    async def test_only_the_number_after_the_head_is_created(self, log: Log, number: int) -> None:
        await log.create(1, b"a")
        await log.create(2, b"b")
        with pytest.raises(EntryExists):
            await log.create(number, b"late")
        assert [entry.data for entry in await log.read(0, 10)] == [b"a", b"b"]

    async def test_of_two_instances_one_wins_each_entry(self, store: Store) -> None:
        logs = [store.open(), store.open(), store.open()]
        won: dict[int, bytes] = {}

        async def instance(which: int, log: Log) -> None:
            number = 1
            while number <= 40:
                data = b"%d/%d" % (which, number)
                try:
                    await log.create(number, data)
                except EntryExists:
                    number += len(await log.read(number - 1, 100))
                else:
                    assert number not in won
                    won[number] = data
                    number += 1

        await asyncio.gather(*(instance(which, log) for which, log in enumerate(logs)))
        for log in logs:
            assert {entry.number: entry.data for entry in await log.read(0, 100)} == won
            await log.close()
        assert sorted(won) == list(range(1, 41))

    async def test_a_create_that_succeeds_but_reports_failure(self, store: Store) -> None:
        log = FaultyLog(store.open(), lambda method, count, when: LogUnavailable("no answer") if when == "after" else None)
        with pytest.raises(LogUnavailable):
            await log.create(1, b"my nonce")
        assert [entry.data for entry in await log.read(0, 1)] == [b"my nonce"]
        with pytest.raises(EntryExists):
            await log.create(1, b"my nonce")
        await log.close()

    async def test_a_create_whose_caller_went_away_is_whole_or_absent(self, store: Store) -> None:
        log = store.open()
        task = asyncio.create_task(log.create(1, b"one"))
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.wait([task])
        found = await log.read(0, 10)
        assert [entry.data for entry in found] in ([b"one"], [])
        await log.create(len(found) + 1, b"two")
        await log.close()

    async def test_an_oversized_entry_is_refused_whole(self, store: Store) -> None:
        log = store.open(entry_limit=1000)
        with pytest.raises(EntryTooLarge):
            await log.create(1, bytes(1001))
        assert await log.head() == 0
        await log.create(1, bytes(1000))
        await log.close()

    async def test_an_entry_of_the_common_limit(self, log: Log) -> None:
        data = random.Random(1).randbytes(3_500_000)
        await log.create(1, data)
        await log.create(2, data)
        await log.create(3, data)
        read = await log.read(0, 3)
        assert read[0].data == data
        assert [entry.number for entry in await log.read(read[-1].number, 3)] == list(range(read[-1].number + 1, 4))

    async def test_followers_are_told(self, store: Store) -> None:
        reader, writer = store.open(), store.open()
        await writer.create(1, b"a")
        await reader.changed(0)
        waiting = asyncio.create_task(reader.changed(1))
        await asyncio.sleep(0)
        assert not waiting.done()
        await writer.create(2, b"b")
        await asyncio.wait_for(waiting, 10)
        assert [entry.data for entry in await reader.read(1, 10)] == [b"b"]
        await reader.close()
        await writer.close()

    # --- trimming ---

    async def test_a_trimmed_log(self, log: Log) -> None:
        for number in range(1, 11):
            await log.create(number, b"%d" % number)
        await log.trim(4)
        await log.trim(2)
        assert await log.earliest() == 5
        with pytest.raises(LogTrimmed) as raised:
            await log.read(3, 10)
        assert raised.value.earliest == 5
        assert [entry.number for entry in await log.read(4, 3)] == [5, 6, 7]
        assert await log.head() == 10

    async def test_many_entries_are_trimmed(self, log: Log) -> None:
        for number in range(1, 701):
            await log.create(number, b"x")
        await log.trim(650)
        assert await log.earliest() == 651
        assert len(await log.read(650, 100)) == 50

    async def test_a_log_trimmed_to_its_head_goes_on(self, store: Store) -> None:
        log = store.open()
        for number in range(1, 4):
            await log.create(number, b"x")
        await log.trim(100)
        assert (await log.head(), await log.earliest()) == (3, 4)
        assert await log.read(3, 10) == []
        with pytest.raises(LogTrimmed):
            await log.read(0, 10)
        other = store.open()
        assert (await other.head(), await other.earliest()) == (3, 4)
        await other.create(4, b"y")
        assert [entry.data for entry in await log.read(3, 10)] == [b"y"]
        await log.close()
        await other.close()

    @pytest.mark.parametrize("trim_to", [3, 5, 6])
    async def test_a_sleeper_that_wakes_after_trimming_does_not_fork_the_log(self, store: Store, trim_to: int) -> None:
        sleeper, writer = store.open(), store.open()
        await writer.create(1, b"1")
        head = await sleeper.head()
        for number in range(2, 7):
            await writer.create(number, b"%d" % number)
        await writer.trim(trim_to)
        with pytest.raises(EntryExists):
            await sleeper.create(head + 1, b"forked")
        with pytest.raises(LogTrimmed):
            await sleeper.read(head, 10)
        assert await sleeper.head() == 6
        assert [entry.data for entry in await writer.read(trim_to, 10)] == [b"%d" % number for number in range(trim_to + 1, 7)]
        await sleeper.close()
        await writer.close()

    # --- documents ---

    async def test_documents(self, log: Log) -> None:
        await log.put("a/1", b"one")
        await log.put("a/2", b"two")
        await log.put("ab", b"other")
        await log.put("a/2", b"two again")
        assert (await log.get("a/1"), await log.get("a/2"), await log.get("a/3")) == (b"one", b"two again", None)
        assert await log.names("a/") == ["a/1", "a/2"]
        assert await log.names("") == ["a/1", "a/2", "ab"]
        await log.drop(["a/1", "absent"])
        assert await log.names("a") == ["a/2", "ab"]
        await log.drop([])

    async def test_a_large_document(self, log: Log) -> None:
        data = random.Random(2).randbytes(9_000_000)
        await log.put("large", data)
        assert await log.get("large") == data

    async def test_documents_are_no_entries(self, log: Log) -> None:
        await log.put("x", b"x")
        await log.create(1, b"1")
        await log.trim(1)
        assert await log.get("x") == b"x"

    # --- snapshots ---

    async def test_a_snapshot_comes_back(self, log: Log) -> None:
        content = {f"section {number}": random.Random(number).randbytes(number * 30_000) for number in range(12)}
        await snapshot(log, 7, content)
        assert await newest(log) == (7, content)

    async def test_unchanged_sections_stay_where_they_are(self, log: Log) -> None:
        first = await snapshot(log, 1, {"a": bytes(2_000_000), "b": b"b" * 1_000_000, "c": b"1"})
        await snapshot(log, 2, {"a": b"same", "b": b"same", "c": b"2"}, first)
        assert await newest(log) == (2, {"a": bytes(2_000_000), "b": b"b" * 1_000_000, "c": b"2"})
        await sweep(log, 1)
        assert await newest(log) == (2, {"a": bytes(2_000_000), "b": b"b" * 1_000_000, "c": b"2"})

    async def test_chunks_that_are_mostly_dead_are_named_sparse(self, log: Log) -> None:
        first = await snapshot(log, 1, {"a": b"a" * 1000, "b": b"b" * 100_000})
        assert sparse(first) == frozenset()
        second = await snapshot(log, 2, {"a": b"same", "b": b"other"}, first)
        assert sparse(second) == {"a"}

    @pytest.mark.parametrize("torn", ["no manifest", "manifest damaged", "chunk missing", "chunk damaged"])
    async def test_a_torn_snapshot_is_passed_over(self, log: Log, torn: str) -> None:
        await snapshot(log, 3, {"a": b"old"})
        before = set(await log.names(""))
        await snapshot(log, 5, {"a": b"new"})
        (manifest,) = [name for name in set(await log.names("")) - before if name.startswith("snapshot/")]
        (chunk,) = [name for name in set(await log.names("")) - before if name.startswith("chunk/")]
        if torn == "no manifest":
            await log.drop([manifest])
        elif torn == "chunk missing":
            await log.drop([chunk])
        else:
            name = manifest if torn == "manifest damaged" else chunk
            data = await log.get(name)
            assert data is not None
            await log.put(name, data[:-1] + bytes([data[-1] ^ 1]))
        assert await newest(log) == (3, {"a": b"old"})

    async def test_sweeping_keeps_the_newest(self, log: Log) -> None:
        for number in range(1, 6):
            await snapshot(log, number, {"a": b"%d" % number})
        kept = await sweep(log, 2)
        assert [manifest.number for manifest in kept] == [5, 4]
        assert len(await log.names("snapshot/")) == 2
        assert len(await log.names("chunk/")) == 2
        assert await newest(log) == (5, {"a": b"5"})

    async def test_sweeping_leaves_the_chunks_of_a_snapshot_being_written(self, log: Log) -> None:
        await snapshot(log, 1, {"a": b"1"})
        writer = SnapshotWriter(log, 9, "other")
        await writer.add("a", bytes(1_000_000))
        await snapshot(log, 2, {"a": b"2"})
        await sweep(log, 1)
        await writer.finish(version=1, at_ns=9, written=9, trail=[])
        assert await newest(log) == (9, {"a": bytes(1_000_000)})

    async def test_a_crash_between_any_two_steps_loses_nothing(self, make_store: object) -> None:
        """Entries, snapshots, sweeping, trimming; the process dies before or after every single call."""
        assert callable(make_store)

        async def life(log: Log, done: list[int]) -> None:
            previous: Manifest | None = None
            for number in range(1, 9):
                await log.create(number, b"%d" % number)
                done[0] = number
                if number % 3 == 0:
                    state = b"".join(b"%d" % n for n in range(1, number + 1))
                    previous = await snapshot(log, number, {"state": state, "rest": b"same"}, previous)
                    kept = await sweep(log, 2)
                    await log.trim(kept[-1].number)

        calls = FaultyLog(make_store().open(), lambda *_: None)
        await life(calls, [0])
        total = calls.calls
        await calls.close()
        assert total > 15
        for crash_at in range(total):
            for moment in ("before", "after"):
                store = make_store()

                def fault(_: str, count: int, when: str, crash_at: int = crash_at, moment: str = moment) -> Crash | None:
                    return Crash() if count == crash_at and when == moment else None

                log = FaultyLog(store.open(), fault)
                done = [0]
                with pytest.raises(Crash):
                    await life(log, done)
                await log.close()
                after = store.open()
                found = await newest(after)
                number, state = (found[0], found[1]["state"]) if found else (0, b"")
                for entry in await after.read(number, 100):
                    state += entry.data
                    number = entry.number
                assert state == b"".join(b"%d" % n for n in range(1, number + 1))
                assert done[0] <= number <= done[0] + 1
                await after.create(number + 1, b"next")
                await after.close()

    # --- ends ---

    async def test_a_closed_log_says_so(self, store: Store) -> None:
        log = store.open()
        await log.create(1, b"1")
        await log.close()
        await log.close()
        with pytest.raises(LogUnavailable):
            await log.create(2, b"2")
        with pytest.raises(LogUnavailable):
            await log.read(0, 1)

    async def test_a_deleted_log_begins_anew(self, store: Store) -> None:
        log = store.open()
        await log.create(1, b"1")
        await log.put("x", b"x")
        await log.delete()
        again = store.open()
        assert (await again.head(), await again.names("")) == (0, [])
        await again.create(1, b"other")
        await again.close()
