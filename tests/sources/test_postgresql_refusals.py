"""The PostgreSQL source: what is in its way is said with the statement that helps; what is somebody else's stays."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager

import pytest

from drasi.sources.function import SourceFunction
from tests.postgres import Server, running
from tests.sources.postgres_world import Client, PostgresWorld, snapshot_graph
from tests.sources.world import eventually


def message_of(function: SourceFunction, code: str) -> str:
    return str(function.status()["messages"].get(code, ""))


@contextmanager
def reader(client: Client) -> Iterator[dict[str, str]]:
    """A role that may replicate, and nothing else."""
    client.execute("DROP ROLE IF EXISTS only_reads")
    client.execute("CREATE ROLE only_reads LOGIN REPLICATION PASSWORD 'p4ss'")
    try:
        yield {"user": "only_reads", "password": "p4ss", "publicationName": "pub"}
    finally:
        client.execute("DROP OWNED BY only_reads; DROP ROLE only_reads")


async def test_policies_of_row_security(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute("CREATE TABLE t (id int PRIMARY KEY); ALTER TABLE t ENABLE ROW LEVEL SECURITY; INSERT INTO t VALUES (1)")
    client.execute("CREATE PUBLICATION pub FOR TABLE t")
    with reader(client) as role:
        client.execute("GRANT SELECT ON t TO only_reads")
        function = pg.function(**role)
        await function.start()
        await eventually(lambda: "ALTER ROLE only_reads BYPASSRLS" in message_of(function, "NotReadable"), pause_s=0.002)
        client.execute("ALTER ROLE only_reads BYPASSRLS")
        await eventually(lambda: not message_of(function, "NotReadable") and function.status()["available"], pause_s=0.002)
        client.execute("INSERT INTO t VALUES (2)")
        await pg.settled(function)
        assert pg.bus.said == [("i", "public:t:2")]
        assert set((await snapshot_graph(function)).elements) == {"public:t:1", "public:t:2"}
        await function.close()


async def test_a_schema_that_may_not_be_used(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute('CREATE SCHEMA "S"; CREATE TABLE "S".t (id int PRIMARY KEY); CREATE PUBLICATION pub FOR TABLE "S".t')
    with reader(client) as role:
        client.execute('GRANT SELECT ON "S".t TO only_reads')
        function = pg.function(**role)
        await function.start()
        await eventually(lambda: 'GRANT USAGE ON SCHEMA "S" TO only_reads' in message_of(function, "NotReadable"), pause_s=0.002)
        client.execute('GRANT USAGE ON SCHEMA "S" TO only_reads')
        await eventually(lambda: bool(pg.renewals), pause_s=0.002)
        client.execute('INSERT INTO "S".t VALUES (1)')
        await pg.settled(function)
        assert pg.bus.graph.elements == (await snapshot_graph(function)).elements != {}
        await function.close()


async def test_an_expression_that_may_not_be_computed(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute("CREATE SCHEMA hidden; CREATE FUNCTION hidden.f(int) RETURNS int LANGUAGE sql IMMUTABLE AS 'SELECT $1 + 1'")
    client.execute("CREATE TABLE t (id int PRIMARY KEY, v int GENERATED ALWAYS AS (hidden.f(id)) STORED)")
    client.execute("CREATE PUBLICATION pub FOR TABLE t")
    with reader(client) as role:
        client.execute("GRANT SELECT ON t TO only_reads")
        function = await pg.watch(**role)
        client.execute("INSERT INTO t VALUES (1)")
        statement = "GRANT USAGE ON SCHEMA hidden TO only_reads"
        await eventually(lambda: statement in message_of(function, "NotAllowed"), pause_s=0.002)
        assert pg.bus.said == []
        client.execute(statement)
        await pg.settled(function)
        assert pg.bus.graph.properties() == {"public:t:1": {"id": 1, "v": 2}}
        await function.close()


async def test_a_new_table_that_may_not_be_published(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute("CREATE TABLE t (id int PRIMARY KEY); CREATE PUBLICATION pub FOR TABLE t")
    with reader(client) as role:
        client.execute("GRANT SELECT ON t TO only_reads; ALTER DEFAULT PRIVILEGES GRANT SELECT ON TABLES TO only_reads")
        function = await pg.watch(**role)
        client.execute("CREATE TABLE u (id int PRIMARY KEY); INSERT INTO u VALUES (1); INSERT INTO t VALUES (1)")
        statement = "ALTER PUBLICATION pub ADD TABLE ONLY public.u"
        await eventually(lambda: statement in message_of(function, "NotPublished"), pause_s=0.002)
        client.execute("INSERT INTO t VALUES (2)")
        await pg.settled(function)
        assert function.status()["available"] is True
        assert statement in message_of(function, "NotPublished")
        client.execute(statement)
        await eventually(lambda: bool(pg.renewals), pause_s=0.002)
        client.execute("INSERT INTO u VALUES (2)")
        await pg.settled(function)
        assert pg.bus.said == [("i", "public:t:1"), ("i", "public:t:2"), ("i", "public:u:2")]
        assert function.status()["messages"] == {}
        await function.close()


@pytest.mark.parametrize(("what", "left_out"), [(" WHERE (id > 5)", "some rows"), (" (id)", "the columns v")])
async def test_a_publication_that_leaves_something_out(pg: PostgresWorld, what: str, left_out: str) -> None:
    client = pg.client()
    client.execute(f"CREATE TABLE t (id int PRIMARY KEY, v int); CREATE PUBLICATION pub FOR TABLE t{what}")
    function = pg.function(publicationName="pub")
    await function.start()
    await eventually(lambda: left_out in message_of(function, "NotAllowed"), pause_s=0.002)
    statements = message_of(function, "NotAllowed").rpartition("run: ")[2]
    for statement in statements.split("; "):
        client.execute(statement)
    await pg.available(function)
    client.execute("INSERT INTO t VALUES (1, 5)")
    await pg.settled(function)
    assert pg.bus.graph.properties() == {"public:t:1": {"id": 1, "v": 5}}


async def test_a_table_taken_from_the_publication(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY)")
    function = await pg.watch(publicationName="pub")
    client.execute("ALTER PUBLICATION pub DROP TABLE t; INSERT INTO t VALUES (1)")
    await eventually(lambda: bool(pg.renewals), pause_s=0.002)
    assert pg.renewals == ["new tables: public.t"]
    client.execute("INSERT INTO t VALUES (2)")
    await pg.settled(function)
    assert pg.bus.said == [("i", "public:t:2")]


async def test_a_slot_of_somebody_else_stays(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute("CREATE TABLE t (id int PRIMARY KEY)")
    client.execute("SELECT pg_create_physical_replication_slot('a_standby')")
    try:
        function = pg.function(slotName="a_standby")
        await function.start()
        await eventually(lambda: "a standby's" in message_of(function, "WrongSlot"), pause_s=0.002)
        await function.deprovision()
        assert client.execute("SELECT count(*) FROM pg_replication_slots WHERE slot_name = 'a_standby'").fetchone() == (1,)
    finally:
        client.execute("SELECT pg_drop_replication_slot('a_standby')")


async def test_a_connection_that_is_cut(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute("CREATE TABLE t (id int PRIMARY KEY, v text)")
    function = await pg.watch()
    cut = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'drasi db'"
    for number in range(5):
        client.execute("INSERT INTO t SELECT %s * 10000 + n, repeat('v', 100) FROM generate_series(1, 2000) n", [number])
        client.execute(cut)
    await pg.settled(function)
    assert len(pg.bus.graph.elements) == 10_000
    assert pg.renewals == []


async def test_a_slot_that_the_server_gave_up() -> None:
    with running(max_slot_wal_keep_size="1MB", max_wal_size="32MB", min_wal_size="32MB", wal_keep_size="0") as server:
        world = PostgresWorld(server, "postgres")
        client = world.client()
        client.execute("CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE noise (v text)")
        function = await world.watch(tables=["t"])
        await function.close()
        client.execute("INSERT INTO t VALUES (1)")
        for _ in range(4):
            client.execute("INSERT INTO noise SELECT repeat('n', 1000) FROM generate_series(1, 5000); SELECT pg_switch_wal()")
            client.execute("CHECKPOINT")
        assert client.execute("SELECT wal_status FROM pg_replication_slots").fetchall() == [("lost",)]
        function = await world.watch(tables=["t"])
        assert "max_slot_wal_keep_size" in world.renewals[0]
        client.execute("INSERT INTO t VALUES (2)")
        await world.settled(function)
        assert world.bus.said == [("i", "public:t:2")]
        await world.close()


@pytest.fixture
async def restored() -> AsyncIterator[tuple[Server, PostgresWorld]]:
    """A server that was copied before it went on."""
    with running() as server:
        world = PostgresWorld(server, "postgres")
        with server.connect() as client:
            client.execute("CREATE TABLE t (id int PRIMARY KEY)")
        try:
            yield server, world
        finally:
            await world.close()


@pytest.mark.parametrize("how", ["a copy of its disk", "a recovery"])
async def test_a_server_that_was_restored(restored: tuple[Server, PostgresWorld], how: str) -> None:
    server, world = restored
    function = await world.watch()
    with server.connect() as client:
        client.execute("INSERT INTO t VALUES (1)")
    await world.settled(function)
    await function.close()
    server.stop()
    shutil.copytree(server.folder / "data", server.folder / "copy", symlinks=True)
    server.start()
    function = await world.watch()
    with server.connect() as client:
        client.execute("INSERT INTO t SELECT generate_series(2, 2000)")
    await world.settled(function)
    assert world.renewals == []
    server.stop()
    shutil.rmtree(server.folder / "data")
    (server.folder / "copy").rename(server.folder / "data")
    if how == "a recovery":
        (server.folder / "data" / "recovery.signal").touch()
    if server.user is not None:
        subprocess.run(["chown", "-R", f"{server.user}:nogroup", str(server.folder / "data")], check=True)  # noqa: ASYNC221
    server.start(restore_command="/bin/false")
    await eventually(lambda: bool(world.renewals), pause_s=0.002)
    assert "was restored or failed over" in world.renewals[0]
    await world.available(function)
    with server.connect() as client:
        client.execute("INSERT INTO t VALUES (5000)")
    await world.settled(function)
    assert "public:t:5000" in world.bus.graph.elements, "its position is higher than those before"
    found = (await snapshot_graph(function)).elements
    assert set(found) == {"public:t:1", "public:t:5000"}
