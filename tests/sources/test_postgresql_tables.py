"""The PostgreSQL source: tables change while they are watched; what the log does not say of that is read again."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from drasi.sources.function import SourceFunction
from drasi.sources.port import OriginUnavailable, SnapshotHeader, SnapshotRequest
from tests.sources.postgres_world import PostgresWorld, snapshot_graph
from tests.sources.sqlite_world import read_part
from tests.sources.world import eventually


async def same(pg: PostgresWorld, function: SourceFunction) -> None:
    """What the stream has made is what a snapshot gives."""
    await pg.settled(function)
    assert pg.bus.graph.elements == (await snapshot_graph(function)).elements


def messages(function: SourceFunction) -> dict[str, str]:
    found: dict[str, str] = function.status()["messages"]
    return found


REASONS = [
    (
        "CREATE TABLE t (id int PRIMARY KEY, code text NOT NULL); INSERT INTO t VALUES (1, 'a')",
        "ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (code)",
        "public.t has another key (code)",
    ),
    (
        "CREATE TABLE t (id int PRIMARY KEY, up int); INSERT INTO t VALUES (1, 1)",
        "ALTER TABLE t ADD FOREIGN KEY (up) REFERENCES t (id)",
        "public.t has other foreign keys",
    ),
    (
        "CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1)",
        "ALTER TABLE t ALTER v TYPE text USING 'n' || v",
        "public.t has columns of another type or expression (v)",
    ),
]
PARTED = (
    "CREATE TABLE t (id int PRIMARY KEY, v int) PARTITION BY RANGE (id); CREATE TABLE p PARTITION OF t FOR VALUES FROM (0) TO (10);"
    " CREATE TABLE q (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1); INSERT INTO q VALUES (11, 1)"
)
LOST = "public.t has lost a partition, or one was emptied"
REASONS += [
    (PARTED, "DROP TABLE p", LOST),
    (PARTED, "ALTER TABLE t DETACH PARTITION p", LOST),
    (PARTED, "TRUNCATE p", LOST),
    (
        PARTED,
        "ALTER TABLE t ATTACH PARTITION q FOR VALUES FROM (10) TO (20)",
        "public.t has got a partition that has rows",
    ),
]


@pytest.mark.parametrize(("before", "change", "reason"), REASONS, ids=[change for _, change, _ in REASONS])
async def test_what_makes_other_elements_of_the_same_rows_is_read_again(
    pg: PostgresWorld, before: str, change: str, reason: str
) -> None:
    client = pg.client()
    client.execute(before)
    function = await pg.watch(tables=["t"], foreignKeys="all")
    client.execute(change)
    await eventually(lambda: bool(pg.renewals), pause_s=0.002)
    assert pg.renewals == [reason]
    await pg.settled(function)
    await function.close()
    function = await pg.watch(tables=["t"], foreignKeys="all")
    assert pg.renewals == [reason], "once"


async def test_what_only_new_rows_show_is_not_read_again(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute(PARTED)
    client.execute("CREATE TABLE u (id int PRIMARY KEY, v varchar(5))")
    function = await pg.watch(tables=["t", "u"])
    client.execute("CREATE TABLE r PARTITION OF t FOR VALUES FROM (20) TO (30); ALTER TABLE u ADD COLUMN w int")
    client.execute("ALTER TABLE u ALTER v TYPE varchar(9); ALTER TABLE u RENAME w TO x")
    polls = function.source._polls  # type: ignore[union-attr]
    await eventually(lambda: function.source._polls > polls + 25, pause_s=0.002)  # type: ignore[union-attr]
    client.execute("INSERT INTO t VALUES (25, 1); INSERT INTO u VALUES (1, 'a', 2)")
    await pg.settled(function)
    assert pg.bus.graph.properties() == {"public:t:25": {"id": 25, "v": 1}, "public:u:1": {"id": 1, "v": "a", "x": 2}}
    assert pg.renewals == []


@pytest.mark.parametrize(
    ("given", "reason"),
    [
        ({"foreignKeys": "all"}, "public.u has other foreign keys"),
        ({"decimals": "string"}, "decimals are written as string"),
        ({"tableKeys": [{"table": "t", "keyColumns": ["n"]}]}, "public.t has another key (n)"),
    ],
    ids=str,
)
async def test_other_properties_make_other_elements(pg: PostgresWorld, given: dict[str, Any], reason: str) -> None:
    client = pg.client()
    client.execute("CREATE TABLE t (id int PRIMARY KEY, n numeric NOT NULL); ALTER TABLE t REPLICA IDENTITY FULL")
    client.execute("CREATE TABLE u (id int PRIMARY KEY, t int REFERENCES t (id)); INSERT INTO t VALUES (1, 5)")
    await (await pg.watch()).close()
    await pg.watch(**given)
    assert pg.renewals == [reason]


async def test_a_key_column_gets_another_name(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1)")
    function = await pg.watch()
    pg.bus.gate.clear()
    client.execute("INSERT INTO t VALUES (2, 2); UPDATE t SET v = 3 WHERE id = 1")
    client.execute("ALTER TABLE t RENAME id TO number; INSERT INTO t VALUES (4, 4); UPDATE t SET v = 9 WHERE number = 2")
    pg.bus.gate.set()
    await eventually(lambda: bool(pg.renewals), pause_s=0.002)
    client.execute("INSERT INTO t VALUES (5, 5)")
    await pg.settled(function)
    assert await function.dead_letters() == []
    assert pg.renewals == ["public.t has another key (number)"]
    assert pg.bus.graph.properties()["public:t:5"] == {"number": 5, "v": 5}
    assert len((await snapshot_graph(function)).elements) == 4


async def test_tables_that_inherit_are_tables_of_their_own(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute("CREATE TABLE parent (id int PRIMARY KEY, v int); CREATE TABLE child (extra text) INHERITS (parent)")
    function = await pg.watch()
    assert list(messages(function)) == ["NoPrimaryKey"]
    client.execute("INSERT INTO parent VALUES (1, 1); INSERT INTO child VALUES (2, 2, 'x'), (3, 3, 'x')")
    client.execute("UPDATE child SET v = 5; DELETE FROM child WHERE id = 2")
    await same(pg, function)
    assert set(pg.bus.graph.elements) == {"public:parent:1"}


async def test_every_partition_must_say_which_row_changed(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute(
        "CREATE TABLE t (id int, v int) PARTITION BY RANGE (id); CREATE TABLE p PARTITION OF t FOR VALUES FROM (0) TO (10);"
        " ALTER TABLE t REPLICA IDENTITY FULL; CREATE TABLE u (id int PRIMARY KEY)"
    )
    function = await pg.watch(tables=["t", "u"], tableKeys=[{"table": "t", "keyColumns": ["id"]}])
    assert messages(function)["ReplicaIdentity"].endswith("run: ALTER TABLE public.p REPLICA IDENTITY FULL")
    client.execute("INSERT INTO t VALUES (1, 5); UPDATE t SET v = 6")
    client.execute("ALTER TABLE p REPLICA IDENTITY FULL")
    await eventually(lambda: bool(pg.renewals), pause_s=0.002)
    client.execute("UPDATE t SET v = 7")
    await same(pg, function)


@pytest.mark.parametrize("change", ["DROP CONSTRAINT t_pkey", "REPLICA IDENTITY NOTHING"])
async def test_a_table_that_can_be_watched_no_more_can_be_changed(pg: PostgresWorld, change: str) -> None:
    client = pg.client()
    client.execute("CREATE TABLE t (id int PRIMARY KEY, v int); INSERT INTO t VALUES (1, 1)")
    function = await pg.watch()
    client.execute(f"ALTER TABLE t {change}")
    await eventually(lambda: bool(pg.renewals), pause_s=0.002)
    client.execute("UPDATE t SET v = 2")
    await pg.settled(function)
    assert pg.bus.said == []
    assert pg.renewals == ["tables that are gone: public.t"]


async def test_columns_that_a_key_only_carries_are_no_part_of_it(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute("CREATE TABLE t (id int, v int, PRIMARY KEY (id) INCLUDE (v))")
    function = await pg.watch()
    client.execute("INSERT INTO t VALUES (1, 1)")
    client.execute("UPDATE t SET v = 2")
    await same(pg, function)
    assert set(pg.bus.graph.elements) == {"public:t:1"}


async def test_two_relations_of_one_type_would_be_one(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute("CREATE TABLE t (id int PRIMARY KEY, a int, b int)")
    both = [{"type": "R", "table": "t", "columns": [name], "references": "t"} for name in ("a", "b")]
    function = await pg.watch(relations=both)
    assert messages(function) == {"RelationIgnored": "relation R of table public.t: the table has another one of that type"}
    client.execute("INSERT INTO t VALUES (1, 1, 2)")
    await same(pg, function)
    assert pg.bus.graph.ends() == {"public:t:1$rel:R": ("public:t:1", "public:t:1")}


async def test_what_is_no_table_is_called_by_its_name(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute(
        "CREATE TABLE t (id int PRIMARY KEY); CREATE VIEW v AS SELECT * FROM t; CREATE UNLOGGED TABLE u (id int PRIMARY KEY)"
    )
    function = await pg.watch(tables=["t", "v", "u"])
    text = messages(function)["MissingTable"]
    assert "public.v is a view" in text
    assert "ALTER TABLE public.u SET LOGGED" in text


async def test_keys_that_are_equal_whatever_their_case(pg: PostgresWorld) -> None:
    client = pg.client()
    if client.execute("SELECT 1 FROM pg_available_extensions WHERE name = 'citext'").fetchone() is None:
        pytest.skip("this server has no extension citext (package postgresql-contrib)")
    client.execute("CREATE EXTENSION citext; CREATE DOMAIN mail AS citext")
    client.execute("CREATE TABLE t (k mail PRIMARY KEY); CREATE TABLE u (id int PRIMARY KEY, t citext REFERENCES t (k))")
    function = await pg.watch(foreignKeys="all")
    client.execute("INSERT INTO t VALUES ('Bob'); INSERT INTO u VALUES (1, 'BOB')")
    client.execute("UPDATE t SET k = 'bOb'")
    await same(pg, function)
    [(_, end)] = pg.bus.graph.ends().values()
    assert pg.bus.graph.properties()[end] == {"k": "bOb"}


async def test_types_that_only_look_like_arrays(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute("CREATE TABLE t (id int PRIMARY KEY, a int2vector, b oidvector)")
    function = await pg.watch()
    client.execute("INSERT INTO t VALUES (1, '1 2', '3')")
    await same(pg, function)
    assert pg.bus.graph.properties() == {"public:t:1": {"id": 1, "a": "1 2", "b": "3"}}


async def test_one_row_that_is_older_than_an_expression(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute("CREATE TABLE t (id int PRIMARY KEY, v int, w int GENERATED ALWAYS AS (v / 2) STORED)")
    await (await pg.watch()).close()
    client.execute("BEGIN; INSERT INTO t VALUES (1, 10), (2, 0), (3, 30); UPDATE t SET v = 20 WHERE id = 2")
    client.execute("ALTER TABLE t DROP w, ADD w int GENERATED ALWAYS AS (100 / v) STORED; COMMIT")
    function = await pg.watch()
    assert pg.renewals == ["public.t has columns of another type or expression (w)"]
    await same(pg, function)
    assert {identity: found["w"] for identity, found in pg.bus.graph.properties().items()} == {
        "public:t:1": 10,
        "public:t:2": 5,
        "public:t:3": 3,
    }


async def test_a_key_that_changes_between_two_parts(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute("CREATE TABLE t (a int, b int, PRIMARY KEY (a)); INSERT INTO t SELECT n, n FROM generate_series(1, 5) n")
    function = await pg.watch()
    _, _, end = await read_part(function, SnapshotRequest(limit=2))
    client.execute("ALTER TABLE t DROP CONSTRAINT t_pkey, ADD PRIMARY KEY (a, b)")
    with pytest.raises(OriginUnavailable, match="got another key"):
        await read_part(function, SnapshotRequest(cursor=end.cursor))


async def test_half_a_character_and_a_value_too_deep(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute("CREATE TABLE t (id int PRIMARY KEY, v json)")
    function = await pg.watch()
    for number, value in enumerate(['"\\ud800!"', '{"\\udfff": ["\\ud83d\\ude00"]}', "[" * 5_000 + "]" * 5_000, "1"]):
        client.execute("INSERT INTO t VALUES (%s, %s)", [number, value])
    await same(pg, function)
    assert {identity: found["v"] for identity, found in pg.bus.graph.properties().items()} == {
        "public:t:0": "\ufffd!",
        "public:t:1": {"\ufffd": ["😀"]},
        "public:t:3": 1,
    }
    assert len(await function.dead_letters()) == 1
    assert "column v of public.t cannot be read" in messages(function)["BadRow:public.t"]


async def test_a_table_written_anew_under_a_snapshot_does_not_seem_empty(
    pg: PostgresWorld, monkeypatch: pytest.MonkeyPatch
) -> None:
    client = pg.client()
    client.execute("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY); INSERT INTO b VALUES (1)")
    function = await pg.watch()
    lines = await function.snapshot(SnapshotRequest())
    assert isinstance(await anext(lines), SnapshotHeader)
    client.execute("ALTER TABLE b ADD COLUMN at timestamptz DEFAULT clock_timestamp()")
    with pytest.raises(OriginUnavailable, match="b was written anew"):
        _ = [line async for line in lines]
    _, elements, _ = await read_part(function, SnapshotRequest())
    assert [element.id for element in elements] == ["public:b:1"]


async def test_prepared_transactions(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute("CREATE TABLE t (id int PRIMARY KEY, v int)")
    function = await pg.watch()
    client.execute("BEGIN; INSERT INTO t VALUES (1, 1); SAVEPOINT s; INSERT INTO t VALUES (2, 2); ROLLBACK TO s")
    client.execute("INSERT INTO t VALUES (3, 3); PREPARE TRANSACTION 'transfer'")
    client.execute("INSERT INTO t VALUES (4, 4)")
    await pg.settled(function)
    assert pg.bus.said == [("i", "public:t:4")]
    reading = asyncio.create_task(read_part(function, SnapshotRequest()))
    await eventually(lambda: "WaitsForTransactions" in messages(function), pause_s=0.002)
    assert "prepared transaction 'transfer'" in messages(function)["WaitsForTransactions"]
    assert "COMMIT PREPARED 'transfer'" in messages(function)["WaitsForTransactions"]
    client.execute("COMMIT PREPARED 'transfer'")
    await reading
    await same(pg, function)
    assert pg.bus.said == [("i", f"public:t:{number}") for number in (4, 1, 3)]
