"""Restart: from the log, from snapshots, with everything published that was not."""

from __future__ import annotations

import asyncio
import functools
import random
from dataclasses import replace
from pathlib import Path
from typing import Any

import msgspec
import pytest

from drasi.container import Settings, entry, writer
from drasi.container import container as container_module
from drasi.log.memory import MemoryLog, MemoryStore
from drasi.log.port import LogDamaged, LogUnavailable
from drasi.log.sqlite import SQLiteLog
from drasi.messages.envelope import Message
from drasi.messages.reading import Gone, ViewRow
from tests.container.support import FLOORS, ROOMS, Consumer, RecordingBus, System, control, node, relation, spec, until

SMALL = Settings(snapshot_entries=5, follow_s=None, inline_bytes=2_000)


async def fill(system: System, first: int, count: int) -> None:
    for number in range(first, first + count):
        assert await system.send(node("i", number, f"r{number % 7}", name=f"r{number % 7}", temp=number % 40)) == 204


async def snapshot_written(system: System) -> None:
    await until(lambda: system.container._writing is not None and system.container._writing.done())


def seen(system: System, query: str) -> tuple[int, int, str, list[ViewRow]]:
    """The view; the rows are a bag."""
    view = system.container.view(query)
    return view.sequence, view.timestamp, view.state, sorted(view.rows, key=lambda row: row.row_id)


async def test_a_restart_changes_nothing(tmp_path: Path) -> None:
    path = tmp_path / "default.db"
    async with System(SQLiteLog(path)) as before:
        await before.configure("rooms", ROOMS)
        await before.configure("floors", FLOORS)
        await before.send(
            node("i", 1, "f1", ["Floor"], name="f"), node("i", 2, "r1", name="a", temp=30), relation("i", 3, "p", "r1", "f1")
        )
        await before.order("stop", "floors")
        views = {query: seen(before, query) for query in ("rooms", "floors")}
    async with System(SQLiteLog(path), snapshots=before.snapshots) as after:
        assert {query: seen(after, query) for query in ("rooms", "floors")} == views
        assert await after.send(node("i", 2, "r1", name="late", temp=99)) == 204
        assert seen(after, "rooms") == views["rooms"]
        await after.send(node("u", 4, "r1", temp=31))
        await after.order("start", "floors")
        assert after.rows("floors") == [{"floor": "f", "temp": 31.0, "rooms": 1}]
        for query in ("rooms", "floors"):
            events = [*before.bus.events(query), *after.bus.events(query)]
            assert Consumer.of(events).sorted() == after.rows(query)


async def test_events_of_an_earlier_life_are_served_from_the_log(tmp_path: Path) -> None:
    path = tmp_path / "default.db"
    async with System(SQLiteLog(path), settings=SMALL) as before:
        await before.configure("rooms", ROOMS)
        await fill(before, 1, 40)
        await snapshot_written(before)
        events = before.bus.events("rooms")
    async with System(SQLiteLog(path), settings=SMALL, snapshots=before.snapshots) as after:
        assert after.container._kept.newest is not None
        assert after.container._kept.newest.number > 10
        sequence = 0
        read: list[dict[str, Any]] = []
        while found := await after.container.read_events_json("rooms", sequence, 7):
            read += [msgspec.json.decode(event) for _, event in found]
            sequence = found[-1][0]
        assert read == events
        middle = events[len(events) // 2]["sequence"]
        ((one, _),) = await after.container.read_events_json("rooms", middle, 1)
        assert one == middle + 1


async def test_what_was_committed_and_not_published_is_published_by_who_comes_next() -> None:
    store = MemoryStore()
    first = System(MemoryLog(store))
    await first.container.start()
    await first.configure("rooms", ROOMS)
    await first.send(node("i", 1, "r1", name="a", temp=30))
    published = first.bus.events("rooms")
    first.bus.hold = asyncio.Event()
    sending = [asyncio.ensure_future(first.send(node("i", number, f"r{number}", name="b", temp=30))) for number in (2, 3)]
    await until(lambda: first.container.view("rooms").sequence >= published[-1]["sequence"] + 2)
    assert not any(task.done() for task in sending)

    # It dies here: nothing of it runs on.
    async with System(MemoryLog(store), snapshots=first.snapshots) as second:
        await until(lambda: second.container.status()["published"] == second.container.status()["entry"])
        again = second.bus.events("rooms")
        consumer = Consumer.of([*published, *again])
        assert consumer.sorted() == second.rows("rooms")
        assert len(consumer.rows) == 3
        # The message comes again: its results are out, it is acknowledged, nothing is written.
        head = second.container.status()["entry"]
        assert await second.send(node("i", 3, "r3", name="b", temp=30)) == 204
        assert second.container.status()["entry"] == head
    first.bus.hold.set()
    await asyncio.gather(*sending)
    await first.container.close()


async def test_a_message_is_acknowledged_after_its_results_are_out() -> None:
    async with System() as system:
        await system.configure("rooms", ROOMS)
        system.bus.hold = asyncio.Event()
        sending = asyncio.ensure_future(system.send(node("i", 1, "r1", name="a", temp=30)))
        await until(lambda: len(system.rows("rooms")) == 1)
        again = asyncio.ensure_future(system.send(node("i", 1, "r1", name="a", temp=30)))
        await asyncio.sleep(0.01)
        assert not sending.done()
        assert not again.done()
        system.bus.hold.set()
        assert await sending == 204
        assert await again == 204
        assert len(system.bus.events("rooms")) == 4


async def test_snapshots_refer_to_what_did_not_change_and_the_log_is_trimmed(tmp_path: Path) -> None:
    path = tmp_path / "default.db"
    settings = Settings(snapshot_entries=5, follow_s=None, log_bytes=3_000)
    async with System(SQLiteLog(path), settings=settings) as system:
        await system.configure("rooms", ROOMS)
        for round_ in range(8):
            await fill(system, 1 + round_ * 5, 5)
            await snapshot_written(system)
        newest = system.container._kept.newest
        assert newest is not None
        assert len(newest.chunks) > 1
        assert await system.log.earliest() > 5
        assert len(await system.log.names("snapshot/")) == 2
        latest = system.container.view("rooms").sequence
        view = seen(system, "rooms")
    async with System(SQLiteLog(path), settings=settings, snapshots=system.snapshots) as again:
        assert seen(again, "rooms") == view
        with pytest.raises(Gone) as raised:
            await again.container.read_events_json("rooms", 1, 10)
        assert 1 < raised.value.earliest <= latest == raised.value.latest
        found = await again.container.read_events_json("rooms", raised.value.earliest - 1, 1000)
        assert [sequence for sequence, _ in found] == list(range(raised.value.earliest, latest + 1))


async def test_a_torn_snapshot_is_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "default.db"
    async with System(SQLiteLog(path), settings=SMALL) as system:
        await system.configure("rooms", ROOMS)
        await fill(system, 1, 8)
        await snapshot_written(system)
        await fill(system, 9, 8)
        await snapshot_written(system)
        newest = system.container._kept.newest
        assert newest is not None
        place = newest.sections["core"]
        await system.log.put(place.chunk, b"torn")
        view = seen(system, "rooms")
    async with System(SQLiteLog(path), settings=SMALL, snapshots=system.snapshots) as again:
        assert seen(again, "rooms") == view
        assert again.container._kept.newest is not None
        assert again.container._kept.newest.number < newest.number


async def test_a_log_that_cannot_be_read_any_more_is_told(tmp_path: Path) -> None:
    path = tmp_path / "default.db"
    async with System(SQLiteLog(path), settings=SMALL) as system:
        await system.configure("rooms", ROOMS)
        await fill(system, 1, 10)
        await snapshot_written(system)
        await system.log.trim(3)
        await system.log.drop(await system.log.names("chunk/"))
    broken = System(SQLiteLog(path))
    with pytest.raises(LogDamaged, match="no snapshot"):
        await broken.container.start()
    assert not broken.container.ready()
    assert await broken.send(node("i", 1, "r1")) == 503
    await broken.container.close()


async def test_a_snapshot_waits_for_publication_and_evaluation_goes_on() -> None:
    async with System(settings=SMALL) as system:
        await system.configure("rooms", ROOMS)
        system.bus.hold = asyncio.Event()
        sending = []
        for number in range(1, 12):
            entry_before = system.container._machine.number
            sending.append(asyncio.ensure_future(system.send(node("i", number, f"r{number}", name="a", temp=30))))
            await until(lambda before=entry_before: system.container._machine.number > before)  # type: ignore[misc]
        assert len(system.rows("rooms")) == 11
        assert system.container._writing is not None
        assert not system.container._writing.done()
        assert system.container.status()["snapshotEntry"] == 0
        system.bus.hold.set()
        assert set(await asyncio.gather(*sending)) == {204}
        await snapshot_written(system)
        assert system.container.status()["snapshotEntry"] > 0


async def test_large_events_are_documents_of_their_own(tmp_path: Path) -> None:
    path = tmp_path / "default.db"
    names = [f"{number} " + "x" * 500 for number in range(1, 30)]
    async with System(SQLiteLog(path), settings=SMALL) as system:
        await system.configure("rooms", "MATCH (r:Room) RETURN collect(r.name) AS names")
        for number, name in enumerate(names, 1):
            await system.send(node("i", number, f"r{number}", name=name))
        await snapshot_written(system)
        documents = await system.log.names("results/rooms/")
        assert len(documents) > 20
        events = system.bus.events("rooms")
    async with System(SQLiteLog(path), settings=SMALL, snapshots=system.snapshots) as again:
        found: list[tuple[int, bytes]] = []
        while page := await again.container.read_events_json("rooms", found[-1][0] if found else 0, 10):
            found += page
        assert [msgspec.json.decode(event) for _, event in found] == events
        assert again.rows("rooms") == [{"names": names}]


# --- releases ---


def _release(monkeypatch: pytest.MonkeyPatch, version: int) -> None:
    for module in (entry, container_module):
        monkeypatch.setattr(module, "SEMANTIC_VERSION", version)

    monkeypatch.setattr(writer, "Entry", functools.partial(entry.Entry, version=version))


async def test_an_instance_that_reads_a_newer_entry_stops_accepting(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    async with System(MemoryLog(store)) as old:
        await old.configure("rooms", ROOMS)
        assert old.container.ready()
        with monkeypatch.context() as newer:
            _release(newer, entry.SEMANTIC_VERSION + 1)
            async with System(MemoryLog(store), snapshots=old.snapshots) as new:
                assert await new.send(node("i", 1, "r1", name="a", temp=30)) == 204
                assert new.rows("rooms") == [{"room": "a", "temp": 30}]
                assert await new.log.names("snapshot/")
                kinds = [
                    type(item).__name__
                    for each in await new.log.read(0, 100)
                    for item in entry.decode(each.number, each.data).items
                ]
                assert kinds.index("Upgrade") == kinds.index("Changes") - 1
        assert await old.send(node("i", 2, "r2", name="b", temp=30)) == 503
        assert not old.container.ready()
        assert "newer release" in old.container.status()["messages"]["Log"]


async def test_events_whose_replay_disagrees_are_gone(monkeypatch: pytest.MonkeyPatch) -> None:
    store = MemoryStore()
    async with System(MemoryLog(store)) as old:
        await old.configure("rooms", ROOMS)
        await old.send(node("i", 1, "r1", name="a", temp=30))
        await old.send(node("i", 2, "r2", name="b", temp=30))
        last = old.container.view("rooms").sequence
    monkeypatch.setattr("drasi.container.state.digest", lambda parts: b"another release")
    async with System(MemoryLog(store), snapshots=old.snapshots) as new:
        assert "ReplayMismatch" in new.container.status()["messages"]
        with pytest.raises(Gone):
            await new.container.read_events_json("rooms", last - 2, 10)
        assert [sequence for sequence, _ in await new.container.read_events_json("rooms", last - 1, 10)] == [last]


async def test_a_failed_start_can_be_repeated() -> None:
    class Shaky(MemoryLog):
        failures = 1

        async def names(self, prefix: str) -> list[str]:
            if self.failures:
                self.failures -= 1
                raise LogUnavailable("not now")
            return await super().names(prefix)

    system = System(Shaky())
    with pytest.raises(LogUnavailable):
        await system.container.start()
    assert not system.container.ready()
    await system.container.start()
    await system.container.start()
    assert system.container.ready()
    await system.configure("rooms", ROOMS)
    await system.container.close()
    await system.container.close()


async def test_a_query_that_is_built_goes_on_after_a_restart() -> None:
    store = MemoryStore()
    first = System(MemoryLog(store))
    first.snapshots.sources.clear()
    await first.container.start()
    await first.order("configure", "rooms", version=1, spec=spec(ROOMS))
    await first.send(node("i", 1, "r1", name="a", temp=30))
    await first.container.close()
    async with System(MemoryLog(store), bus=RecordingBus()) as second:
        await until(lambda: second.container.view("rooms").state == "running")
        assert second.rows("rooms") == [{"room": "a", "temp": 30}]


async def test_a_large_event_can_be_read_before_its_document_is_there() -> None:
    room = asyncio.Event()

    class Slow(MemoryLog):
        async def put(self, name: str, data: bytes) -> None:
            if name.startswith("results/"):
                await room.wait()
            await super().put(name, data)

    settings = Settings(ring_bytes=100, inline_bytes=100, follow_s=None)
    async with System(Slow(), settings=settings) as system:
        room.set()
        await system.configure("rooms", ROOMS)
        room.clear()
        start = system.container.view("rooms").sequence
        sending = [asyncio.ensure_future(system.send(node("i", 1, "r1", name="x" * 500, temp=30)))]
        await until(lambda: system.container.view("rooms").sequence == start + 1)
        # Another entry while the first one's event is nowhere but in memory.
        sending.append(asyncio.ensure_future(system.order("tick", ts_ns=1)))
        sending.append(asyncio.ensure_future(system.send(node("i", 2, "r2", name="y" * 500, temp=30))))
        await until(lambda: system.container.view("rooms").sequence == start + 2)
        assert [sequence for sequence, _ in await system.container.read_events_json("rooms", start, 10)] == [start + 1, start + 2]
        assert await system.log.names("results/rooms/") != []
        room.set()
        assert await asyncio.gather(*sending) == [204, 204, 204]
        await system.order("tick", ts_ns=2)
        assert [sequence for sequence, _ in await system.container.read_events_json("rooms", start, 10)] == [start + 1, start + 2]


async def test_orders_that_come_again_behind_later_ones_are_passed_over(tmp_path: Path) -> None:
    """Pub/Sub may bring again what was acknowledged long ago; also one whose query is gone, or is another one of the same name."""
    pushed: list[Message] = []

    async def push(system: System, kind: str, query: str | None = None, **more: Any) -> None:
        plain = control(kind, query, **more)
        # The clock of the bus is coarse: two of them are taken at one instant.
        when = f"2026-03-01T08:15:30.{len(pushed) // 2:03}Z"
        where = "projects/p/subscriptions/default.control"
        pushed.append(replace(plain, message_id=str(len(pushed)), publish_time=when, subscription=where))
        assert await system.container.control(pushed[-1]) == 204

    path = tmp_path / "default.db"
    rng = random.Random(3)
    async with System(SQLiteLog(path), settings=Settings(follow_s=None, snapshot_entries=10)) as system:
        for query, version in (("gone", 1), ("anew", 1), ("stopped", 1), ("started", 1), ("changed", 1)):
            await push(system, "configure", query, version=version, spec=spec(ROOMS))
        for query in ("gone", "anew"):
            await push(system, "delete", query)
        await push(system, "forget", source="db", elements=True)
        for kind in ("stop", "start"):
            await push(system, kind, "started")
        for kind in ("start", "stop"):
            await push(system, kind, "stopped")
        await push(system, "bootstrap", "changed", reason="why")
        await push(system, "configure", "anew", version=2, spec=spec(ROOMS))
        await push(system, "configure", "changed", version=2, spec=spec(ROOMS.replace("20", "25")))
        for number in range(1, 9):
            assert await system.send(node("i", number, f"r{number}", name=f"r{number}", temp=20 + number)) == 204
        await until(lambda: all(system.container.view(query).state == "running" for query in ("anew", "changed")))
        queries = sorted(system.container.queries())
        before = {query: seen(system, query) for query in queries}
        assert queries == ["anew", "changed", "started", "stopped"]
        for message in rng.sample(pushed, len(pushed)):
            assert await system.container.control(message) == 204
        assert {query: seen(system, query) for query in sorted(system.container.queries())} == before
    async with System(SQLiteLog(path), snapshots=system.snapshots) as restarted:
        assert restarted.container.status()["snapshotEntry"] > 0
        for message in rng.sample(pushed, len(pushed)):
            assert await restarted.container.control(message) == 204
        assert {query: seen(restarted, query) for query in sorted(restarted.container.queries())} == before
        await push(restarted, "start", "stopped")
        assert len(restarted.rows("stopped")) == 8
