"""The PostgreSQL source: nothing is lost or doubled, whatever fails; snapshots are cut exactly."""

from __future__ import annotations

import asyncio
import random
import tracemalloc
from collections.abc import AsyncGenerator
from typing import Any

import psycopg
import pytest

from drasi.messages.changes import Element, SourceChange
from drasi.sources.function import SourceFunction
from drasi.sources.port import BadRequest, OriginUnavailable, SnapshotRequest, StateConflict
from drasi.sources.postgresql import slot
from drasi.sources.postgresql import source as module
from drasi.sources.postgresql.connection import Connection
from drasi.sources.state import MemoryState
from drasi.web.metrics import source_metrics
from tests.postgres import running
from tests.sources.postgres_world import PostgresWorld, snapshot_graph, whole_snapshot
from tests.sources.sqlite_world import read_part
from tests.sources.world import Graph, eventually

ROOMS = "CREATE TABLE room (id int PRIMARY KEY, v int, note text, up int REFERENCES room (id) ON DELETE SET NULL ON UPDATE CASCADE)"


def plain(element: Element) -> Element:
    """Without nulls, as a graph has it."""
    properties = {name: value for name, value in element.properties.items() if value is not None}
    return Element(element.id, element.labels, properties, element.startId, element.endId)


SLOT = "FROM pg_replication_slots WHERE database = current_database()"


def message_of(function: SourceFunction, code: str) -> str:
    return str(function.status()["messages"].get(code, ""))


def at(changes: list[SourceChange], position: str) -> dict[str, Element]:
    """The graph of the changes up to a position."""
    graph = Graph()
    for change in changes:
        if (change.payload.source.position or "") <= position:
            graph.apply(change)
    return graph.elements


async def write(pg: PostgresWorld, seed: int, rounds: int) -> None:
    """A program that changes the table in transactions of its own, some of which it gives up."""
    chance = random.Random(seed)
    server = pg.server
    connection = await psycopg.AsyncConnection.connect(
        host=server.host, port=server.port, user=server.superuser, password=server.password, dbname=pg.database, autocommit=True
    )
    async with connection:
        for _ in range(rounds):
            try:
                async with connection.transaction(force_rollback=chance.random() < 0.1):
                    for _ in range(chance.randint(1, 4)):
                        one, other, kind = chance.randint(1, 30), chance.randint(1, 30), chance.random()
                        if kind < 0.4:
                            await connection.execute(
                                "INSERT INTO room VALUES (%s, %s, 'new') ON CONFLICT (id) DO UPDATE SET v = excluded.v",
                                [one, other],
                            )
                        elif kind < 0.6:
                            await connection.execute("UPDATE room SET up = %s WHERE id = %s", [other, one])
                        elif kind < 0.75:
                            await connection.execute("DELETE FROM room WHERE id = %s", [one])
                        elif kind < 0.9:
                            await connection.execute("UPDATE room SET id = %s WHERE id = %s", [other, one])
                        else:
                            await connection.execute("UPDATE room SET note = repeat('n', %s) WHERE v = %s", [one * 200, other])
            except (psycopg.IntegrityError, psycopg.errors.DeadlockDetected):
                continue


async def test_every_part_of_a_snapshot_is_the_stream_up_to_its_position(pg: PostgresWorld) -> None:
    pg.client().execute(ROOMS)
    function = await pg.watch(foreignKeys="all")
    writers = [asyncio.create_task(write(pg, seed, 60)) for seed in range(4)]
    parts = []
    while not all(writer.done() for writer in writers):
        header, elements, end = await read_part(function, SnapshotRequest())
        assert end.cursor is None
        parts.append((header.position, {element.id: plain(element) for element in elements}))
    await asyncio.gather(*writers)
    await pg.settled(function)
    assert len(parts) >= 3
    assert [position for position, _ in parts] == sorted({position for position, _ in parts})
    for position, found in parts:
        assert found == at(pg.bus.changes, position)
    assert (await snapshot_graph(function)).elements == pg.bus.graph.elements
    assert pg.bus.graph.dropped == 0


async def test_a_commit_in_the_log_that_nobody_sees_yet_is_in_the_snapshot(pg: PostgresWorld) -> None:
    client, operator = pg.client(), pg.client()
    client.execute("CREATE TABLE t (id int PRIMARY KEY)")
    function = await pg.watch()
    operator.execute("ALTER SYSTEM SET synchronous_standby_names = 'nobody'")
    operator.execute("SELECT pg_reload_conf()")
    try:
        # The server heeds the new setting when it comes to it: the first commits may still go through.
        waits = "SELECT wait_event = 'SyncRep' FROM pg_stat_activity WHERE pid = %s"
        number = 0
        while True:
            number += 1
            committing = asyncio.create_task(asyncio.to_thread(client.execute, "INSERT INTO t VALUES (%s)", [number]))
            pid = client.info.backend_pid
            await eventually(
                lambda: committing.done() or operator.execute(waits, [pid]).fetchone() == (True,),  # noqa: B023
                pause_s=0.002,
            )
            if not committing.done():
                break
        await pg.bus.until(lambda: ("i", f"public:t:{number}") in pg.bus.said)
        assert operator.execute("SELECT count(*) FROM t").fetchall() == [(number - 1,)], "published, and not visible yet"
        reading = asyncio.create_task(read_part(function, SnapshotRequest()))
        await eventually(lambda: "WaitsForTransactions" in function.status()["messages"], pause_s=0.002)
        assert "synchronous standby" in message_of(function, "WaitsForTransactions")
        assert not reading.done()
    finally:
        operator.execute("ALTER SYSTEM RESET synchronous_standby_names")
        operator.execute("SELECT pg_reload_conf()")
    await committing
    header, elements, _ = await reading
    assert (pg.bus.changes[-1].payload.source.position or "") <= header.position
    assert {element.id for element in elements} == pg.bus.graph.elements.keys()
    assert len(elements) == number
    assert "WaitsForTransactions" not in function.status()["messages"]


async def test_a_snapshot_waits_for_running_transactions_and_says_for_which(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute("CREATE TABLE t (id int PRIMARY KEY)")
    function = await pg.watch()
    client.execute("SET application_name = 'slow report'")
    client.execute("BEGIN")
    client.execute("INSERT INTO t VALUES (1)")
    reading = asyncio.create_task(read_part(function, SnapshotRequest()))
    await eventually(lambda: "slow report" in message_of(function, "WaitsForTransactions"), pause_s=0.002)
    assert f"process {client.info.backend_pid} of drasi" in message_of(function, "WaitsForTransactions")
    client.execute("COMMIT")
    header, elements, _ = await reading
    await pg.settled(function)
    [change] = pg.bus.changes
    assert ((change.payload.source.position or "") <= header.position) == (len(elements) == 1)


async def test_a_snapshot_comes_in_parts(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute("CREATE TABLE a (x text, y int, up int, PRIMARY KEY (x, y)); CREATE TABLE b (id int PRIMARY KEY)")
    client.execute("INSERT INTO b SELECT generate_series(1, 20)")
    client.execute("INSERT INTO a SELECT chr(97 + n %% 3), n, n FROM generate_series(1, 20) n".replace("%%", "%"))
    relations = [{"type": "UP", "table": "a", "columns": ["up"], "references": "b"}]
    function = await pg.watch(pageSize=3, relations=relations)
    _, elements, ends = await whole_snapshot(function, SnapshotRequest(limit=7))
    assert [end.count for end in ends] == [7] * 8 + [4]
    _, whole, [end] = await whole_snapshot(function)
    assert end.count == 60
    assert elements == whole
    assert len({element.id for element in whole}) == 60
    with pytest.raises(BadRequest):
        await read_part(function, SnapshotRequest(cursor="rubbish"))


async def test_changes_between_the_parts_are_reconciled(pg: PostgresWorld) -> None:
    """As a container does: each element from the newest part that has it, and its changes behind that part."""
    client = pg.client()
    client.execute(ROOMS)
    client.execute("INSERT INTO room SELECT n, n, 'old' FROM generate_series(1, 30) n")
    function = await pg.watch(foreignKeys="all")
    writer = asyncio.create_task(write(pg, 5, 80))
    graph: dict[str, Element] = {}
    positions: dict[str, str] = {}
    cursor: str | None = None
    while True:
        header, elements, end = await read_part(function, SnapshotRequest(limit=4, cursor=cursor))
        for element in elements:
            graph[element.id], positions[element.id] = plain(element), header.position
        cursor = end.cursor
        if cursor is None:
            break
    await writer
    await pg.settled(function)
    live = Graph()
    for change in pg.bus.changes:
        payload = change.payload
        changed = payload.after or payload.before
        assert changed is not None
        if (payload.source.position or "") > positions.get(changed.id, ""):
            live.elements = {changed.id: graph[changed.id]} if changed.id in graph else {}
            live.apply(change)
            graph.pop(changed.id, None)
            graph |= live.elements
    assert graph == (await snapshot_graph(function)).elements


class Failing(MemoryState):
    """Writes as it is told: fails before, or after."""

    def __init__(self) -> None:
        super().__init__()
        self.fail: str | None = None

    async def put(self, name: str, value: str, *, expected: str | None) -> None:
        if name == "position" and self.fail == "before":
            self.fail = None
            raise OriginUnavailable("the process ended before it could note this")
        await super().put(name, value, expected=expected)
        if name == "position" and self.fail == "after":
            self.fail = None
            raise OriginUnavailable("the process ended right after it noted this")


@pytest.mark.parametrize("when", ["before", "after"])
async def test_a_crash_repeats_with_the_same_positions(pg: PostgresWorld, when: str) -> None:
    state = Failing()
    pg.state = state
    client = pg.client()
    client.execute("CREATE TABLE t (id int PRIMARY KEY)")
    function = await pg.watch()
    client.execute("INSERT INTO t VALUES (1)")
    await pg.settled(function)
    state.fail = when
    client.execute("INSERT INTO t VALUES (2)")
    await eventually(lambda: state.fail is None, pause_s=0.001)
    await function.close()
    client.execute("INSERT INTO t VALUES (3)")
    function = await pg.watch()
    await pg.settled(function)
    assert set(pg.bus.graph.elements) == {"public:t:1", "public:t:2", "public:t:3"}
    seen: dict[str | None, str] = {}
    for change in pg.bus.changes:
        assert change.payload.after is not None
        assert seen.setdefault(change.payload.source.position, change.payload.after.id) == change.payload.after.id
    assert len(seen) == 3
    if when == "after":
        assert pg.bus.graph.dropped == 0
    assert pg.renewals == []


async def test_a_bus_that_refuses_holds_the_slot(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute("CREATE TABLE t (id int PRIMARY KEY)")
    function = await pg.watch()
    pg.bus.failing = True
    client.execute("INSERT INTO t VALUES (1)")
    await eventually(lambda: "BusUnavailable" in function.status()["messages"], pause_s=0.002)
    assert function.status()["available"] is False
    client.execute("INSERT INTO t VALUES (2)")
    pg.bus.failing = False
    await pg.settled(function)
    assert pg.bus.said == [("i", "public:t:1"), ("i", "public:t:2")]
    await eventually(lambda: function.status()["messages"] == {}, pause_s=0.002)


async def test_two_instances_at_once(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute(ROOMS)
    first = await pg.watch()
    second = await pg.watch()
    await asyncio.gather(*(write(pg, seed, 50) for seed in range(3)))
    await pg.settled(first)
    await pg.settled(second)
    assert pg.bus.graph.elements == (await snapshot_graph(first)).elements
    assert pg.renewals == []
    await first.close()
    client.execute("INSERT INTO room VALUES (100, 1)")
    await pg.settled(second)
    assert "public:room:100" in pg.bus.graph.elements


async def test_the_server_restarts(pg: PostgresWorld) -> None:
    with running() as server:
        world = PostgresWorld(server, "postgres")
        client = world.client()
        client.execute("CREATE TABLE t (id int PRIMARY KEY)")
        function = await world.watch()
        client.execute("INSERT INTO t VALUES (1)")
        await world.settled(function)
        client.execute("INSERT INTO t VALUES (2)")
        await asyncio.to_thread(server.stop)
        await eventually(lambda: "OriginUnavailable" in function.status()["messages"], pause_s=0.002)
        assert "s3cret" not in str(function.status())
        with pytest.raises(OriginUnavailable):
            await read_part(function, SnapshotRequest())
        await asyncio.to_thread(server.start)
        with server.connect() as again:
            again.execute("INSERT INTO t VALUES (3)")
        await eventually(lambda: ("i", "public:t:3") in world.bus.said, pause_s=0.002)
        await world.settled(function)
        assert set(world.bus.graph.elements) == {"public:t:1", "public:t:2", "public:t:3"}
        assert world.renewals == []
        assert function.status()["available"] is True
        await world.close()


async def test_a_slot_that_is_gone(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute("CREATE TABLE t (id int PRIMARY KEY)")
    function = await pg.watch()
    client.execute("INSERT INTO t VALUES (1)")
    await pg.settled(function)
    await eventually(lambda: _drop_slot(client), pause_s=0.001)
    await eventually(lambda: len(pg.renewals) == 1, pause_s=0.002)
    assert f"replication slot db_{pg.database} is gone" in pg.renewals[0]
    await pg.available(function)
    client.execute("INSERT INTO t VALUES (2)")
    await pg.settled(function)
    assert pg.bus.said[-1] == ("i", "public:t:2")
    assert "PositionLost" not in function.status()["messages"]
    # It goes on, and what has happened stays said.
    [warning] = function.status()["warnings"]
    assert warning["code"] == "PositionLost"
    assert f"replication slot db_{pg.database} is gone; queries read it again" in warning["message"]


def _drop_slot(client: psycopg.Connection[Any]) -> bool:
    """Unless the source reads it this instant."""
    try:
        client.execute("SELECT pg_drop_replication_slot(slot_name) " + SLOT)
    except psycopg.errors.ObjectInUse:
        return False
    return True


@pytest.mark.parametrize("what", ["advanced", "publication"])
async def test_what_the_slot_held_was_lost_while_nobody_looked(pg: PostgresWorld, what: str) -> None:
    client = pg.client()
    client.execute("CREATE TABLE t (id int PRIMARY KEY)")
    function = await pg.watch(publicationName="pub")
    client.execute("INSERT INTO t VALUES (1)")
    await pg.settled(function)
    await function.close()
    client.execute("INSERT INTO t VALUES (2)")
    if what == "advanced":
        client.execute("SELECT pg_replication_slot_advance(slot_name, pg_current_wal_lsn()) " + SLOT)
    else:
        client.execute("DROP PUBLICATION pub")
    function = await pg.watch(publicationName="pub")
    assert len(pg.renewals) == 1
    client.execute("INSERT INTO t VALUES (3)")
    await pg.settled(function)
    assert pg.bus.said == [("i", "public:t:1"), ("i", "public:t:3")]
    assert set((await snapshot_graph(function)).elements) == {"public:t:1", "public:t:2", "public:t:3"}


async def test_a_lost_position_can_stop_the_source(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute("CREATE TABLE t (id int PRIMARY KEY)")
    function = await pg.watch(onPositionLost="stop")
    await eventually(lambda: _drop_slot(client), pause_s=0.001)
    await eventually(lambda: "is gone" in message_of(function, "PositionLost"), pause_s=0.002)
    assert "onPositionLost: rebootstrap" in message_of(function, "PositionLost")
    assert function.status()["available"] is False
    assert pg.renewals == []


async def test_slot_and_publication_come_and_go_with_the_source(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute("CREATE TABLE t (id int PRIMARY KEY)")

    def made() -> list[str]:
        found = client.execute(f"SELECT slot_name {SLOT} UNION SELECT pubname FROM pg_publication ORDER BY 1")
        return [row[0] for row in found.fetchall()]

    function = pg.function("harbour-db", slotName=None)
    await function.start()
    await pg.available(function)
    assert made() == ["rg_harbour_db"]
    await whole_snapshot(function)
    await function.deprovision()
    assert made() == []
    assert pg.state.values == {}
    client.execute("CREATE PUBLICATION theirs FOR TABLE t")
    function = await pg.watch(publicationName="theirs")
    await function.deprovision()
    assert made() == ["theirs"]
    await function.deprovision()


async def test_what_an_operator_must_allow_is_said(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute("CREATE TABLE t (id int PRIMARY KEY)")
    client.execute("DROP ROLE IF EXISTS reader")
    client.execute("CREATE ROLE reader LOGIN PASSWORD 'p4ss'")
    function = pg.function(user="reader", password="p4ss", publicationName="pub")
    await function.start()
    await eventually(lambda: "GRANT SELECT ON public.t TO reader" in message_of(function, "NotReadable"), pause_s=0.002)
    client.execute("GRANT SELECT ON t TO reader")
    await eventually(lambda: "CREATE PUBLICATION pub FOR TABLE ONLY public.t" in message_of(function, "NotAllowed"), pause_s=0.002)
    client.execute("CREATE PUBLICATION pub FOR TABLE t")
    await eventually(lambda: "ALTER ROLE reader REPLICATION" in message_of(function, "NotAllowed"), pause_s=0.002)
    client.execute("ALTER ROLE reader REPLICATION")
    await pg.available(function)
    client.execute("INSERT INTO t VALUES (1)")
    await pg.settled(function)
    assert pg.bus.said == [("i", "public:t:1")]
    assert set((await snapshot_graph(function)).elements) == {"public:t:1"}
    assert function.status()["messages"] == {}
    await function.close()
    wrong = pg.function(user="reader", password="guess")
    await wrong.start()
    await eventually(lambda: "user and password" in message_of(wrong, "OriginUnavailable"), pause_s=0.002)
    assert "guess" not in str(wrong.status())
    await wrong.close()
    client.execute("DROP OWNED BY reader; DROP ROLE reader")


async def test_a_server_without_logical_decoding(pg: PostgresWorld) -> None:
    with running(wal_level="replica") as server:
        world = PostgresWorld(server, "postgres")
        function = world.function()
        await function.start()
        await eventually(lambda: "ALTER SYSTEM SET wal_level = logical" in message_of(function, "NotAllowed"), pause_s=0.002)
        await world.close()


async def test_a_hundred_thousand_transactions_in_a_row(pg: PostgresWorld) -> None:
    """Drained in order, with little in memory at a time; how far behind it is can be seen meanwhile; and the slot follows."""
    many = 100_000
    client = pg.client()
    client.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    function = await pg.watch()
    pg.bus.gate.clear()
    client.execute(
        "CREATE PROCEDURE fill(n int) LANGUAGE plpgsql AS"
        " 'BEGIN FOR i IN 1..n LOOP INSERT INTO t VALUES (i, repeat(''x'', 200)); COMMIT; END LOOP; END'"
    )
    client.execute("SET synchronous_commit = off")
    client.execute(f"CALL fill({many})")
    tracemalloc.start()
    pg.bus.graph = Graph()
    pg.bus.gate.set()
    count = 0
    highest = 0
    lags: list[int] = []
    metrics: list[float] = []
    ids: list[str] = []
    while count < many:
        await pg.bus.until(lambda: bool(pg.bus.published))
        highest = max(highest, tracemalloc.get_traced_memory()[1])
        for message in pg.bus.published:
            ids += [change.payload.after.id for change in message.changes if change.payload.after]
        count = len(ids)
        status = function.status()
        lags.append(status.get("lagMs", 0))
        metrics += [
            sample.value
            for family in source_metrics({"db": status})
            for sample in family.samples
            if sample.name == "drasi_source_lag_seconds"
        ]
        pg.bus.published.clear()
        pg.bus.graph = Graph()
    tracemalloc.stop()
    assert ids == [f"public:t:{n}" for n in range(1, many + 1)]
    # A peek's pages, not what is waiting; the ids that this test itself keeps are part of it.
    assert highest < 60_000_000
    assert max(lags) > 0
    assert metrics == [lag / 1000 for lag in lags]
    await pg.settled(function)
    await eventually(
        lambda: client.execute("SELECT pg_current_wal_lsn() - confirmed_flush_lsn < 2000000 " + SLOT).fetchall() == [(True,)],
        pause_s=0.002,
    )


async def test_a_transaction_is_kept_whole(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    function = await pg.watch()
    client.execute("INSERT INTO t SELECT n, 'v' FROM generate_series(1, 5000) n")
    await pg.settled(function)
    [message] = pg.bus.published
    assert len(message.changes) == 5_000
    assert len({change.payload.source.tx for change in message.changes}) == 1
    positions = [change.payload.source.position or "" for change in message.changes]
    assert positions == sorted(set(positions))


async def test_a_transaction_that_is_too_large_is_split_and_said(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    function = await pg.watch()
    client.execute("INSERT INTO t SELECT n, repeat('v', 1000) FROM generate_series(1, 40000) n")
    await pg.settled(function)
    assert len(pg.bus.changes) == len(pg.bus.graph.elements) == 40_000
    [warning] = function.status()["warnings"]
    assert warning["code"] == "TransactionSplit"
    parts: dict[str | None, set[int]] = {}
    for number, message in enumerate(pg.bus.published):
        for change in message.changes:
            parts.setdefault(change.payload.source.tx, set()).add(number)
    assert len(parts) > 1
    assert all(len(messages) == 1 for messages in parts.values())


async def test_the_log_of_others_is_given_up(pg: PostgresWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "_IDLE_BYTES", 100_000)
    client = pg.client()
    client.execute("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE noise (v text)")
    function = await pg.watch(tables=["t"])
    [[before]] = client.execute("SELECT confirmed_flush_lsn - '0/0' " + SLOT).fetchall()
    client.execute("INSERT INTO noise SELECT repeat('n', 1000) FROM generate_series(1, 1000)")
    await pg.settled(function)
    await eventually(
        lambda: (
            client.execute(
                "SELECT confirmed_flush_lsn - '0/0' - %s > 100000 " + SLOT,
                [before],
            ).fetchall()
            == [(True,)]
        ),
        pause_s=0.002,
    )
    assert pg.bus.changes == []
    client.execute("INSERT INTO t VALUES (1)")
    await pg.settled(function)
    assert pg.bus.said == [("i", "public:t:1")]
    assert pg.renewals == []


async def test_state_written_by_another_is_read_again(pg: PostgresWorld) -> None:
    pg.client().execute("CREATE TABLE t (id int PRIMARY KEY)")
    function = await pg.watch()
    with pytest.raises(StateConflict):
        await pg.state.put("position", "{}", expected="not this")
    await pg.settled(function)


async def test_a_commit_that_is_flushed_in_part_is_not_over(pg: PostgresWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    """The log is flushed by pages: its end may lie inside the record of a commit, which then cannot be read yet."""
    flushed: int | None = None
    until: int | None = None
    real_ends, real_peek = slot.ends, slot.peek

    async def ends(connection: Connection) -> tuple[int, int]:
        nonlocal until
        until = flushed
        found = await real_ends(connection)
        return found if until is None else (until, found[1])

    async def peek(connection: Connection, name: str, publication: str, limit: int) -> AsyncGenerator[list[bytes]]:
        if until is None:
            async for page in real_peek(connection, name, publication, limit):
                yield page

    monkeypatch.setattr(slot, "ends", ends)
    monkeypatch.setattr(slot, "peek", peek)
    monkeypatch.setattr(module, "_IDLE_BYTES", 1)
    client = pg.client()
    client.execute("CREATE TABLE t (id int PRIMARY KEY)")
    function = await pg.watch()
    await pg.settled(function)
    source = function.source
    assert isinstance(source, module.PostgreSQLSource)
    [[flushed]] = client.execute("SELECT (pg_current_wal_flush_lsn() - '0/0')::bigint").fetchall()
    client.execute("INSERT INTO t VALUES (1)")
    [[flushed]] = client.execute("SELECT (pg_current_wal_insert_lsn() - '0/0')::bigint - 8").fetchall()
    polls = source._polls
    await eventually(lambda: source._polls > polls + 3, pause_s=0.002)
    flushed = None
    await pg.settled(function)
    assert pg.bus.said == [("i", "public:t:1")]
