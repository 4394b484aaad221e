"""Several instances on one log, and logs that fail."""

from __future__ import annotations

import asyncio
import random
import sqlite3
from pathlib import Path
from typing import Any

import pytest

from drasi.container import Settings
from drasi.log.memory import MemoryLog, MemoryStore
from drasi.log.port import EntryExists, Log, LogFull, LogUnavailable
from drasi.log.sqlite import SQLiteLog
from tests.container.support import (
    FLOORS,
    ROOMS,
    Clock,
    Consumer,
    FakeSnapshots,
    FakeSource,
    Pauses,
    RecordingBus,
    System,
    from_scratch,
    node,
    relation,
    spec,
    until,
)
from tests.log.faults import FaultyLog

QUIET = Settings(follow_s=None)


class Scheduler(asyncio.SelectorEventLoop):
    """Runs what is ready in an order drawn by a seed."""

    def __init__(self, seed: int) -> None:
        super().__init__()
        self._rng = random.Random(seed)

    def _run_once(self) -> None:
        ready = self._ready  # type: ignore[attr-defined]
        if len(ready) > 1:
            handles = list(ready)
            self._rng.shuffle(handles)
            ready.clear()
            ready.extend(handles)
        super()._run_once()  # type: ignore[misc]


async def race(seed: int) -> MemoryStore:
    """Two instances share log, sources and bus; messages go to either, some to both; creates fail in every way."""
    rng = random.Random(seed)
    store = MemoryStore()
    bus = RecordingBus()
    clock = Clock()
    sources = {"db": FakeSource(page=3), "other": FakeSource(page=3)}
    wrapped: list[FaultyLog] = []

    def fault(method: str, count: int, when: str) -> BaseException | None:
        chance = rng.random()
        if method == "create" and chance < 0.08:
            return LogUnavailable("no answer")
        if method == "create" and when == "before" and chance < 0.11:
            return LogFull("full")
        if method != "create" and chance < 0.05:
            return LogUnavailable("no answer")
        return None

    def log() -> Log:
        made = FaultyLog(MemoryLog(store), fault, pause=lambda: rng.random() < 0.5)
        wrapped.append(made)
        return made

    settings = Settings(snapshot_entries=7, follow_s=None, log_bytes=1_000, marker_s=0.01)
    systems = [
        System(log(), bus=bus, clock=clock, settings=settings, snapshots=FakeSnapshots(**sources), instance=f"i{which}")
        for which in range(2)
    ]
    for system in systems:
        while True:
            try:
                await system.container.start()
            except LogUnavailable:
                continue
            break

    async def deliver(name: str) -> None:
        """In order, each until it is acknowledged, as a bus does; sometimes to both."""
        for number in range(1, 40):
            room = f"r{rng.randrange(5)}"
            change = rng.choice(
                [
                    node("i", number, room, name=room, temp=rng.randrange(40), source=name),
                    node("u", number, room, temp=rng.randrange(40), source=name),
                    node("d", number, room, source=name),
                    node("i", number, "f1", ["Floor"], name="f", source=name),
                    relation("i", number, f"p{room}", room, "f1", source=name),
                ]
            )
            sources[name].apply(change)
            while True:
                chosen = rng.choice([systems[:1], systems[1:], systems])
                answers = await asyncio.gather(*(system.send(change, source=name) for system in chosen))
                assert set(answers) <= {204, 503}
                if 204 in answers:
                    break

    async def configure() -> None:
        for query, text, version in (("rooms", ROOMS, 1), ("floors", FLOORS, 1), ("rooms", ROOMS + " ORDER BY temp", 1)):
            definition = spec(text, "db", "other")
            while await rng.choice(systems).order("configure", query, version=version, spec=definition, sequenceFrom=1) != 204:
                pass

    await asyncio.gather(deliver("db"), deliver("other"), configure())

    async def settled(system: System) -> None:
        while True:
            try:
                await system.container._writer.catch_up()
            except LogUnavailable:
                continue
            if all(system.container.view(query).state == "running" for query in ("rooms", "floors")):
                return
            await asyncio.sleep(0)

    await asyncio.gather(*(settled(system) for system in systems))
    # Who is last publishes what nobody is known to have published.
    while await systems[0].order("tick", ts_ns=1) != 204:
        pass
    await settled(systems[1])
    one, other = systems
    for query in ("rooms", "floors"):
        assert one.container.view(query) == other.container.view(query)
        consumer = Consumer()
        received = {event["sequence"]: event for event in bus.events(query)}
        for event in bus.events(query):  # every copy says the same
            assert strip(event) == strip(received[event["sequence"]])
        for sequence in sorted(received):
            consumer.take(received[sequence])
        assert consumer.sorted() == one.rows(query)
        assert consumer.sequence == one.container.view(query).sequence
        assert sorted(received) == list(range(min(received), max(received) + 1))
    rooms = [element for source in sources.values() for element in source.elements.values()]
    assert len(one.rows("rooms")) == len([each for each in rooms if "Room" in each.labels and each.properties.get("temp", 0) > 20])
    assert one.container._machine.mismatches == other.container._machine.mismatches == []
    for system in systems:
        await system.container.close()
    assert all(made.trace.count("create") > 5 and made.trace.count("read") > 3 for made in wrapped)
    return store


def strip(event: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in event.items() if key != "metadata"}


def test_two_instances_race_for_every_entry() -> None:
    trimmed = 0
    for seed in range(30):
        loop = Scheduler(seed)
        try:
            trimmed += loop.run_until_complete(asyncio.wait_for(race(seed), 60)).trimmed
        except BaseException as error:
            error.add_note(f"seed {seed}")
            raise
        finally:
            loop.run_until_complete(loop.shutdown_asyncgens())
            loop.close()
    assert trimmed > 30


async def test_a_replica_follows_while_it_has_readers() -> None:
    store = MemoryStore()
    async with (
        System(MemoryLog(store)) as leader,
        System(MemoryLog(store), snapshots=FakeSnapshots(**leader.snapshots.sources), settings=Settings(follow_s=0.001)) as replica,
    ):
        await leader.configure("rooms", ROOMS)
        assert replica.container.queries() == []
        sequence = leader.container.view("rooms").sequence
        await replica.container._writer.catch_up()
        await leader.send(node("i", 1, "r1", name="a", temp=30))
        # A request for what it does not have makes it read the log.
        assert await replica.container.read_events("rooms", sequence + 1, 5) == []
        events = replica.container.events("rooms", sequence)
        assert (await anext(events)).sequence == sequence + 1
        waiting = asyncio.ensure_future(anext(events))
        await leader.send(node("i", 2, "r2", name="b", temp=30))
        assert (await asyncio.wait_for(waiting, 20)).sequence == sequence + 2
        await events.aclose()  # type: ignore[attr-defined]
        assert replica.bus.published == []


async def test_who_asks_once_is_not_followed_for_afterwards() -> None:
    def followers() -> list[str]:
        return [task.get_name() for task in asyncio.all_tasks() if task.get_name().startswith("follower")]

    async with System(settings=Settings(follow_s=0.001)) as system:
        await system.configure("rooms", ROOMS)
        sequence = system.container.view("rooms").sequence
        await system.send(node("i", 1, "r1", name="a", temp=30))
        for _ in range(2):
            events = system.container.events("rooms", sequence)
            assert (await anext(events)).sequence == sequence + 1
            assert len(followers()) == 1
            await events.aclose()  # type: ignore[attr-defined]
            for _ in range(20):
                await asyncio.sleep(0)
            assert followers() == []


async def test_a_create_whose_answer_is_lost_counts_once() -> None:
    lost = iter([False, False, False, True])
    log = FaultyLog(
        MemoryLog(),
        lambda method, _, when: LogUnavailable("lost") if method == "create" and when == "after" and next(lost, False) else None,
    )
    async with System(log) as system:
        await system.configure("rooms", ROOMS)
        for number in range(1, 6):
            assert await system.send(node("i", number, f"r{number}", name="a", temp=30)) == 204
        assert len(system.bus.events("rooms")) == 8
        assert system.container.ready()


async def test_a_log_that_does_not_answer_is_told_and_nothing_is_lost() -> None:
    failing = [False]

    class Silent(MemoryLog):
        async def create(self, number: int, data: bytes) -> None:
            if failing[0]:
                raise OSError("connection reset")
            await super().create(number, data)

        async def read(self, after: int, limit: int) -> Any:
            if failing[0]:
                raise LogUnavailable("no answer", hint="wait")
            return await super().read(after, limit)

    async with System(Silent()) as system:
        await system.configure("rooms", ROOMS)
        failing[0] = True
        assert await system.send(node("i", 1, "r1", name="a", temp=30)) == 503
        assert await system.send(node("i", 1, "r1", name="a", temp=30)) == 503
        assert not system.container.ready()
        assert system.container.status()["messages"]["Log"] == "no answer (wait)"
        assert system.container.view("rooms").rows == []
        failing[0] = False
        assert await system.send(node("i", 1, "r1", name="a", temp=30)) == 204
        assert system.container.ready()
        assert system.rows("rooms") == [{"room": "a", "temp": 30}]


async def test_a_full_disk_loses_nothing_and_goes_on_by_itself(tmp_path: Path) -> None:
    path = tmp_path / "default.db"
    log = SQLiteLog(path, max_pages=60)
    async with System(log) as system:
        await system.configure("rooms", ROOMS)
        acknowledged = 0
        for number in range(1, 400):
            answer = await system.send(node("i", number, f"r{number}", name="x" * 400, temp=30))
            if answer != 204:
                break
            acknowledged = number
        assert acknowledged > 10
        assert not system.container.ready()
        assert "make room" in system.container.status()["messages"]["Log"]
        assert len(system.rows("rooms")) == acknowledged  # rows are still served
        assert await system.send(node("i", number, f"r{number}", name="x" * 400, temp=30)) == 503
        assert log._connection is not None
        log._connection.execute("PRAGMA max_page_count = 100000")
        for again in (number, number + 1):
            assert await system.send(node("i", again, f"r{again}", name="x" * 400, temp=30)) == 204
        assert system.container.ready()
        assert len(system.rows("rooms")) == acknowledged + 2
        assert len(Consumer.of(system.bus.events("rooms")).rows) == acknowledged + 2


async def test_a_locked_database_loses_nothing(tmp_path: Path) -> None:
    path = tmp_path / "default.db"
    async with System(SQLiteLog(path, busy_s=0.01)) as system:
        await system.configure("rooms", ROOMS)
        other = sqlite3.connect(path, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        assert await system.send(node("i", 1, "r1", name="a", temp=30)) == 503
        assert "locked" in system.container.status()["messages"]["Log"]
        assert system.container.view("rooms").rows == []
        other.execute("ROLLBACK")
        other.close()
        assert await system.send(node("i", 1, "r1", name="a", temp=30)) == 204
        assert system.rows("rooms") == [{"room": "a", "temp": 30}]
        assert system.container.status()["messages"] == {}


async def test_a_sleeper_that_wakes_after_trimming_restores_itself() -> None:
    store = MemoryStore()
    settings = Settings(snapshot_entries=4, follow_s=None, log_bytes=0, snapshots_kept=1)
    async with (
        System(MemoryLog(store), settings=settings) as busy,
        System(MemoryLog(store), settings=settings, snapshots=FakeSnapshots(**busy.snapshots.sources)) as sleeper,
    ):
        await busy.configure("rooms", ROOMS)
        await sleeper.container._writer.catch_up()
        asleep_at = sleeper.container.status()["entry"]
        number = 0
        while store.trimmed <= asleep_at:
            number += 1
            assert number < 1000
            await busy.send(node("i", number, f"r{number}", name=f"r{number}", temp=30))
        assert await sleeper.send(node("i", number + 1, "late", name="late", temp=30)) == 204
        assert len(sleeper.rows("rooms")) == number + 1
        await busy.container._writer.catch_up()
        assert busy.container.view("rooms").sequence == sleeper.container.view("rooms").sequence
        assert busy.rows("rooms") == sleeper.rows("rooms")


async def test_a_message_larger_than_an_entry_goes_in_slices() -> None:
    rng = random.Random(1)
    changes = [node("i", number, f"r{number}", name=rng.randbytes(300).hex(), temp=30) for number in range(1, 200)]
    async with System(MemoryLog(entry_limit=20_000), settings=Settings(follow_s=None, entry_bytes=4_000)) as system:
        await system.configure("rooms", "MATCH (r:Room) RETURN count(r.name) AS rooms", consistency="transaction")
        before = system.container.status()["entry"]
        for change in changes:
            change.payload.source.tx = "one"
        assert await system.send(*changes) == 204
        assert system.container.status()["entry"] - before > 3
        assert system.rows("rooms") == [{"rooms": 199}]
        assert [event["kind"] for event in system.bus.events("rooms")].count("change") == 2
        assert await system.send(*changes) == 204
        assert system.rows("rooms") == [{"rooms": 199}]


async def test_too_much_at_once_is_told_to_come_later() -> None:
    settings = Settings(follow_s=None, queue_bytes=2_000, answer_s=0.05)
    async with System(settings=settings) as system:
        await system.configure("rooms", ROOMS)
        system.bus.hold = asyncio.Event()
        answers = await asyncio.gather(
            *(system.send(node("i", number, f"r{number}", name="x" * 300, temp=30)) for number in range(1, 40))
        )
        # What is not published in time comes again; what found no room, too.
        assert set(answers) == {429, 503}
        system.bus.hold.set()


async def test_a_bus_that_is_down_delays_the_acknowledgement_and_nothing_else() -> None:
    pauses = Pauses()
    async with System(sleep=pauses) as system:
        await system.configure("rooms", ROOMS)
        system.bus.failing = 2
        sending = asyncio.ensure_future(system.send(node("i", 1, "r1", name="a", temp=30)))
        await until(lambda: pauses.asked)
        assert "Publication" in system.container.status()["messages"]
        assert system.rows("rooms") == [{"room": "a", "temp": 30}]
        assert not sending.done()
        pauses.over()
        await until(lambda: len(pauses.asked) == 2)
        pauses.over()
        assert await sending == 204
        assert system.container.status()["messages"] == {}
        assert len(Consumer.of(system.bus.events("rooms")).rows) == 1


async def test_an_instance_that_starts_late_catches_up_and_agrees() -> None:
    store = MemoryStore()
    source = FakeSource()
    async with System(MemoryLog(store), snapshots=FakeSnapshots(db=source)) as first:
        await first.configure("rooms", ROOMS)
        for number in range(1, 50):
            change = node("i", number, f"r{number % 9}", name=f"r{number % 9}", temp=number)
            await first.send(source.apply(change))
        async with System(MemoryLog(store), snapshots=FakeSnapshots(**first.snapshots.sources)) as second:
            assert second.container.view("rooms") == first.container.view("rooms")
            assert second.rows("rooms") == from_scratch(ROOMS, source.elements.values())
            with pytest.raises(EntryExists):
                await MemoryLog(store).create(1, b"")


async def test_a_defect_of_the_machine_is_shown_and_hangs_nobody(caplog: pytest.LogCaptureFixture) -> None:
    store = MemoryStore()
    system = System(MemoryLog(store), settings=Settings(follow_s=None, answer_s=0.05))
    async with system:
        await system.configure("rooms", ROOMS)

        def broken() -> None:
            raise RuntimeError("a defect")

        system.container._machine._lifecycle.settle = broken  # type: ignore[method-assign]
        assert await system.send(node("i", 1, "r1", name="a", temp=30)) == 503
        assert not system.container.ready()
        assert "a defect" in system.container.status()["messages"]["Defect"]
        assert await system.send(node("i", 2, "r2", name="b", temp=30)) == 503
        assert "a defect" in caplog.text
    async with System(MemoryLog(store), snapshots=system.snapshots) as again:  # it was committed
        assert again.rows("rooms") == [{"room": "a", "temp": 30}]
