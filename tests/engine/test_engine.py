"""One graph, many queries: who is asked, who is left in peace, what a defect stops."""

from __future__ import annotations

import re

import pytest

from drasi import Delete, Insert, Node, Relation, Update
from drasi.engine import Engine
from drasi.plan import compile_query

ROOMS = compile_query("MATCH (r:Room) WHERE r.temp > 20 RETURN r.name AS name")
FLOORS = compile_query("MATCH (r:Room)-[:PART_OF]->(f:Floor) RETURN f.name AS floor, sum(r.temp) AS temp, collect(r.name) AS rooms")
COUNT = compile_query("MATCH (x) RETURN count(*) AS n")


def room(id_: str, temp: object, time: int = 0, **more: object) -> Node:
    return Node("db", id_, ["Room"], {"name": id_, "temp": temp, **more}, time)


def house() -> Engine:
    engine = Engine()
    engine.add("rooms", ROOMS)
    engine.add("floors", FLOORS)
    engine.apply(Insert(Node("db", "f", ["Floor"], {"name": "Ground"})))
    for id_, temp in (("a", 10), ("b", 30)):
        engine.apply(Insert(room(id_, temp)))
        engine.apply(Insert(Relation("db", f"{id_}f", ["PART_OF"], start=id_, end="f")))
    return engine


def test_only_queries_whose_answer_changes_are_in_the_result() -> None:
    engine = house()
    assert [name for name, _ in engine.apply(Update(room("b", 31)))] == ["floors"]
    assert [name for name, _ in engine.apply(Update(room("b", 5)))] == ["rooms", "floors"]
    assert engine.apply(Update(room("b", 5, note="painted"))) == []


def test_a_query_added_later_starts_with_what_is_there() -> None:
    engine = house()
    difference = engine.add("count", COUNT)
    assert difference is not None
    assert difference.added == [{"n": 3}]
    assert engine.rows("count") == [{"n": 3}]
    engine.remove("count")
    assert engine.names() == ["rooms", "floors"]


def test_a_query_alone_and_among_others_gives_the_same() -> None:
    alone, among = Engine(), house()
    alone.add("rooms", ROOMS)
    for change in (Insert(room("c", 25)), Update(room("c", 26)), Delete("db", "c")):
        mine = [(d.added, d.updated, d.deleted) for _, d in alone.apply(change)]
        assert mine == [(d.added, d.updated, d.deleted) for name, d in among.apply(change) if name == "rooms"]


def test_a_parent_of_many_is_one_difference() -> None:
    engine = house()
    for i in range(50):
        engine.apply(Insert(room(f"r{i}", 1)))
        engine.apply(Insert(Relation("db", f"e{i}", ["PART_OF"], start=f"r{i}", end="f")))
    ((name, difference),) = engine.apply(Update(Node("db", "f", ["Floor"], {"name": "First"})))
    assert name == "floors"
    assert [row["floor"] for row in difference.added + difference.deleted] == ["First", "Ground"]


def test_a_list_keeps_the_order_of_arrival_through_updates_and_snapshots() -> None:
    engine = house()
    engine.apply(Insert(room("0", 1)))
    engine.apply(Insert(Relation("db", "0f", ["PART_OF"], start="0", end="f")))
    engine.apply(Update(room("a", 11)))
    assert engine.rows("floors")[0]["rooms"] == ["a", "b", "0"]
    again = Engine()
    for chunk in reversed(range(engine.CHUNKS)):
        again.load(engine.dump(chunk))
    again.add("floors", FLOORS)
    again.restore_memory(engine.memory())
    assert again.rows("floors") == engine.rows("floors")
    again.apply(Delete("db", "a"))
    assert again.rows("floors")[0]["rooms"] == ["b", "0"]


def test_a_defect_stops_its_query_and_no_other(monkeypatch: pytest.MonkeyPatch) -> None:
    engine = house()
    engine.add("count", COUNT)

    def broken(deltas: object) -> object:
        raise RuntimeError("a defect")

    monkeypatch.setattr(engine._running["floors"], "finish", broken)
    assert [name for name, _ in engine.apply(Update(room("b", 5)))] == ["rooms"]
    assert list(engine.failed) == ["floors"]
    assert [name for name, _ in engine.apply(Insert(room("c", 99)))] == ["rooms", "count"]
    assert engine.rows("rooms") == [{"name": "c"}]


def test_deep_patterns_are_split_into_functions() -> None:
    length = 30
    path = "".join(f"-[:NEXT]->(n{i}:Stop)" for i in range(1, length))
    engine = Engine()
    engine.add("line", compile_query(f"MATCH (n0:Stop){path} RETURN n0.id AS first, n{length - 1}.id AS last"))
    for i in range(length):
        engine.apply(Insert(Node("db", f"s{i}", ["Stop"], {"id": i})))
        if i:
            engine.apply(Insert(Relation("db", f"e{i}", ["NEXT"], start=f"s{i - 1}", end=f"s{i}")))
    assert engine.rows("line") == [{"first": 0, "last": length - 1}]
    ((_, difference),) = engine.apply(Update(Node("db", "s29", ["Stop"], {"id": 99})))
    assert difference.updated[0].after == {"first": 0, "last": 99}


@pytest.mark.parametrize(
    ("text", "changes", "wanted"),
    [
        ("MATCH (a)--(b) RETURN a.id AS a, b.id AS b", "self-loop", [(1, 1)]),
        ("MATCH (a)-->(b)-->(a) RETURN a.id AS a, b.id AS b", "cycle", [(1, 2), (2, 1)]),
        ("MATCH (a)-[x]->(b), (c)-[y]->(d) RETURN a.id AS a, c.id AS b", "cycle", [(1, 2), (2, 1)]),
        ("MATCH (a:A), (b:B) RETURN a.id AS a, b.id AS b", "nodes", [(1, 1), (1, 2)]),
        ("MATCH (a)-[x]-(b) RETURN a.id AS a, b.id AS b", "cycle", [(1, 2), (1, 2), (2, 1), (2, 1)]),
    ],
)
def test_patterns(text: str, changes: str, wanted: list[tuple[int, int]]) -> None:
    one, two = Node("db", "1", ["A", "B"], {"id": 1}), Node("db", "2", ["B"], {"id": 2})
    streams: dict[str, list[Node | Relation]] = {
        "self-loop": [Relation("db", "e", ["T"], start="1", end="1"), one],
        "cycle": [Relation("db", "e", ["T"], start="1", end="2"), one, two, Relation("db", "f", ["T"], start="2", end="1")],
        "nodes": [two, one],
    }
    engine = Engine()
    engine.add("q", compile_query(text))
    for element in streams[changes]:
        engine.apply(Insert(element))
    assert sorted((row["a"], row["b"]) for row in engine.rows("q")) == wanted
    for element in streams[changes]:
        engine.apply(Delete("db", element.id))
    assert engine.rows("q") == []


def test_generated_code_can_be_read() -> None:
    from drasi import ContinuousQuery

    text = ContinuousQuery("MATCH (r:Room) WHERE r.temp > 20 RETURN r.name AS name").explain()
    assert re.search(r"def change_0\(n0, q0, p0, time\):", text)
    assert "where r.temp > 20" in text
