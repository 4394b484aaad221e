"""The SQLite source: another program changes the database, the graph follows."""

from __future__ import annotations

import asyncio
import json
import os
import random
import shutil
import sqlite3
import threading
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from drasi.messages.changes import Element
from drasi.sources.port import Labels, OriginUnavailable, SnapshotRequest
from drasi.sources.relational import Wanted
from drasi.sources.sqlite.origin import Configuration, Origin, Position
from tests.sources.sqlite_world import SQLiteWorld, read_part
from tests.sources.world import Graph


@pytest.fixture(params=["wal", "delete"])
async def world(tmp_path: Path, request: pytest.FixtureRequest) -> AsyncIterator[SQLiteWorld]:
    made = SQLiteWorld(tmp_path / "rooms.db")
    made.client().execute(f"PRAGMA journal_mode = {request.param}")
    yield made
    await made.close()


def rooms(world: SQLiteWorld, *, key: str = "id", table: str = "Room") -> dict[str, dict[str, Any]]:
    """The table as the graph should have it."""
    connection = sqlite3.connect(world.path)
    connection.row_factory = sqlite3.Row
    found = {
        f"{table}:{row[key]}": {name: row[name] for name in row.keys() if row[name] is not None}  # noqa: SIM118 -- a sqlite3.Row
        for row in connection.execute(f"SELECT * FROM {table}")
    }
    connection.close()
    return found


async def test_what_another_program_writes_arrives(world: SQLiteWorld) -> None:
    client = world.client()
    client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY, name TEXT, temp REAL)")
    await world.watch(tables=["Room"])
    client.execute("INSERT INTO Room VALUES (1, 'hall', 20.5), (2, 'attic', NULL)")
    client.execute("UPDATE Room SET temp = 0.1 + 0.2 WHERE id = 1")
    client.execute("DELETE FROM Room WHERE id = 2")
    await world.bus.until(lambda: ("d", "Room:2") in world.bus.said)
    assert world.bus.said == [("i", "Room:1"), ("i", "Room:2"), ("u", "Room:1"), ("d", "Room:2")]
    assert world.bus.graph.properties() == {"Room:1": {"id": 1, "name": "hall", "temp": 0.1 + 0.2}}
    [insert, *_] = world.bus.changes
    assert insert.payload.after is not None
    assert insert.payload.after.labels == ["Room"]
    assert insert.payload.source.position is not None
    assert insert.payload.source.ts_ns % 1_000_000 == 0


async def test_positions_rise_and_label_the_message(world: SQLiteWorld) -> None:
    client = world.client()
    client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY)")
    await world.watch()
    client.executemany("INSERT INTO Room VALUES (?)", [(n,) for n in range(50)])
    await world.bus.until(lambda: len(world.bus.changes) == 50)
    positions = [change.payload.source.position or "" for change in world.bus.changes]
    assert positions == sorted(set(positions))
    first = world.bus.published[0]
    assert first.topic == "db-change"
    assert first.ordering_key == "db"
    assert first.attributes["drasi-type"] == "changes"
    assert first.attributes["label.Room"] == "1"
    assert first.attributes["firstPosition"] == positions[0]


async def test_changes_of_one_transaction_share_tx(world: SQLiteWorld) -> None:
    client = world.client()
    client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY)")
    await world.watch()
    client.execute("BEGIN")
    client.execute("INSERT INTO Room VALUES (1)")
    client.execute("INSERT INTO Room VALUES (2)")
    client.execute("COMMIT")
    await world.bus.until(lambda: len(world.bus.changes) == 2)
    assert len({change.payload.source.tx for change in world.bus.changes}) == 1


async def test_what_is_rolled_back_never_arrives(world: SQLiteWorld) -> None:
    client = world.client()
    client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY)")
    await world.watch()
    client.execute("BEGIN")
    client.execute("INSERT INTO Room VALUES (1)")
    client.execute("ROLLBACK")
    client.execute("INSERT INTO Room VALUES (2)")
    await world.bus.until(lambda: bool(world.bus.said))
    assert world.bus.said == [("i", "Room:2")]


async def test_a_composite_key_is_escaped(world: SQLiteWorld) -> None:
    client = world.client()
    client.execute("CREATE TABLE Berth (pier TEXT, number INTEGER, note TEXT, PRIMARY KEY (pier, number)) WITHOUT ROWID")
    await world.watch()
    client.execute("INSERT INTO Berth VALUES ('50%:north', 7, 'x')")
    client.execute("UPDATE Berth SET note = 'y'")
    await world.bus.until(lambda: len(world.bus.said) == 2)
    assert world.bus.said == [("i", "Berth:50%25%3Anorth:7"), ("u", "Berth:50%25%3Anorth:7")]
    assert world.bus.graph.properties()["Berth:50%25%3Anorth:7"]["note"] == "y"


@pytest.mark.parametrize("without", ["", "WITHOUT ROWID"])
async def test_a_changed_key_is_a_delete_and_an_insert_of_one_transaction(world: SQLiteWorld, without: str) -> None:
    client = world.client()
    client.execute(f"CREATE TABLE Room (id TEXT PRIMARY KEY, temp INTEGER) {without}")
    await world.watch()
    client.execute("INSERT INTO Room VALUES ('a', 20)")
    client.execute("UPDATE Room SET id = 'b'")
    await world.bus.until(lambda: ("i", "Room:b") in world.bus.said)
    assert world.bus.said[-2:] == [("d", "Room:a"), ("i", "Room:b")]
    assert len({change.payload.source.tx for change in world.bus.changes[-2:]}) == 1
    assert world.bus.graph.properties() == {"Room:b": {"id": "b", "temp": 20}}


async def test_values_are_typed_by_the_column(world: SQLiteWorld) -> None:
    client = world.client()
    client.execute(
        "CREATE TABLE T (id INTEGER PRIMARY KEY, flag BOOLEAN, doc JSON, data BLOB, price DECIMAL(9,2), at DATETIME, day DATE, "
        "real REAL, big INTEGER, twice INTEGER GENERATED ALWAYS AS (big + 1))"
    )
    await world.watch()
    client.execute(
        "INSERT INTO T (id, flag, doc, data, price, at, day, real, big) VALUES "
        "(1, 1, '{\"a\": [1, 2.5]}', x'00ff', 5, '2026-03-01 08:15:30.12', '2026-03-01', 9e999, 9007199254740993)"
    )
    expected = {
        "T:1": {
            "id": 1,
            "flag": True,
            "doc": {"a": [1, 2.5]},
            "data": "AP8=",
            "price": 5.0,
            "at": "2026-03-01T08:15:30.12",
            "day": "2026-03-01",
            "real": "Infinity",
            "big": 9007199254740993,
            "twice": 9007199254740994,
        }
    }
    await world.bus.until(lambda: bool(world.bus.said))
    assert world.bus.graph.properties() == expected
    assert isinstance(world.bus.graph.properties()["T:1"]["price"], float)
    [function] = world.functions
    _, elements, _ = await read_part(function, SnapshotRequest())
    assert {element.id: element.properties for element in elements} == expected


async def test_texts_with_anything_in_them_arrive_whole(world: SQLiteWorld) -> None:
    client = world.client()
    client.execute('CREATE TABLE "Odd ""name""" ("a ""b" TEXT PRIMARY KEY, "select" TEXT)')
    await world.watch()
    text = "nul \0 quote ' \" emoji 🌊 newline \n"
    client.execute('INSERT INTO "Odd ""name""" VALUES (?, ?)', ("k", text))
    await world.bus.until(lambda: bool(world.bus.said))
    assert world.bus.graph.properties() == {'Odd "name":k': {'a "b': "k", "select": text}}


@pytest.mark.parametrize("text", ["[" * 65 + "]" * 65, "[" * 100_000 + "]" * 100_000, '{"a": "b'])
async def test_json_that_cannot_be_a_property_stays_text(world: SQLiteWorld, text: str) -> None:
    client = world.client()
    client.execute("CREATE TABLE T (id INTEGER PRIMARY KEY, given JSON)")
    await world.watch()
    client.execute("INSERT INTO T VALUES (1, ?)", (text,))
    await world.bus.until(lambda: bool(world.bus.said))
    assert world.bus.graph.properties()["T:1"]["given"] == text


async def test_decimals_as_text(world: SQLiteWorld) -> None:
    client = world.client()
    client.execute("CREATE TABLE T (id INTEGER PRIMARY KEY, price NUMERIC)")
    await world.watch(decimals="string")
    client.execute("INSERT INTO T VALUES (1, 19.99)")
    await world.bus.until(lambda: bool(world.bus.said))
    assert world.bus.graph.properties()["T:1"]["price"] == "19.99"


class TestReplace:
    """REPLACE pushes out rows without firing delete triggers."""

    async def test_rows_that_insert_or_replace_displaces_are_deleted(self, world: SQLiteWorld) -> None:
        client = world.client()
        client.execute("CREATE TABLE Ship (id INTEGER PRIMARY KEY, name TEXT UNIQUE, slot INTEGER, UNIQUE (slot))")
        await world.watch()
        client.execute("INSERT INTO Ship VALUES (1, 'Ada', 10), (2, 'Bob', 20), (3, 'Cleo', 30)")
        client.execute("INSERT OR REPLACE INTO Ship VALUES (9, 'Ada', 20)")
        await world.until_graph(lambda: rooms(world, table="Ship"), lambda: world.bus.graph.properties())
        assert set(world.bus.graph.properties()) == {"Ship:3", "Ship:9"}

    async def test_rows_that_update_or_replace_displaces_are_deleted(self, world: SQLiteWorld) -> None:
        client = world.client()
        client.execute("CREATE TABLE Ship (id INTEGER PRIMARY KEY, name TEXT UNIQUE)")
        await world.watch()
        client.execute("INSERT INTO Ship VALUES (1, 'Ada'), (2, 'Bob')")
        client.execute("UPDATE OR REPLACE Ship SET name = 'Bob' WHERE id = 1")
        await world.bus.until(lambda: ("u", "Ship:1") in world.bus.said)
        assert world.bus.graph.properties() == {"Ship:1": {"id": 1, "name": "Bob"}}

    async def test_ignored_and_upserted_rows_displace_nothing(self, world: SQLiteWorld) -> None:
        client = world.client()
        client.execute("CREATE TABLE Ship (id INTEGER PRIMARY KEY, name TEXT UNIQUE)")
        function = await world.watch()
        client.execute("INSERT INTO Ship VALUES (1, 'Ada'), (2, 'Bob')")
        client.execute("INSERT OR IGNORE INTO Ship VALUES (3, 'Ada')")
        client.execute("INSERT INTO Ship VALUES (3, 'Bob') ON CONFLICT (name) DO UPDATE SET name = 'Bert'")
        with pytest.raises(sqlite3.IntegrityError):
            client.execute("INSERT INTO Ship VALUES (3, 'Ada')")
        client.execute("UPDATE OR IGNORE Ship SET name = 'Ada' WHERE id = 2")
        await world.settled(function)
        assert [said for said in world.bus.said if said[0] == "d"] == []
        assert world.bus.graph.properties() == rooms(world, table="Ship")

    async def test_partial_expression_and_caseless_indexes(self, world: SQLiteWorld) -> None:
        client = world.client()
        client.execute("CREATE TABLE Ship (id INTEGER PRIMARY KEY, name TEXT COLLATE NOCASE, port TEXT, gone INTEGER)")
        client.execute("CREATE UNIQUE INDEX by_name ON Ship (name)")
        client.execute("CREATE UNIQUE INDEX by_port ON Ship (lower(port) || ')', id % 1) WHERE gone = 0")
        function = await world.watch()
        client.execute("INSERT INTO Ship VALUES (1, 'Ada', 'Kiel', 0), (2, 'Bob', 'Bremen', 0), (3, 'Cleo', 'Emden', 1)")
        client.execute("INSERT OR REPLACE INTO Ship VALUES (4, 'ADA', 'Hamburg', 0)")
        client.execute("INSERT OR REPLACE INTO Ship VALUES (5, 'Eve', 'BREMEN', 0)")
        client.execute("INSERT OR REPLACE INTO Ship VALUES (6, 'Fay', 'EMDEN', 0)")
        await world.settled(function)
        assert world.bus.graph.properties() == rooms(world, table="Ship")
        assert set(world.bus.graph.properties()) == {f"Ship:{n}" for n in (3, 4, 5, 6)}

    @pytest.mark.parametrize("without", ["", "WITHOUT ROWID"])
    async def test_keys_that_are_equal_but_written_otherwise_are_displaced(self, world: SQLiteWorld, without: str) -> None:
        client = world.client()
        client.execute(f"CREATE TABLE Ship (name TEXT COLLATE NOCASE, number, PRIMARY KEY (name, number)) {without}")
        client.execute(
            "CREATE TRIGGER back AFTER DELETE ON Ship WHEN OLD.name = 'eve' BEGIN INSERT INTO Ship VALUES ('EVE', 1); END"
        )
        function = await world.watch()
        client.execute("INSERT INTO Ship VALUES ('Ada', 1), ('Bob', 2), ('Cleo', 3), ('eve', 1)")
        client.execute("INSERT OR REPLACE INTO Ship VALUES ('ADA', 1), ('Bob', 2.0)")
        client.execute("UPDATE OR REPLACE Ship SET name = 'cleo', number = 3.0 WHERE name = 'ADA'")
        client.execute("DELETE FROM Ship WHERE name = 'eve'")
        await world.settled(function)
        assert set(world.bus.graph.properties()) == {"Ship:cleo:3.0", "Ship:Bob:2.0", "Ship:EVE:1"}

    async def test_replacing_under_one_key_drops_what_is_not_given(self, world: SQLiteWorld) -> None:
        client = world.client()
        client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY, temp INTEGER, floor INTEGER REFERENCES Floor (id))")
        client.execute("CREATE TABLE Floor (id INTEGER PRIMARY KEY)")
        function = await world.watch(foreignKeys="all")
        client.execute("INSERT INTO Room VALUES (1, 20, 7)")
        client.execute("INSERT OR REPLACE INTO Room (id) VALUES (1)")
        await world.settled(function)
        assert world.bus.graph.properties() == {"Room:1": {"id": 1}}
        assert world.bus.graph.ends() == {}


async def test_triggers_of_the_user_and_cascades_are_followed(world: SQLiteWorld) -> None:
    client = world.client()
    client.execute("PRAGMA foreign_keys = ON")
    client.execute("CREATE TABLE Floor (id INTEGER PRIMARY KEY)")
    client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY, floor INTEGER REFERENCES Floor ON DELETE CASCADE, temp INTEGER)")
    client.execute("CREATE TRIGGER warm AFTER INSERT ON Room BEGIN UPDATE Room SET temp = 20 WHERE id = NEW.id; END")
    client.execute("CREATE TRIGGER back AFTER DELETE ON Room WHEN OLD.id = 3 BEGIN INSERT INTO Room VALUES (3, NULL, 1); END")
    function = await world.watch()
    client.execute("INSERT INTO Floor VALUES (1), (2)")
    client.execute("INSERT INTO Room VALUES (1, 1, 0), (2, 2, 0), (3, 2, 0)")
    client.execute("DELETE FROM Floor WHERE id = 1")
    client.execute("DELETE FROM Room WHERE id = 3")
    await world.settled(function)
    assert world.bus.graph.properties() == {**rooms(world), **rooms(world, table="Floor")}
    assert set(world.bus.graph.properties()) == {"Floor:2", "Room:2", "Room:3"}


class TestRelations:
    async def test_foreign_keys_become_relations_that_follow_the_columns(self, world: SQLiteWorld) -> None:
        client = world.client()
        client.execute("CREATE TABLE Floor (building TEXT, number INTEGER, PRIMARY KEY (building, number))")
        client.execute(
            "CREATE TABLE Room (id INTEGER PRIMARY KEY, building TEXT, floor INTEGER, boss INTEGER REFERENCES Person, "
            'CONSTRAINT "PART_OF" FOREIGN KEY (floor, building) REFERENCES Floor (number, building))'
        )
        client.execute("CREATE TABLE Person (id INTEGER PRIMARY KEY)")
        function = await world.watch(foreignKeys="all")
        client.execute("INSERT INTO Room VALUES (1, 'b', 3, 5), (2, 'b', NULL, NULL)")
        await world.settled(function)
        assert world.bus.graph.ends() == {
            "Room:1$rel:PART_OF": ("Room:1", "Floor:b:3"),
            "Room:1$rel:Room_boss_fkey": ("Room:1", "Person:5"),
        }
        client.execute("UPDATE Room SET floor = 4, boss = NULL WHERE id = 1")
        client.execute("UPDATE Room SET floor = 1 WHERE id = 2")
        await world.settled(function)
        assert world.bus.graph.ends() == {
            "Room:1$rel:PART_OF": ("Room:1", "Floor:b:4"),
            "Room:2$rel:PART_OF": ("Room:2", "Floor:b:1"),
        }
        client.execute("UPDATE Room SET id = 9 WHERE id = 1")
        client.execute("DELETE FROM Room WHERE id = 2")
        await world.settled(function)
        assert world.bus.graph.ends() == {"Room:9$rel:PART_OF": ("Room:9", "Floor:b:4")}
        relation = world.bus.graph.elements["Room:9$rel:PART_OF"]
        assert relation.labels == ["PART_OF"]
        positions = [change.payload.source.position or "" for change in world.bus.changes]
        assert positions == sorted(set(positions))

    async def test_relations_of_the_properties(self, world: SQLiteWorld) -> None:
        client = world.client()
        client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY, floor INTEGER)")
        client.execute("CREATE TABLE Floor (id INTEGER PRIMARY KEY)")
        relation = {"type": "ON_FLOOR", "table": "Room", "columns": ["floor"], "references": "Floor"}
        function = await world.watch(tables=["Room"], relations=[relation])
        client.execute("INSERT INTO Room VALUES (1, 3)")
        await world.settled(function)
        assert world.bus.graph.ends() == {"Room:1$rel:ON_FLOOR": ("Room:1", "Floor:3")}
        _, elements, _ = await read_part(function, SnapshotRequest(relations=frozenset({"ON_FLOOR"})))
        assert [element.id for element in elements] == ["Room:1$rel:ON_FLOOR"]

    async def test_a_relation_that_leads_to_no_key_is_said(self, world: SQLiteWorld) -> None:
        client = world.client()
        client.execute("CREATE TABLE Floor (id INTEGER PRIMARY KEY, name TEXT UNIQUE)")
        client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY, floor TEXT REFERENCES Floor (name))")
        function = await world.watch(foreignKeys="all")
        assert "must lead to the key of Floor (id)" in function.status()["messages"]["RelationIgnored"]


class TestTables:
    async def test_a_table_without_a_key_needs_table_keys(self, world: SQLiteWorld) -> None:
        world.client().execute("CREATE TABLE Reading (sensor TEXT, value REAL)")
        function = world.function(tables=["Reading"])
        await function.start()
        await world.until(lambda: "NoPrimaryKey" in function.status()["messages"])
        message = function.status()["messages"]["NoPrimaryKey"]
        assert message == "table Reading has no primary key; name its key in tableKeys"
        assert not function.status()["available"]

    async def test_table_keys_name_the_key(self, world: SQLiteWorld) -> None:
        client = world.client()
        client.execute("CREATE TABLE Reading (sensor TEXT, value REAL)")
        client.execute("INSERT INTO Reading VALUES ('old', 0)")
        function = await world.watch(tables=["Reading"], tableKeys=[{"table": "Reading", "keyColumns": ["sensor"]}])
        client.execute("INSERT INTO Reading VALUES ('s', 1)")
        client.execute("UPDATE Reading SET value = 2 WHERE sensor = 's'")
        client.execute("UPDATE Reading SET sensor = 'z' WHERE sensor = 's'")
        await world.settled(function)
        assert world.bus.graph.properties() == {"Reading:z": {"sensor": "z", "value": 2.0}}
        _, elements, _ = await read_part(function, SnapshotRequest())
        assert [element.id for element in elements] == ["Reading:old", "Reading:z"]

    async def test_without_a_list_every_table_with_a_key_is_watched(self, world: SQLiteWorld) -> None:
        client = world.client()
        client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY)")
        client.execute("CREATE TABLE Log (text TEXT)")
        client.execute("CREATE VIEW Rooms AS SELECT * FROM Room")
        function = await world.watch()
        assert function.status()["messages"] == {"NoPrimaryKey": "table Log has no primary key; name its key in tableKeys"}
        client.execute("INSERT INTO Log VALUES ('x')")
        client.execute("INSERT INTO Room VALUES (1)")
        await world.settled(function)
        assert world.bus.said == [("i", "Room:1")]

    async def test_a_missing_table_is_said_and_watched_when_it_comes(self, world: SQLiteWorld) -> None:
        client = world.client()
        client.execute("CREATE TABLE Other (id INTEGER PRIMARY KEY)")
        function = await world.watch(tables=["Room"])
        assert "there is no table Room (there are: Other)" in function.status()["messages"]["MissingTable"]
        client.execute("CREATE TABLE room (id INTEGER PRIMARY KEY)")
        client.execute("INSERT INTO Room VALUES (1)")
        await world.bus.until(lambda: bool(world.bus.said))
        assert world.bus.said == [("i", "room:1")]
        assert function.status()["messages"] == {}

    async def test_a_null_in_the_key_is_a_dead_letter_and_the_next_go_on(self, world: SQLiteWorld) -> None:
        client = world.client()
        client.execute("CREATE TABLE Room (id TEXT PRIMARY KEY)")
        function = await world.watch()
        client.execute("INSERT INTO Room VALUES (NULL), ('a')")
        await world.settled(function)
        assert world.bus.said == [("i", "Room:a")]
        [letter] = await function.dead_letters()
        assert "NULL in its key (id)" in letter["error"]
        assert function.status()["deadLetters"] == 1
        _, elements, _ = await read_part(function, SnapshotRequest())
        assert [element.id for element in elements] == ["Room:a"]


class TestAlteredTables:
    async def test_columns_come_go_and_are_renamed_while_it_runs(self, world: SQLiteWorld) -> None:
        client = world.client()
        client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY, temp INTEGER, note TEXT)")
        function = await world.watch()
        client.execute("INSERT INTO Room VALUES (1, 20, 'n')")
        for statement in (
            "ALTER TABLE Room ADD COLUMN co2 INTEGER DEFAULT 400",
            "UPDATE Room SET co2 = 500",
            "ALTER TABLE Room DROP COLUMN note",
            "UPDATE Room SET temp = 21",
            "ALTER TABLE Room RENAME COLUMN temp TO warmth",
            "UPDATE Room SET warmth = 22",
        ):
            client.execute(statement)
        await world.until_graph(lambda: rooms(world), lambda: world.bus.graph.properties())
        await world.settled(function)
        assert world.bus.graph.properties() == {"Room:1": {"id": 1, "warmth": 22, "co2": 500}}

    async def test_a_column_added_shows_with_the_row_s_next_change(self, world: SQLiteWorld) -> None:
        client = world.client()
        client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY)")
        client.execute("INSERT INTO Room VALUES (1)")
        await world.watch()
        client.execute("ALTER TABLE Room ADD COLUMN temp INTEGER DEFAULT 20")
        shapes = "SELECT count(*) FROM _drasi_shapes WHERE current AND shape LIKE '%temp%'"
        await world.until(lambda: client.execute(shapes).fetchone() == (1,))
        assert world.bus.said == []
        client.execute("UPDATE Room SET temp = 21")
        await world.bus.until(lambda: bool(world.bus.said))
        assert world.bus.said == [("u", "Room:1")]
        assert world.bus.graph.properties() == {"Room:1": {"id": 1, "temp": 21}}

    async def test_a_row_changed_before_the_triggers_are_renewed_has_the_new_column_all_the_same(self, world: SQLiteWorld) -> None:
        client = world.client()
        client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY)")
        client.execute("INSERT INTO Room VALUES (1), (2)")
        await world.watch()
        client.execute("BEGIN")
        client.execute("ALTER TABLE Room ADD COLUMN temp INTEGER DEFAULT 20")
        client.execute("UPDATE Room SET temp = 21 WHERE id = 1")
        client.execute("COMMIT")
        await world.bus.until(lambda: world.bus.graph.properties() == {"Room:1": {"id": 1, "temp": 21}})

    async def test_a_table_rebuilt_beside_itself_is_read_again(self, world: SQLiteWorld) -> None:
        client = world.client()
        client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY, temp INTEGER)")
        function = await world.watch(tables=["Room"])
        client.execute("INSERT INTO Room VALUES (1, 20), (2, 21), (3, 22)")
        await world.settled(function)
        client.executescript(
            "BEGIN; CREATE TABLE Room_new (id INTEGER PRIMARY KEY, temp TEXT NOT NULL);"
            "INSERT INTO Room_new SELECT id, temp || ' C' FROM Room WHERE id <> 2; DROP TABLE Room;"
            "ALTER TABLE Room_new RENAME TO Room; UPDATE Room SET temp = 'x' WHERE id = 3; COMMIT;"
        )
        client.execute("INSERT INTO Room VALUES (4, 'y')")
        await world.until_graph(lambda: rooms(world), lambda: world.bus.graph.properties())
        assert set(world.bus.graph.properties()) == {"Room:1", "Room:3", "Room:4"}

    async def test_a_dropped_table_takes_its_elements_along(self, world: SQLiteWorld) -> None:
        client = world.client()
        client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY, floor INTEGER REFERENCES Floor)")
        client.execute("CREATE TABLE Floor (id INTEGER PRIMARY KEY)")
        function = await world.watch(foreignKeys="all")
        client.execute("INSERT INTO Room VALUES (1, 1)")
        client.execute("INSERT INTO Floor VALUES (1)")
        await world.settled(function)
        assert len(world.bus.graph.elements) == 3
        client.execute("DROP TABLE Room")
        await world.bus.until(lambda: len(world.bus.graph.elements) == 1)
        assert world.bus.said[-1] == ("t", "Room:")

    async def test_a_renamed_table_moves_to_its_new_label(self, world: SQLiteWorld) -> None:
        client = world.client()
        client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY)")
        function = await world.watch()
        client.execute("INSERT INTO Room VALUES (1)")
        client.execute("ALTER TABLE Room RENAME TO Chamber")
        client.execute("INSERT INTO Chamber VALUES (2)")
        await world.until_graph(lambda: rooms(world, table="Chamber"), lambda: world.bus.graph.properties())
        client.execute("INSERT INTO Chamber VALUES (3)")
        await world.settled(function)
        assert set(world.bus.graph.properties()) == {"Chamber:1", "Chamber:2", "Chamber:3"}

    async def test_a_list_of_tables_that_changed_shows_at_the_next_start(self, world: SQLiteWorld) -> None:
        client = world.client()
        client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY)")
        client.execute("CREATE TABLE Floor (id INTEGER PRIMARY KEY)")
        function = await world.watch(tables=["Room"])
        client.execute("INSERT INTO Room VALUES (1)")
        client.execute("INSERT INTO Floor VALUES (1)")
        await world.settled(function)
        await function.close()
        function = await world.watch(tables=["Floor"])
        await world.settled(function)
        assert set(world.bus.graph.elements) == {"Floor:1"}


class TestSnapshot:
    async def test_parts_cover_everything_once(self, world: SQLiteWorld) -> None:
        client = world.client()
        client.execute("CREATE TABLE Floor (id TEXT PRIMARY KEY)")
        client.execute("CREATE TABLE Room (floor TEXT REFERENCES Floor, number INTEGER, PRIMARY KEY (floor, number)) WITHOUT ROWID")
        client.executemany("INSERT INTO Floor VALUES (?)", [(f"f{n}",) for n in range(3)])
        client.executemany("INSERT INTO Room VALUES (?, ?)", [(f"f{n % 3}", n) for n in range(10)])
        function = await world.watch(foreignKeys="all", pageSize=2)
        seen: list[str] = []
        cursor = None
        while True:
            header, elements, end = await read_part(function, SnapshotRequest(limit=5, cursor=cursor))
            assert len(elements) <= 5
            assert end.count == len(elements)
            assert header.position > "0"
            seen += [element.id for element in elements]
            cursor = end.cursor
            if cursor is None:
                break
        assert len(seen) == 23
        assert len(set(seen)) == 23

    async def test_labels_choose(self, world: SQLiteWorld) -> None:
        client = world.client()
        client.execute("CREATE TABLE Floor (id INTEGER PRIMARY KEY)")
        client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY)")
        client.execute("INSERT INTO Floor VALUES (1)")
        client.execute("INSERT INTO Room VALUES (1)")
        function = await world.watch()
        _, elements, _ = await read_part(function, SnapshotRequest(nodes=frozenset({"Room"})))
        assert [element.id for element in elements] == ["Room:1"]

    async def test_the_marker_comes_behind_every_older_change(self, world: SQLiteWorld) -> None:
        client = world.client()
        client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY)")
        function = await world.watch()
        client.execute("INSERT INTO Room VALUES (1)")
        header, _, _ = await read_part(function, SnapshotRequest())
        *before, marker = world.bus.published
        assert marker.attributes["drasi-type"] == "marker"
        assert marker.attributes["lastPosition"] >= header.position
        assert marker.ordering_key == "db"
        assert before[-1].attributes["lastPosition"] <= marker.attributes["lastPosition"]
        assert world.bus.said == [("i", "Room:1")]

    async def test_before_the_origin_is_there_it_is_unavailable(self, tmp_path: Path) -> None:
        world = SQLiteWorld(tmp_path / "missing.db")
        function = world.function()
        await function.start()
        await world.until(lambda: "OriginUnavailable" in function.status()["messages"])
        with pytest.raises(OriginUnavailable, match="there is no database at"):
            await function.snapshot(SnapshotRequest())
        world.client().execute("CREATE TABLE Room (id INTEGER PRIMARY KEY)")
        await world.until(lambda: function.status()["available"])
        assert function.status()["messages"] == {}
        await world.close()

    @pytest.mark.parametrize("seed", range(3))
    async def test_parts_and_stream_reconcile_under_a_writer(self, world: SQLiteWorld, seed: int) -> None:
        """As a container does it: subscribe, hold what comes, read the parts, put both together."""
        setup = world.client()
        setup.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY, name TEXT UNIQUE, temp INTEGER)")
        setup.executemany("INSERT INTO Room VALUES (?, ?, 20)", [(n, f"r{n}") for n in range(200)])
        function = await world.watch(pageSize=10)
        stop = threading.Event()

        def write() -> None:
            chance = random.Random(seed)
            connection = sqlite3.connect(world.path, isolation_level=None, timeout=30)
            connection.execute("PRAGMA synchronous = OFF")
            while not stop.is_set():
                number, other = chance.randrange(250), chance.randrange(250)
                statement = chance.choice(
                    (
                        f"UPDATE Room SET temp = temp + 1 WHERE id = {number}",
                        f"DELETE FROM Room WHERE id = {number}",
                        f"INSERT OR REPLACE INTO Room VALUES ({number}, 'r{other}', 0)",
                        f"UPDATE OR REPLACE Room SET id = {other} WHERE id = {number}",
                    )
                )
                connection.execute(statement)
            connection.close()

        writer = threading.Thread(target=write)
        writer.start()
        try:
            in_parts: dict[str, Element] = {}
            part_of: dict[str, str] = {}
            cursor = None
            while True:
                header, elements, end = await read_part(function, SnapshotRequest(limit=20, cursor=cursor))
                for element in elements:
                    in_parts[element.id] = element
                    part_of[element.id] = header.position
                cursor = end.cursor
                if cursor is None:
                    break
                more = len(world.bus.changes) + 5
                await world.bus.until(lambda more=more: len(world.bus.changes) >= more)  # type: ignore[misc]
        finally:
            stop.set()
            await asyncio.to_thread(writer.join)
        await world.settled(function)
        graph = Graph({identity: Element(e.id, e.labels, e.properties) for identity, e in in_parts.items()})
        for change in world.bus.changes:
            identity = (change.payload.after or change.payload.before or Element("", [])).id
            if (change.payload.source.position or "") > part_of.get(identity, ""):
                graph.apply(change)
        assert graph.properties() == rooms(world)
        assert len(world.bus.changes) > 20


class TestRestart:
    async def test_what_changed_while_it_was_down_arrives(self, world: SQLiteWorld) -> None:
        client = world.client()
        client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY)")
        function = await world.watch()
        client.execute("INSERT INTO Room VALUES (1)")
        await world.settled(function)
        await function.close()
        client.execute("INSERT INTO Room VALUES (2)")
        function = await world.watch()
        await world.settled(function)
        assert world.bus.said == [("i", "Room:1"), ("i", "Room:2")]
        assert world.renewals == []

    async def test_killed_between_publication_and_state_it_repeats_the_same_positions(self, world: SQLiteWorld) -> None:
        client = world.client()
        client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY, floor INTEGER REFERENCES Room)")
        function = await world.watch(foreignKeys="all")
        client.execute("INSERT INTO Room VALUES (1, 1)")
        await world.settled(function)
        published = asyncio.Event()
        original = world.state.put

        async def never(name: str, value: str, *, expected: str | None) -> None:
            published.set()
            await asyncio.get_running_loop().create_future()

        world.state.put = never  # type: ignore[method-assign]
        client.execute("INSERT INTO Room VALUES (2, 1)")
        async with asyncio.timeout(20):
            await published.wait()
        await function.close()
        first = world.bus.published[-1]
        world.state.put = original  # type: ignore[method-assign]
        function = await world.watch(foreignKeys="all")
        await world.settled(function)
        again = world.bus.published[-1]
        assert again is not first
        assert [c.payload.source.position for c in again.changes] == [c.payload.source.position for c in first.changes]
        assert [c.payload.after for c in again.changes] == [c.payload.after for c in first.changes]
        assert world.bus.graph.dropped == 2
        assert world.renewals == []

    async def test_killed_between_state_and_database_it_repeats_nothing_and_loses_nothing(self, world: SQLiteWorld) -> None:
        client = world.client()
        client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY)")
        function = await world.watch()
        assert function.source is not None
        client.execute("INSERT INTO Room VALUES (1)")
        await world.settled(function)

        def fail(stored: Position) -> None:
            raise OriginUnavailable("the disk is full")

        function.source._origin.settle = fail  # type: ignore[attr-defined]
        client.execute("INSERT INTO Room VALUES (2)")
        await world.until(lambda: "OriginUnavailable" in function.status()["messages"])
        await function.close()
        client.execute("INSERT INTO Room VALUES (3)")
        function = await world.watch()
        await world.settled(function)
        assert world.bus.said == [("i", "Room:1"), ("i", "Room:2"), ("i", "Room:3")]
        assert world.renewals == []

    async def test_the_bus_down_for_a_while_loses_nothing(self, world: SQLiteWorld) -> None:
        client = world.client()
        client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY)")
        function = await world.watch()
        world.bus.failing = True
        client.execute("INSERT INTO Room VALUES (1)")
        await world.until(lambda: "BusUnavailable" in function.status()["messages"])
        assert not function.status()["available"]
        client.execute("INSERT INTO Room VALUES (2)")
        world.bus.failing = False
        await world.bus.until(lambda: len(world.bus.said) == 2)
        await world.until(lambda: function.status()["available"])
        assert world.bus.said == [("i", "Room:1"), ("i", "Room:2")]

    async def test_published_rows_leave_the_database(self, world: SQLiteWorld) -> None:
        client = world.client()
        client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY)")
        await world.watch()
        client.executemany("INSERT INTO Room VALUES (?)", [(n,) for n in range(20)])
        await world.bus.until(lambda: len(world.bus.said) == 20)
        await world.until(lambda: client.execute("SELECT count(*) FROM _drasi_changes").fetchone() == (1,))


class TestLostPosition:
    async def test_a_replaced_file_is_read_again_and_positions_go_on(self, world: SQLiteWorld, tmp_path: Path) -> None:
        client = world.client()
        client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY)")
        function = await world.watch()
        client.executemany("INSERT INTO Room VALUES (?)", [(n,) for n in range(10)])
        await world.settled(function)
        highest = world.bus.changes[-1].payload.source.position or ""
        other = sqlite3.connect(tmp_path / "other.db", isolation_level=None)
        other.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY)")
        other.close()
        client.close()
        world.forget_journal()
        os.replace(tmp_path / "other.db", world.path)
        await world.until(lambda: bool(world.renewals))
        assert "another database" in world.renewals[0]
        world.client().execute("INSERT INTO Room VALUES (99)")
        await world.bus.until(lambda: "Room:99" in world.bus.graph.elements)
        assert (world.bus.changes[-1].payload.source.position or "") > highest
        await world.until(lambda: function.status()["available"])

    async def test_a_restored_copy_is_noticed(self, world: SQLiteWorld, tmp_path: Path) -> None:
        client = world.client()
        client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY)")
        function = await world.watch()
        client.execute("INSERT INTO Room VALUES (1)")
        await world.settled(function)
        await world.until(lambda: client.execute("SELECT count(*) FROM _drasi_changes").fetchone() == (1,))
        client.execute("VACUUM INTO ?", (str(tmp_path / "copy.db"),))
        client.execute("INSERT INTO Room VALUES (2)")
        await world.settled(function)
        await function.close()
        client.close()
        world.forget_journal()
        shutil.copy(tmp_path / "copy.db", world.path)
        client = world.client()
        client.execute("INSERT INTO Room VALUES (3)")
        function = await world.watch()
        assert world.renewals == [f"{world.path} has been set back to an earlier state"]
        client.execute("INSERT INTO Room VALUES (4)")
        await world.bus.until(lambda: "Room:4" in world.bus.graph.elements)

    async def test_a_copy_restored_while_it_is_watched_is_noticed(self, world: SQLiteWorld, tmp_path: Path) -> None:
        client = world.client()
        client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY)")
        function = await world.watch()
        client.execute("INSERT INTO Room VALUES (1)")
        await world.settled(function)
        copy = sqlite3.connect(tmp_path / "copy.db")
        client.backup(copy)
        client.execute("INSERT INTO Room VALUES (2)")
        await world.settled(function)
        copy.backup(client)
        copy.close()
        client.execute("INSERT INTO Room VALUES (3)")
        await world.until(lambda: world.renewals == [f"{world.path} has been set back to an earlier state"])
        client.execute("INSERT INTO Room VALUES (4)")
        await world.bus.until(lambda: "Room:4" in world.bus.graph.elements)

    @pytest.mark.parametrize("table", ["source", "shapes", "changes", "displaced"])
    async def test_tables_of_ours_that_somebody_drops_are_made_again(self, world: SQLiteWorld, table: str) -> None:
        client = world.client()
        client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY, name TEXT UNIQUE)")
        function = await world.watch()
        client.execute("INSERT INTO Room VALUES (1, 'a')")
        await world.settled(function)
        client.execute(f"DROP TABLE _drasi_{table}")
        await world.until(lambda: len(world.renewals) == 1)
        await world.until(lambda: function.status()["available"] and not function.status()["messages"])
        # Another one, because SQLite does not look again for a table that a trigger needs and its own connection has dropped.
        world.client().execute("INSERT OR REPLACE INTO Room VALUES (2, 'a')")
        await world.bus.until(lambda: "Room:2" in world.bus.graph.elements)
        assert len(world.renewals) == 1

    async def test_stop_waits_for_a_person(self, world: SQLiteWorld) -> None:
        client = world.client()
        client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY)")
        function = await world.watch(onPositionLost="stop")
        client.execute("INSERT INTO Room VALUES (1)")
        await world.settled(function)
        await function.close()
        client.execute("UPDATE _drasi_source SET token = 'of another database'")
        function = world.function(onPositionLost="stop")
        await function.start()
        await world.until(lambda: "PositionLost" in function.status()["messages"])
        assert not function.status()["available"]
        assert "onPositionLost: rebootstrap" in function.status()["messages"]["PositionLost"]
        assert world.renewals == []

    async def test_two_sources_do_not_take_each_other_s_changes(self, world: SQLiteWorld) -> None:
        client = world.client()
        client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY)")
        await world.watch()
        client.execute("UPDATE _drasi_source SET source = 'other'")
        function = world.function()
        await function.start()
        await world.until(lambda: "OriginInUse" in function.status()["messages"])
        assert "is watched by source other" in function.status()["messages"]["OriginInUse"]


class TestEnd:
    async def test_deprovision_leaves_the_database_as_it_was(self, world: SQLiteWorld) -> None:
        client = world.client()
        client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY, name TEXT UNIQUE)")
        before = client.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall()
        function = await world.watch()
        client.execute("INSERT INTO Room VALUES (1, 'a')")
        await world.settled(function)
        await function.deprovision()
        assert client.execute("SELECT type, name, sql FROM sqlite_master ORDER BY name").fetchall() == before
        assert world.state.values == {}
        client.execute("INSERT INTO Room VALUES (2, 'b')")

    async def test_a_locked_database_is_cleaned_up_later(self, world: SQLiteWorld, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr("drasi.sources.sqlite.origin._BUSY_S", 0.0)
        client = world.client()
        client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY)")
        function = await world.watch()
        client.execute("BEGIN IMMEDIATE")
        with pytest.raises(OriginUnavailable, match="locked by another program"):
            await function.deprovision()
        client.execute("COMMIT")
        await function.deprovision()
        assert client.execute("SELECT count(*) FROM sqlite_master WHERE name LIKE '%drasi%'").fetchone() == (0,)

    async def test_a_source_whose_file_is_gone_can_be_deleted(self, world: SQLiteWorld) -> None:
        client = world.client()
        client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY)")
        function = await world.watch()
        client.close()
        world.path.unlink()
        await function.deprovision()
        assert world.state.values == {}


async def test_labels_that_nobody_wants_are_not_published(world: SQLiteWorld) -> None:
    client = world.client()
    client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY)")
    client.execute("CREATE TABLE Floor (id INTEGER PRIMARY KEY)")
    function = await world.watch()
    await function.subscribe("default", "rooms", ["Room"], [])
    client.execute("INSERT INTO Floor VALUES (1)")
    client.execute("INSERT INTO Room VALUES (1)")
    await world.settled(function)
    assert world.bus.said == [("i", "Room:1")]
    await function.unsubscribe("default", "rooms")
    client.execute("INSERT INTO Floor VALUES (2)")
    await world.settled(function)
    assert world.bus.said == [("i", "Room:1"), ("i", "Floor:2")]


def test_the_labels_wanted_are_asked_for_behind_the_beginning_of_the_read(tmp_path: Path) -> None:
    """Else a change behind a new reader's snapshot could be left out as nobody's."""
    client = sqlite3.connect(tmp_path / "rooms.db", isolation_level=None)
    client.execute("PRAGMA journal_mode = WAL")
    client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY)")
    origin = Origin(Configuration("db", tmp_path / "rooms.db", Wanted()))
    stored = origin.install(None).position
    client.execute("INSERT INTO Room VALUES (1)")

    def wanted() -> Labels:
        client.execute("INSERT INTO Room VALUES (2)")
        return Labels()

    batch = origin.poll(stored, wanted, 0)
    assert batch is not None
    assert len(batch.changes) == 1
    origin.close()
    client.close()


async def test_a_writer_that_holds_the_database_only_delays(world: SQLiteWorld, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("drasi.sources.sqlite.origin._BUSY_S", 0.0)
    client = world.client()
    client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY)")
    function = world.function()
    client.execute("BEGIN EXCLUSIVE")
    client.execute("INSERT INTO Room VALUES (1)")
    await function.start()
    await world.until(lambda: "OriginUnavailable" in function.status()["messages"])
    assert "end the transaction that holds it" in function.status()["messages"]["OriginUnavailable"]
    client.execute("COMMIT")
    await world.until(lambda: function.status()["available"])
    client.execute("INSERT INTO Room VALUES (2)")
    await world.bus.until(lambda: "Room:2" in world.bus.graph.elements)


async def test_the_json_lines_of_a_snapshot(world: SQLiteWorld) -> None:
    client = world.client()
    client.execute("CREATE TABLE Room (id INTEGER PRIMARY KEY)")
    client.executemany("INSERT INTO Room VALUES (?)", [(n,) for n in range(3)])
    function = await world.watch()
    lines = [json.loads(line) async for line in await function.acquire(b'{"protocol": 2, "limit": 2}')]
    assert lines[0]["header"]["source"] == "db"
    assert lines[1] == {"id": "Room:0", "labels": ["Room"], "properties": {"id": 0}}
    assert lines[-1]["end"]["count"] == 2
    rest = json.dumps({"protocol": 2, "cursor": lines[-1]["end"]["cursor"]}).encode()
    lines = [json.loads(line) async for line in await function.acquire(rest)]
    assert lines[1:] == [{"id": "Room:2", "labels": ["Room"], "properties": {"id": 2}}, {"end": {"count": 1}}]
    plain = [json.loads(line)["id"] async for line in await function.acquire(b"{}")]
    assert plain == ["Room:0", "Room:1", "Room:2"]


async def test_two_relations_of_one_type_would_be_one(world: SQLiteWorld) -> None:
    client = world.client()
    client.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, a INTEGER, b INTEGER)")
    both = [{"type": "R", "table": "t", "columns": [name], "references": "t"} for name in ("a", "b")]
    function = await world.watch(relations=both)
    text = "relation R of table t: the table has another one of that type"
    assert function.status()["messages"] == {"RelationIgnored": text}
    client.execute("INSERT INTO t VALUES (1, 1, 2)")
    await world.settled(function)
    assert world.bus.graph.ends() == {"t:1$rel:R": ("t:1", "t:1")}


async def test_decimals_written_in_another_way_are_read_again(world: SQLiteWorld) -> None:
    client = world.client()
    client.execute("CREATE TABLE t (id INTEGER PRIMARY KEY, d DECIMAL)")
    await (await world.watch()).close()
    await (await world.watch()).close()
    assert world.renewals == []
    await (await world.watch(decimals="string")).close()
    await world.watch(decimals="string")
    assert world.renewals == ["decimals are written as string"]
