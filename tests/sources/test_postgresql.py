"""The PostgreSQL source: other programs change a real database, the graph follows."""

from __future__ import annotations

import json
from typing import Any

import pytest

from drasi.sources.port import SnapshotRequest
from tests.sources.postgres_world import PostgresWorld, snapshot_graph, whole_snapshot
from tests.sources.world import eventually


async def test_what_another_program_writes_arrives(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute('CREATE TABLE "Room" (id int PRIMARY KEY, name text, temp float8)')
    function = await pg.watch(tables=["public.Room"])
    client.execute("""INSERT INTO "Room" VALUES (1, 'hall', 20.5), (2, 'attic', NULL)""")
    client.execute('UPDATE "Room" SET temp = 0.1::float8 + 0.2::float8 WHERE id = 1')
    client.execute('DELETE FROM "Room" WHERE id = 2')
    await pg.settled(function)
    assert pg.bus.said == [("i", "public:Room:1"), ("i", "public:Room:2"), ("u", "public:Room:1"), ("d", "public:Room:2")]
    assert pg.bus.graph.properties() == {"public:Room:1": {"id": 1, "name": "hall", "temp": 0.1 + 0.2}}
    [insert, second, update, _] = pg.bus.changes
    assert insert.payload.after is not None
    assert insert.payload.after.labels == ["Room"]
    assert insert.payload.source.tx == second.payload.source.tx != update.payload.source.tx
    assert insert.payload.source.position == f"{insert.payload.source.lsn:016X}-00000001"
    [[now]] = client.execute("SELECT (extract(epoch FROM now()) * 1000000)::bigint")
    assert now - 60_000_000 < insert.payload.source.ts_ns // 1_000 <= now


async def test_transactions_come_in_the_order_of_their_commits(pg: PostgresWorld) -> None:
    first, second, third = pg.client(), pg.client(), pg.client()
    first.execute("CREATE TABLE t (id int PRIMARY KEY)")
    function = await pg.watch()
    first.execute("BEGIN")
    first.execute("INSERT INTO t VALUES (1)")
    second.execute("BEGIN")
    second.execute("INSERT INTO t VALUES (2)")
    first.execute("INSERT INTO t VALUES (3)")
    third.execute("INSERT INTO t VALUES (4)")
    second.execute("INSERT INTO t VALUES (5)")
    second.execute("COMMIT")
    first.execute("SAVEPOINT s")
    first.execute("INSERT INTO t VALUES (6)")
    first.execute("ROLLBACK TO s")
    first.execute("COMMIT")
    await pg.settled(function)
    changes = pg.bus.changes
    assert [change.payload.after.id for change in changes if change.payload.after] == [f"public:t:{n}" for n in (4, 2, 5, 1, 3)]
    assert [
        len(set(group)) for group in ([c.payload.source.tx for c in changes[1:3]], [c.payload.source.tx for c in changes[3:]])
    ] == [1, 1]
    assert len({change.payload.source.tx for change in changes}) == 3
    positions = [change.payload.source.position or "" for change in changes]
    assert positions == sorted(set(positions))
    assert [position[-8:] for position in positions] == ["00000001", "00000001", "00000003", "00000001", "00000003"]


TYPES: dict[str, list[tuple[str | None, Any]]] = {
    "smallint": [("-32768", -32768)],
    "bigint": [("9223372036854775807", 2**63 - 1), (None, None)],
    "real": [("0.1", 0.1), ("NaN", "NaN"), ("-infinity", "-Infinity")],
    "double precision": [("0.30000000000000004", 0.1 + 0.2), ("1e300", 1e300), ("infinity", "Infinity")],
    "numeric(12,2)": [("1299.99", 1299.99), ("2", 2.0), ("NaN", "NaN")],
    "money": [("-$1,234.50", -1234.5), ("0", 0.0)],
    "boolean": [("t", True), ("f", False)],
    "bit(1)": [("1", True), ("0", False)],
    "bit(10)": [("1000000001", "AgE=")],
    "varchar(5)": [("a:é%", "a:é%")],
    "char(4)": [("ab", "ab  ")],
    "text": [("", ""), ("line\nbreak \\ \" '", "line\nbreak \\ \" '")],
    "uuid": [("A0EEBC99-9C0B-4EF8-BB6D-6BB9BD380A11", "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11")],
    "mood": [("good", "good")],
    "xml": [("<a>1</a>", "<a>1</a>")],
    "inet": [("10.0.0.1/8", "10.0.0.1/8")],
    "json": [('{"b": 1, "a": [1.0, null, true, "x"]}', {"b": 1, "a": [1.0, None, True, "x"]}), ('"text"', "text"), ("null", None)],
    "jsonb": [('{"n": 9223372036854775808, "m": 1e400, "d": {}}', {"n": 2.0**63, "m": "Infinity", "d": {}}), ("3", 3)],
    "date": [
        ("2026-03-01", "2026-03-01"),
        ("0044-03-15 BC", "-0043-03-15"),
        ("12026-01-01", "+12026-01-01"),
        ("infinity", "Infinity"),
    ],
    "time": [("08:15:30.12", "08:15:30.12")],
    "time with time zone": [("08:15:30.12+02", "08:15:30.12+02:00"), ("08:15+00", "08:15:00Z")],
    "timestamp": [("2026-03-01 08:15:30.12", "2026-03-01T08:15:30.12"), ("-infinity", "-Infinity")],
    "timestamptz": [
        ("2026-03-01 08:15:30.12+01", "2026-03-01T07:15:30.12Z"),
        ("0001-01-01 00:00:00+00 BC", "0000-01-01T00:00:00Z"),
    ],
    "interval": [("1 year 2 mons 3 days 04:05:06.5", "P1Y2M3DT4H5M6.5S"), ("0", "PT0S"), ("-1 day", "P-1D")],
    "bytea": [("\\x00ff10", "AP8Q"), ("", "")],
    "int[]": [("{1,NULL,3}", [1, None, 3]), ("{{1,2},{3,4}}", [[1, 2], [3, 4]]), ("[0:1]={7,8}", [7, 8]), ("{}", [])],
    "text[]": [('{a,"b,c","NULL","q\\"\\\\",""}', ["a", "b,c", "NULL", 'q"\\', ""])],
    "timestamptz[]": [('{"2026-03-01 08:15:30+00"}', ["2026-03-01T08:15:30Z"])],
    "jsonb[]": [('{"{\\"a\\": 1}"}', [{"a": 1}])],
    "numeric[]": [("{1.5,NaN}", [1.5, "NaN"])],
    "box[]": [("{(1,1),(0,0)}", ["(1,1),(0,0)"])],
    "price": [("12.50", 12.5)],
    "prices": [("{1.25}", [1.25])],
    "pair": [("(1,x)", "(1,x)")],
    "int4range": [("[1,5)", "[1,5)")],
}


@pytest.mark.parametrize("decimals", ["float", "string"])
async def test_types_are_faithful_and_equal_in_stream_and_snapshot(pg: PostgresWorld, decimals: str) -> None:
    client = pg.client()
    client.execute("CREATE TYPE mood AS ENUM ('good', 'bad'); CREATE TYPE pair AS (a int, b text)")
    client.execute("CREATE DOMAIN price AS numeric(8,2) CHECK (value > 0); CREATE DOMAIN prices AS price[]")
    columns = [(f"c{number}", declared) for number, declared in enumerate(TYPES)]
    client.execute(f"CREATE TABLE t (id int PRIMARY KEY, {', '.join(f'{name} {declared}' for name, declared in columns)})")
    client.execute("ALTER DATABASE " + pg.database + " SET DateStyle = 'German'")
    client.execute("ALTER DATABASE " + pg.database + " SET TimeZone = 'Asia/Tokyo'")
    function = await pg.watch(decimals=decimals)
    most = max(len(values) for values in TYPES.values())
    expected: dict[str, dict[str, Any]] = {}
    exact: dict[str, list[Any]] = {
        "numeric(12,2)": ["1299.99", "2.00", "NaN"],
        "money": ["-1234.50", "0.00"],
        "numeric[]": [["1.5", "NaN"]],
    }
    exact |= {"price": ["12.50"], "prices": [["1.25"]]}
    for number in range(most):
        row: dict[str, Any] = {"id": number}
        given: list[str | None] = []
        for name, declared in columns:
            values = TYPES[declared]
            text, value = values[number] if number < len(values) else (None, None)
            given.append(text)
            if decimals == "string" and value is not None and declared in exact:
                value = exact[declared][number]
            row[name] = value
        holes = ", ".join(f"%s::text::{declared}" for _, declared in columns)
        client.execute(f"INSERT INTO t VALUES (%s, {holes})", [number, *given])
        expected[f"public:t:{number}"] = {name: value for name, value in row.items() if value is not None}
    await pg.settled(function)
    streamed = pg.bus.graph.properties()
    assert streamed == expected
    assert json.dumps(streamed, sort_keys=True) == json.dumps(expected, sort_keys=True), "types too"
    assert json.dumps((await snapshot_graph(function)).properties(), sort_keys=True) == json.dumps(expected, sort_keys=True)


async def test_a_null_is_a_null(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute("CREATE TABLE t (id int PRIMARY KEY, v int)")
    function = await pg.watch()
    client.execute("INSERT INTO t VALUES (1, 5)")
    client.execute("UPDATE t SET v = NULL")
    await pg.settled(function)
    update = pg.bus.changes[-1].payload.after
    assert update is not None
    assert update.properties == {"id": 1, "v": None}


KEYED = """
CREATE TABLE "Harbour" (country text, number numeric(8,2), name text, PRIMARY KEY (number, country));
CREATE TABLE berth (id int PRIMARY KEY, country text, number numeric(10,3), other int REFERENCES berth (id),
  CONSTRAINT "LIES_IN" FOREIGN KEY (country, number) REFERENCES "Harbour" (country, number) ON UPDATE CASCADE);
"""


async def test_composite_keys_and_foreign_keys(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute(KEYED)
    function = await pg.watch(
        foreignKeys="all", relations=[{"type": "BESIDE", "table": "berth", "columns": ["other"], "references": "berth"}]
    )
    client.execute("""INSERT INTO "Harbour" VALUES ('n:l', 1.5, 'Delfzijl'), ('5%', 2, 'x')""")
    client.execute("INSERT INTO berth VALUES (1, 'n:l', 1.50, NULL), (2, NULL, 2, 1)")
    await pg.settled(function)
    north, second = "public:Harbour:1.5:n%3Al", "public:Harbour:2:5%25"
    assert set(pg.bus.graph.properties()) == {north, second, "public:berth:1", "public:berth:2"}
    lies = "public:berth:1$rel:LIES_IN"
    assert pg.bus.graph.ends() == {
        lies: ("public:berth:1", north),
        "public:berth:2$rel:berth_other_fkey": ("public:berth:2", "public:berth:1"),
        "public:berth:2$rel:BESIDE": ("public:berth:2", "public:berth:1"),
    }
    client.execute("UPDATE berth SET country = '5%', number = 2 WHERE id = 1")
    client.execute("UPDATE berth SET other = NULL WHERE id = 2")
    await pg.settled(function)
    assert pg.bus.graph.ends() == {lies: ("public:berth:1", second)}
    client.execute("""UPDATE "Harbour" SET number = 3 WHERE number = 2""")
    await pg.settled(function)
    assert pg.bus.graph.ends() == {lies: ("public:berth:1", "public:Harbour:3:5%25")}
    assert second not in pg.bus.graph.elements
    client.execute("UPDATE berth SET id = 9 WHERE id = 1")
    await pg.settled(function)
    assert pg.bus.graph.ends() == {"public:berth:9$rel:LIES_IN": ("public:berth:9", "public:Harbour:3:5%25")}
    assert (await snapshot_graph(function)).elements == pg.bus.graph.elements
    client.execute("DELETE FROM berth WHERE id = 9")
    await pg.settled(function)
    assert pg.bus.graph.ends() == {}
    assert (await snapshot_graph(function)).elements == pg.bus.graph.elements


async def test_a_changed_key_is_a_delete_and_an_insert_of_one_transaction(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute("CREATE TABLE t (id text PRIMARY KEY, v int)")
    function = await pg.watch()
    client.execute("INSERT INTO t VALUES ('a', 1), ('b', 2)")
    client.execute("UPDATE t SET id = 'c', v = 3 WHERE id = 'a'")
    await pg.settled(function)
    *_, gone, new = pg.bus.changes
    assert pg.bus.said[-2:] == [("d", "public:t:a"), ("i", "public:t:c")]
    assert gone.payload.source.tx == new.payload.source.tx
    assert pg.bus.graph.properties() == {"public:t:b": {"id": "b", "v": 2}, "public:t:c": {"id": "c", "v": 3}}


async def test_large_values_that_did_not_change_keep_what_was_known(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute("CREATE TABLE t (id int PRIMARY KEY, v int, large text); ALTER TABLE t ALTER large SET STORAGE EXTERNAL")
    function = await pg.watch()
    client.execute("INSERT INTO t VALUES (1, 1, repeat('large ', 5000))")
    client.execute("UPDATE t SET v = 2")
    await pg.settled(function)
    update = pg.bus.changes[-1].payload.after
    assert update is not None
    assert update.properties == {"id": 1, "v": 2}, "not sent, and no null"
    assert pg.bus.graph.properties()["public:t:1"] == {"id": 1, "v": 2, "large": "large " * 5000}
    client.execute("UPDATE t SET id = 2")
    await pg.settled(function)
    assert pg.bus.graph.properties() == {"public:t:2": {"id": 2, "v": 2, "large": "large " * 5000}}, "a changed key keeps it"
    client.execute("ALTER TABLE t REPLICA IDENTITY FULL")
    client.execute("BEGIN; UPDATE t SET id = 3; DELETE FROM t; COMMIT")
    await pg.settled(function)
    assert [change.payload.after.properties.get("large") for change in pg.bus.changes[-2:-1] if change.payload.after] == [
        "large " * 5000
    ]
    client.execute("INSERT INTO t VALUES (4, 1, 'small')")
    client.execute("UPDATE t SET large = NULL")
    await pg.settled(function)
    assert pg.bus.graph.properties() == {"public:t:4": {"id": 4, "v": 1}}


async def test_truncate(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute(
        "CREATE TABLE t (id int PRIMARY KEY); CREATE TABLE t2 (id int PRIMARY KEY REFERENCES t (id));"
        " CREATE TABLE other (id int PRIMARY KEY)"
    )
    function = await pg.watch(foreignKeys="all")
    client.execute("INSERT INTO t VALUES (1), (2); INSERT INTO t2 VALUES (1); INSERT INTO other VALUES (1)")
    client.execute("TRUNCATE t CASCADE")
    client.execute("INSERT INTO t VALUES (3)")
    await pg.settled(function)
    truncations = [change for change in pg.bus.changes if change.op == "t"]
    assert [(c.payload.before.id, c.payload.before.labels) for c in truncations if c.payload.before] == [
        ("public:t:", ["t"]),
        ("public:t2:", ["t2", "t2_id_fkey"]),
    ]
    assert truncations[0].payload.source.tx == truncations[1].payload.source.tx
    assert set(pg.bus.graph.elements) == {"public:other:1", "public:t:3"}


async def test_table_keys(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute("CREATE TABLE loose (a int, b text, v int); ALTER TABLE loose REPLICA IDENTITY FULL")
    function = await pg.watch(tables=["loose"], tableKeys=[{"table": "public.loose", "keyColumns": ["b", "a"]}])
    client.execute("INSERT INTO loose VALUES (1, 'x', 1), (NULL, 'y', 2), (2, 'x', 3)")
    client.execute("UPDATE loose SET v = 9, b = 'z' WHERE a = 2")
    client.execute("DELETE FROM loose WHERE a = 1")
    await pg.settled(function)
    assert pg.bus.graph.properties() == {"public:loose:z:2": {"a": 2, "b": "z", "v": 9}}
    [letter] = await function.dead_letters()
    assert "NULL in its key (b, a)" in letter["error"]
    assert letter["content"] == {"op": "i", "table": "public.loose"}
    assert (await snapshot_graph(function)).elements == pg.bus.graph.elements
    assert "1 rows of public.loose" in function.status()["messages"]["NullKey:public.loose"]


async def test_what_stands_in_the_way_of_a_table_is_said(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute("CREATE TABLE good (id int PRIMARY KEY); CREATE TABLE keyless (a int)")
    client.execute("CREATE TABLE blind (id int PRIMARY KEY); ALTER TABLE blind REPLICA IDENTITY NOTHING")
    client.execute('CREATE TABLE "By" (id int PRIMARY KEY, code text)')
    function = pg.function(
        tables=["good", "blind", "By", "missing", "keyless"], tableKeys=[{"table": "By", "keyColumns": ["code"]}]
    )
    await function.start()
    await eventually(lambda: function.status()["available"], pause_s=0.002)
    messages = function.status()["messages"]
    assert messages["NoPrimaryKey"] == "table public.keyless has no primary key; name its key in tableKeys"
    assert "there is no table public.missing" in messages["MissingTable"]
    assert "ALTER TABLE public.blind REPLICA IDENTITY FULL" in messages["ReplicaIdentity"]
    assert 'ALTER TABLE public."By" REPLICA IDENTITY FULL' in messages["ReplicaIdentity"]
    client.execute("INSERT INTO keyless VALUES (1); INSERT INTO good VALUES (1)")
    client.execute("DELETE FROM keyless; UPDATE blind SET id = 2")
    await pg.settled(function)
    assert pg.bus.said == [("i", "public:good:1")]
    client.execute("CREATE TABLE missing (id int PRIMARY KEY); INSERT INTO missing VALUES (1)")
    await eventually(lambda: bool(pg.renewals), pause_s=0.002)
    assert pg.renewals == ["new tables: public.missing"]
    client.execute("INSERT INTO missing VALUES (2)")
    await pg.settled(function)
    assert pg.bus.said[-1] == ("i", "public:missing:2")
    assert set((await snapshot_graph(function)).elements) == {"public:good:1", "public:missing:1", "public:missing:2"}
    assert "MissingTable" not in function.status()["messages"]
    client.execute("DROP TABLE missing")
    await eventually(lambda: len(pg.renewals) == 2, pause_s=0.002)
    assert pg.renewals[1] == "tables that are gone: public.missing"


async def test_columns_come_and_go(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute("CREATE TABLE t (id int PRIMARY KEY, old int, size int)")
    function = await pg.watch()
    client.execute("INSERT INTO t VALUES (1, 5, 2), (2, 6, 3)")
    client.execute("ALTER TABLE t DROP COLUMN old, ADD COLUMN fresh text DEFAULT 'f'")
    client.execute("UPDATE t SET size = 8 WHERE id = 1")
    await pg.settled(function)
    assert pg.bus.graph.properties() == {
        "public:t:1": {"id": 1, "size": 8, "fresh": "f"},
        "public:t:2": {"id": 2, "size": 3, "old": 6},
    }
    await function.close()
    function = await pg.watch()
    client.execute("UPDATE t SET size = 9 WHERE id = 2")
    await pg.settled(function)
    assert pg.bus.graph.properties()["public:t:2"] == {"id": 2, "size": 9, "fresh": "f"}
    client.execute("ALTER TABLE t RENAME size TO extent")
    client.execute("ALTER TABLE t ALTER extent TYPE text")
    client.execute("UPDATE t SET extent = 'ten' WHERE id = 2")
    await pg.settled(function)
    assert pg.bus.graph.properties()["public:t:2"] == {"id": 2, "extent": "ten", "fresh": "f"}


async def test_generated_columns(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute(
        "CREATE TABLE t (id int PRIMARY KEY, w numeric, large text, area numeric GENERATED ALWAYS AS (w * 2) STORED,"
        " wide bool GENERATED ALWAYS AS (w > 10) STORED, length int GENERATED ALWAYS AS (length(large) % 1000) STORED);"
        " ALTER TABLE t ALTER large SET STORAGE EXTERNAL"
    )
    function = await pg.watch()
    client.execute("INSERT INTO t VALUES (1, 1.5, 'x'), (2, 20, NULL), (3, NULL, repeat('y', 9001))")
    client.execute("UPDATE t SET w = 30 WHERE id IN (1, 3)")
    await pg.settled(function)
    assert pg.bus.graph.properties()["public:t:1"] == {"id": 1, "w": 30.0, "large": "x", "area": 60.0, "wide": True, "length": 1}
    assert pg.bus.graph.properties()["public:t:2"] == {"id": 2, "w": 20.0, "area": 40.0, "wide": True}
    assert pg.bus.graph.properties()["public:t:3"]["length"] == 1
    assert pg.bus.graph.properties()["public:t:3"]["area"] == 60.0
    assert (await snapshot_graph(function)).elements == pg.bus.graph.elements


async def test_partitions_are_one_table(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute(
        "CREATE TABLE t (id int PRIMARY KEY, v int) PARTITION BY RANGE (id);"
        " CREATE TABLE low PARTITION OF t FOR VALUES FROM (0) TO (10);"
        " CREATE TABLE high PARTITION OF t FOR VALUES FROM (10) TO (20)"
    )
    function = await pg.watch()
    client.execute("INSERT INTO t VALUES (1, 1), (11, 1)")
    client.execute("UPDATE t SET v = 2")
    client.execute("UPDATE t SET id = 12 WHERE id = 1")
    await pg.settled(function)
    assert pg.bus.graph.properties() == {"public:t:11": {"id": 11, "v": 2}, "public:t:12": {"id": 12, "v": 2}}
    assert (await snapshot_graph(function)).elements == pg.bus.graph.elements


async def test_only_what_somebody_wants_is_published(pg: PostgresWorld) -> None:
    client = pg.client()
    client.execute("CREATE TABLE a (id int PRIMARY KEY); CREATE TABLE b (id int PRIMARY KEY, a int REFERENCES a (id))")
    function = await pg.watch(foreignKeys="all")
    await function.subscribe("c", "q", ["b"], [])
    client.execute("INSERT INTO a VALUES (1); INSERT INTO b VALUES (1, 1)")
    await pg.settled(function)
    assert pg.bus.said == [("i", "public:b:1")]
    await function.subscribe("c", "q2", [], ["b_a_fkey"])
    client.execute("INSERT INTO b VALUES (2, 1)")
    await pg.settled(function)
    assert pg.bus.said[1:] == [("i", "public:b:2"), ("i", "public:b:2$rel:b_a_fkey")]
    _, elements, _ = await whole_snapshot(function, SnapshotRequest(relations=frozenset({"b_a_fkey"})))
    assert [element.id for element in elements] == ["public:b:1$rel:b_a_fkey", "public:b:2$rel:b_a_fkey"]
