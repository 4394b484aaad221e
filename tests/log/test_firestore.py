"""The log in Firestore, on the emulator."""

from __future__ import annotations

import asyncio
import itertools
import random
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from typing import Any

import grpc
import grpc.aio
import msgspec
import pytest

from drasi.container import Settings
from drasi.firestore.client import FirestoreClient
from drasi.firestore.metering import Meter
from drasi.log.firestore import KEEP_S, FirestoreLog
from drasi.log.firestore_logs import Bounds, FirestoreLogs
from drasi.log.port import EntryExists, LogDamaged, LogLost, LogTrimmed, LogUnavailable
from drasi.log.snapshots import manifests
from drasi.messages.changes import SourceChange
from tests.container.support import ROOMS, Consumer, FakeSnapshots, FakeSource, RecordingBus, System, node, until
from tests.emulator import emulators
from tests.emulator.emulators import Emulator
from tests.log.contract import LogContract, snapshot

_paths = itertools.count()


def path() -> str:
    """Of a log that nobody has used."""
    return f"test-log-{next(_paths)}/durable"


@pytest.fixture
def meter() -> Meter:
    return Meter()


@pytest.fixture
async def client(meter: Meter) -> AsyncIterator[FirestoreClient]:
    client = FirestoreClient("drasi-test", emulator=emulators.firestore(), interceptors=meter.interceptors())
    yield client
    await client.close()


class _Store:
    def __init__(self, client: FirestoreClient) -> None:
        self.client = client
        self.path = path()

    def open(self, *, entry_limit: int = 3_500_000) -> FirestoreLog:
        return FirestoreLog(self.client, self.path, entry_limit=entry_limit, poll_s=0.02)


class TestFirestoreLog(LogContract):
    @pytest.fixture
    def make_store(self, client: FirestoreClient) -> Callable[[], _Store]:
        return lambda: _Store(client)

    @pytest.fixture
    def store(self, make_store: Callable[[], _Store]) -> _Store:
        return make_store()


# --- numbers stay used ---


async def _ids(client: FirestoreClient, log: FirestoreLog, collection: str) -> list[str]:
    return await client.ids(f"{log.path}/{collection}")


async def test_a_sleeper_past_trimming_and_deletion_does_not_fork_the_log(client: FirestoreClient) -> None:
    where = path()
    now = [0.0]
    sleeper = FirestoreLog(client, where, monotonic=lambda: now[0])
    writer = FirestoreLog(client, where, keep_s=0)
    await sleeper.create(1, b"1")
    for number in range(2, 7):
        await writer.create(number, b"%d" % number)
    await writer.trim(4)
    assert await _ids(client, writer, "drasi-log") == [f"{5:020d}", f"{6:020d}"]
    now[0] += 601
    with pytest.raises(EntryExists):
        await sleeper.create(2, b"forked")
    assert await _ids(client, writer, "drasi-log") == [f"{5:020d}", f"{6:020d}"]
    with pytest.raises(LogTrimmed):
        await sleeper.read(1, 10)
    assert [entry.number for entry in await sleeper.read(4, 10)] == [5, 6]
    await sleeper.create(7, b"7")
    await sleeper.close()
    await writer.close()


async def test_a_trimmed_entry_is_kept_for_the_time_of_a_proof_and_then_deleted(client: FirestoreClient) -> None:
    where = path()
    log = FirestoreLog(client, where)
    for number in range(1, 4):
        await log.create(number, random.Random(number).randbytes(1_200_000))
    await log.trim(2)
    assert len(await _ids(client, log, "drasi-log")) == 3, "whoever has a proof of the head must still be refused"
    later = FirestoreLog(client, where, keep_s=0)
    await later.trim(2)
    assert await _ids(client, log, "drasi-log") == [f"{3:020d}"]
    assert len(await _ids(client, log, "drasi-log-parts")) == 2
    assert (await log.earliest(), await log.head()) == (3, 3)
    await log.close()
    await later.close()


async def test_an_old_proof_of_the_head_is_renewed_before_a_create(client: FirestoreClient, meter: Meter) -> None:
    now = [0.0]
    log = FirestoreLog(client, path(), monotonic=lambda: now[0])
    await log.create(1, b"1")
    meter.reset()
    now[0] = 599.0
    await log.create(2, b"2")
    assert (meter.calls, meter.reads) == ({"Commit": 1}, 0)
    now[0] = 1200.0
    await log.create(3, b"3")
    assert (meter.calls, meter.reads) == ({"Commit": 2, "BatchGetDocuments": 1}, 2)
    await log.close()


async def test_a_missing_entry_is_the_head_only_if_no_snapshot_is_beyond(client: FirestoreClient) -> None:
    log = FirestoreLog(client, path())
    for number in range(1, 4):
        await log.create(number, b"x")
    await snapshot(log, 2, {"core": b"state"})
    assert await log.read(3, 10) == []
    await client.delete_all(f"{log.path}/drasi-log", [f"{2:020d}"])
    with pytest.raises(LogDamaged):
        await log.read(1, 10)
    await client.delete_all(f"{log.path}/drasi-log", [f"{3:020d}"])
    with pytest.raises(LogDamaged):
        await log.read(1, 10)
    await log.close()


# --- what is written ---


async def test_an_entry_beyond_one_document_is_one_commit(client: FirestoreClient, meter: Meter) -> None:
    log = FirestoreLog(client, path())
    await log.create(1, b"1")
    meter.reset()
    await log.create(2, bytes(3_500_000))
    assert (meter.calls, meter.writes, meter.reads) == ({"Commit": 1}, 5, 0)
    assert [len(entry.data) for entry in await log.read(0, 10)] == [1, 3_500_000]
    await log.close()


async def test_nothing_is_left_of_a_large_document(client: FirestoreClient) -> None:
    log = FirestoreLog(client, path())
    await log.put("a", bytes(5_000_000))
    await log.put("a", bytes(2_000_000))
    await log.put("a!", bytes(2_000_000))
    assert await log.get("a") == bytes(2_000_000)
    await log.put("a", b"small")
    assert await log.get("a") == b"small"
    await log.drop(["a"])
    assert await log.get("a!") == bytes(2_000_000)
    assert len(await _ids(client, log, "drasi-documents-parts")) == 2
    await log.drop(["a!"])
    assert await _ids(client, log, "drasi-documents-parts") == []
    await log.close()


async def test_names_of_documents_may_be_anything(client: FirestoreClient) -> None:
    log = FirestoreLog(client, path())
    names = sorted((".", "..", "__x__", "%2F/%", "results/q ü/1", "a~b", "_"), key=str.encode)
    for name in names:
        await log.put(name, name.encode())
    assert await log.names("") == names
    assert await log.names("results/q") == ["results/q ü/1"]
    assert await log.names("_") == ["_", "__x__"]
    assert [await log.get(name) for name in names] == [name.encode() for name in names]
    await log.close()


async def test_a_deleted_log_leaves_nothing_and_a_half_deleted_one_is_finished(client: FirestoreClient) -> None:
    log = FirestoreLog(client, path())
    await log.create(1, bytes(1_500_000))
    await log.put("x", bytes(1_500_000))
    other = FirestoreLog(client, log.path)
    mark, _ = await other._marks.look()
    assert await other._marks.write(mark, deleting=True) is not None
    await client.clear(f"{log.path}/drasi-log-parts")
    # The process that deleted it ends here.
    again = FirestoreLog(client, log.path)
    assert (await again.head(), await again.names("")) == (0, [])
    with pytest.raises(LogLost):
        await log.read(0, 1)
    await again.delete()
    for collection in ("drasi-log", "drasi-log-parts", "drasi-documents", "drasi-documents-parts"):
        assert await _ids(client, log, collection) == []
    assert (await client.read([log.path]))[0] == {}
    await log.close()
    await other.close()


async def test_a_log_without_its_mark_is_not_gone_on_with(client: FirestoreClient) -> None:
    log = FirestoreLog(client, path())
    await log.create(1, b"1")
    await log.close()
    await client.commit([client.delete(log.path)])
    again = FirestoreLog(client, log.path)
    with pytest.raises(LogDamaged, match="not the document that says"):
        await again.head()
    await again.close()


# --- what a container costs ---


def _quiet(client: FirestoreClient, where: str) -> FirestoreLog:
    """A log that looks after its mark so seldom that no test sees it."""
    return FirestoreLog(client, where, watch_s=3600)


@pytest.mark.parametrize("queries", [1, 20])
async def test_a_warm_batch_is_one_commit_of_one_document_and_no_read(client: FirestoreClient, meter: Meter, queries: int) -> None:
    async with System(_quiet(client, path())) as system:
        for number in range(queries):
            await system.configure(f"q{number}", f"MATCH (r:Room) WHERE r.temp > {number} RETURN r.name AS room, r.temp AS temp")
        assert await system.send(node("i", 1, "r0", name="r0", temp=50)) == 204
        entry = system.container.status()["entry"]
        meter.reset()
        for number in range(2, 12):
            assert await system.send(*(node("i", number * 100 + k, f"r{number}-{k}", name="r", temp=50) for k in range(9))) == 204
        assert system.container.status()["entry"] == entry + 10
        assert meter.calls == {"Commit": 10}
        assert (meter.writes, meter.deletes, meter.reads) == (10, 0, 0)
        assert all(len(system.container.view(f"q{number}").rows) == 91 for number in range(queries))


async def test_a_reader_of_events_costs_a_busy_writer_no_read(client: FirestoreClient, meter: Meter) -> None:
    log = FirestoreLog(client, path(), watch_s=3600, poll_s=3600)
    async with System(log, settings=Settings(follow_s=0)) as system:
        await system.configure("q", ROOMS)
        after = system.container.view("q").sequence
        meter.reset()
        stream: Any = system.container.events_json("q", after)
        for number in range(1, 11):
            assert await system.send(node("i", number, f"r{number}", name="r", temp=50)) == 204
            sequence, _ = await anext(stream)
            assert sequence == after + number
        # Following may look once while an entry is under way, however often it is asked; its own entries tell the rest.
        assert meter.reads <= 10
        assert (meter.calls["Commit"], meter.writes) == (10, 10)
        await stream.aclose()


async def test_restoring_reads_the_chunks_and_the_later_entries(client: FirestoreClient, meter: Meter) -> None:
    where = path()
    settings = Settings(follow_s=None, snapshot_entries=30)
    async with System(_quiet(client, where), settings=settings) as system:
        await system.configure("q", ROOMS)
        for number in range(1, 40):
            assert await system.send(*(node("i", number * 100 + k, f"r{number}-{k}", name="r", temp=k) for k in range(40))) == 204
        await until(lambda: system.container.status()["snapshotEntry"] > 0)
        rows = system.rows("q")
        status = system.container.status()
    log = _quiet(client, where)
    (manifest,) = await manifests(log)
    chunks, later = len(manifest.chunks), status["entry"] - status["snapshotEntry"]
    await log.close()
    assert chunks >= 1
    assert later >= 5
    meter.reset()
    async with System(_quiet(client, where), settings=settings) as system:
        assert system.rows("q") == rows
        # Besides: the mark at the beginning and with each of two readings, the name of the snapshot and its manifest, and what
        # says that there is nothing more (two queries without an answer).
        assert meter.reads == chunks + later + 3 + 2 + 2
        assert (meter.writes, meter.deletes) == (0, 0)


# --- failures ---


class _Lying(grpc.aio.UnaryUnaryClientInterceptor):  # type: ignore[misc]
    """Every third commit reports failure though it succeeded, or does not happen and reports the same."""

    def __init__(self) -> None:
        self.commits = 0
        self.on = False

    async def intercept_unary_unary(self, continuation: Callable[..., Awaitable[Any]], details: Any, request: Any) -> Any:
        self.commits += self.on
        if not self.on or self.commits % 3:
            return await continuation(details, request)
        if self.commits % 2:
            await (await continuation(details, request))
        raise grpc.aio.AioRpcError(grpc.StatusCode.UNAVAILABLE, grpc.aio.Metadata(), grpc.aio.Metadata(), "the answer was lost")


async def test_a_commit_that_succeeds_but_reports_failure(meter: Meter) -> None:
    lying = _Lying()
    client = FirestoreClient("drasi-test", emulator=emulators.firestore(), interceptors=[*meter.interceptors(), lying])
    async with System(_quiet(client, path())) as system:
        await system.configure("q", ROOMS)
        entry = system.container.status()["entry"]
        lying.on = True
        answers = []
        for number in range(1, 31):
            change = node("i", number, f"r{number}", name=f"r{number}", temp=21)
            while (answer := await system.send(change)) != 204:
                answers.append(answer)
        assert set(answers) == {503}
        assert len(answers) >= 3, "those that did not happen"
        assert lying.commits >= 30
        assert system.container.status()["entry"] == entry + 30, "none twice"
        assert len(system.rows("q")) == 30
        assert Consumer.of(system.bus.events("q")).sorted() == system.rows("q")
        assert system.container.ready()
    await client.close()


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    """One that may be ill-treated."""
    emulator = Emulator("firestore")
    emulator.start()
    yield emulator
    emulator.stop()


async def _until_taken(system: System, change: SourceChange) -> None:
    deadline = asyncio.get_running_loop().time() + 20
    while await system.send(change) != 204:
        assert asyncio.get_running_loop().time() < deadline


async def test_a_paused_firestore_loses_nothing(emulator: Emulator) -> None:
    client = FirestoreClient("drasi-test", emulator=emulator.host, patience_s=0.1)
    log = FirestoreLog(client, path(), watch_s=0.2)
    async with System(log) as system:
        await system.configure("q", ROOMS)
        assert await system.send(node("i", 1, "r1", name="r1", temp=21)) == 204
        client.deadline_s = log._deadline_s = 0.3
        emulator.pause()
        try:
            assert await system.send(node("i", 2, "r2", name="r2", temp=22)) == 503
            assert not system.container.ready()
            assert "Log" in system.container.status()["messages"]
            assert await system.send(node("i", 3, "r3", name="r3", temp=23)) == 503
        finally:
            emulator.resume()
        # As the bus does: what was not acknowledged comes again, in order.
        client.deadline_s = log._deadline_s = 10.0
        for number in (2, 3, 4):
            await _until_taken(system, node("i", number, f"r{number}", name=f"r{number}", temp=20 + number))
        assert [row["room"] for row in system.rows("q")] == ["r1", "r2", "r3", "r4"]
        assert Consumer.of(system.bus.events("q")).sorted() == system.rows("q")
        assert system.container.ready()
        assert log.problem is None
    await client.close()


async def test_a_firestore_that_comes_back_empty_is_noticed_within_ten_seconds_and_gets_no_entry(emulator: Emulator) -> None:
    client = FirestoreClient("drasi-test", emulator=emulator.host)
    where = path()
    log = FirestoreLog(client, where)
    async with System(log) as system:
        await system.configure("q", ROOMS)
        assert await system.send(node("i", 1, "r1", name="r1", temp=21)) == 204
        # And one that does not look, but creates as soon as it can.
        blind = FirestoreLog(client, path(), watch_s=3600)
        await blind.create(1, b"1")
        blind._watching.cancel()  # type: ignore[union-attr]
        emulator.stop()
        emulator.begin()
        await until(emulator.listens, 60)
        with pytest.raises((LogLost, LogUnavailable)):
            await blind.create(2, b"2")
        assert await client.ids(f"{blind.path}/drasi-log") == []
        await blind.close()
        await until(lambda: "LogLost" in system.container.status()["messages"], 10)
        assert not system.container.ready()
        assert "apply the queries again" in system.container.status()["messages"]["LogLost"]
        assert await system.send(node("i", 2, "r2", name="r2", temp=22)) == 503
        assert await client.ids(f"{where}/drasi-log") == []
    # A process that begins after it begins anew.
    async with System(FirestoreLog(client, where)) as system:
        await system.configure("q", ROOMS)
        assert await system.send(node("i", 1, "r1", name="r1", temp=21)) == 204
        assert len(system.rows("q")) == 1
    await client.close()


async def test_the_logs_of_a_container_by_its_manifest(client: FirestoreClient) -> None:
    logs = FirestoreLogs(client)
    name = path().partition("/")[0]
    spec = {
        "storage": {
            "durable": {"kind": "firestore"},
            "other": {"kind": "firestore", "collectionPrefix": "x/y", "database": "second"},
        }
    }
    first, second = logs.open(name, spec, "durable"), logs.open(name, spec, "other")
    assert (first.path, second.path) == (f"drasi-{name}/durable", "x%2Fy/other")
    assert not await logs.exists(name, spec, "durable")
    await first.create(1, b"1")
    assert await logs.exists(name, spec, "durable")
    assert await second.head() == 0
    for log in (first, second):
        await log.delete()
    assert not await logs.exists(name, spec, "durable")
    await logs.close()
    assert await client.ids("nothing") == [], "the client of the installation stays open"


async def test_three_instances_on_one_log_lose_and_double_nothing_and_a_reader_of_any_sees_all(client: FirestoreClient) -> None:
    where = path()
    bus = RecordingBus()
    sources = {f"s{which}": FakeSource() for which in range(3)}
    settings = Settings(follow_s=0.01, snapshot_entries=10, log_bytes=1_000)

    def system(which: int) -> System:
        log = FirestoreLog(client, where, poll_s=0.02)
        log.retain_s = 0  # trimmed as soon as there is a snapshot; deleted an hour later all the same
        return System(log, bus=bus, settings=settings, snapshots=FakeSnapshots(**sources), instance=f"i{which}")

    async def deliver(systems: list[System], source: str) -> None:
        """In order, each until it is acknowledged, as a bus does; to one instance or another, sometimes to two."""
        rng = random.Random(source)
        for number in range(1, 26):
            change = node("i", number, f"{source}-{number}", name=f"{source}-{number}", temp=21, source=source)
            while 204 not in await asyncio.gather(
                *(each.send(change, source=source) for each in rng.sample(systems, rng.choice([1, 1, 2])))
            ):
                pass

    async with system(0) as first, system(1) as second, system(2) as idle:
        systems = [first, second, idle]
        await first.configure("q", ROOMS, *sources)
        reader: Any = idle.container.events_json("q", 0)
        seen = Consumer()

        async def read() -> None:
            async for _, event in reader:
                seen.take(msgspec.json.decode(event))
                if len(seen.rows) == 75:
                    return

        reading = asyncio.create_task(read())
        await asyncio.gather(*(deliver(systems[:2], source) for source in sources))
        await asyncio.wait_for(reading, 20)
        await reader.aclose()
        published = Consumer.of(bus.events("q"))
        assert published.sorted() == seen.sorted()
        assert sorted(row["room"] for row in published.rows.values()) == sorted(f"{s}-{n}" for s in sources for n in range(1, 26))
        for each in systems:
            await each.container.read_events_json("q", published.sequence, 1)
            assert len(each.rows("q")) == 75
        assert await first.log.earliest() > 1


def test_whoever_has_slept_reaches_an_entry_before_it_is_deleted() -> None:
    """However long entries are kept: a proof, and a create that began within it, end before that time is over."""
    assert Bounds() == Bounds.of(KEEP_S) == Bounds(3600, 600, 30)
    for keep_s in (1.0, 6.0, 3600.0, 7200.0):
        bounds = Bounds.of(keep_s)
        assert bounds.proof_s + bounds.deadline_s < bounds.keep_s
